"""What is told of a run beside its episodes: settings, times, whether it is going on, and its curves."""

import json
import os
import time
import tomllib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from deepsport.bench.reporting.curves import METRICS_FILE, Curve, MetricLine, Panel, curves, panels_of, smooth, thin
from deepsport.config import leaves
from deepsport.durable import read_records
from deepsport.errors import BadRecord, RunError
from deepsport.lock import LOCK_NAME
from deepsport.serve.viewer.catalogue import EpisodeSet, ViewedRun
from deepsport.serve.viewer.episode_index import GROWING_S
from deepsport.serve.viewer.episode_table import OUTCOMES, Outcome
from deepsport.serve.viewer.line_to_row import SetKind

Json = dict[str, Any]
MOST_POINTS = 400
LONGEST_SETTINGS = 2**20
"""Bytes."""


def runs_json(runs: Iterable[ViewedRun]) -> list[Json]:
    """The runs of the first page."""
    held = _held_files()
    return [_run_json(run, held) for run in runs]


def _run_json(run: ViewedRun, held: frozenset[str]) -> Json:
    settings = _settings(run.place.path / "config.toml")
    return {
        "id": run.id,
        "name": run.place.name,
        "title": dict(settings).get("system") or run.place.name,
        "kind": run.kind,
        "live": _is_live(run, held),
        "has_curves": run.place.metrics.is_file(),
        "settings": settings,
        "seconds_per_stage": _seconds(run.place.path / "stages.json"),
        "sets": [set_json(run, each) for each in run.sets.values()],
    }


def set_json(run: ViewedRun, one: EpisodeSet) -> Json:
    """One set of a run."""
    rows = one.index.view().rows_F
    rows = rows[rows["shown"]]
    return {
        "id": one.id,
        "name": one.name,
        "kind": one.place.kind,
        "n": len(rows),
        "indexed": one.index.share_read,
        "n_right": int((rows["outcome"] == OUTCOMES.index(Outcome.RIGHT)).sum()),
        "n_scored": int((rows["outcome"] != OUTCOMES.index(Outcome.UNSCORED)).sum()),
        "labels_file": one.annotations.labels.path.name,
        "windows_file": one.annotations.windows.path.name,
        "problems": [*run.problems, *one.problems],
    }


def _is_live(run: ViewedRun, held: frozenset[str]) -> bool:
    """Whether somebody holds the run, or a file of it grew a moment ago."""
    if any(one.index.grew_at > time.time() - GROWING_S and _is_young(one.place.path) for one in run.sets.values()):
        return True
    return _name_of(run.place.path / LOCK_NAME) in held or _is_young(run.place.metrics)


def curves_json(run: ViewedRun) -> Json:
    """The curves of every stage, with the set that RL sampled in it."""
    path, problem = run.place.path / METRICS_FILE, ""
    try:
        by_stage = curves(read_records(path, MetricLine)) if path.is_file() else {}
    except (BadRecord, RunError) as error:
        by_stage, problem = dict[str, dict[str, Curve]](), str(error).replace(f"{path.parent}{os.sep}", "")
    sampled = {one.place.path.stem: one.id for one in run.sets.values() if one.place.kind is SetKind.SAMPLES}
    stages = [
        {
            "name": stage,
            "n_steps": max((points[-1][0] + 1 for points in by_name.values()), default=0),
            "sampled_set": sampled.get(stage),
            "panels": [_panel_json(panel, by_name) for panels in panels_of(by_name) for panel in panels],
        }
        for stage, by_name in by_stage.items()
    ]
    return {"stages": stages, "problem": problem}


def _panel_json(panel: Panel, by_name: dict[str, Curve]) -> Json:
    drawn = {name: thin(by_name[name], MOST_POINTS) for name in panel.labels}
    return {
        "title": panel.title,
        "about": panel.about,
        "curves": [
            {"name": name, "label": panel.labels[name], "points": points, "smooth": smooth(points)}
            for name, points in drawn.items()
        ],
    }


def _settings(path: Path) -> list[tuple[str, str]]:
    """The settings as dotted keys, none if they cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return []
    return _settings_at(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4096)
def _settings_at(path: Path, mtime_ns: int, size: int) -> list[tuple[str, str]]:
    """Of one state of the file: the page asks for all runs whenever one has changed."""
    if size > LONGEST_SETTINGS:
        return []
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return []
    return [
        (key, value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False))
        for key, value in leaves(tree)
    ]


def _seconds(path: Path) -> dict[str, float]:
    try:
        stages: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    found = cast(dict[str, object], stages) if isinstance(stages, dict) else {}
    seconds = {name: cast(Json, stage).get("seconds") for name, stage in found.items() if isinstance(stage, dict)}
    return {name: float(value) for name, value in seconds.items() if isinstance(value, int | float)}


def _is_young(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < GROWING_S
    except OSError:
        return False


def _held_files() -> frozenset[str]:
    """The files that processes hold, by `_name_of`, told by the kernel's list: to try a lock would shut out a run that starts
    just then. Where there is no such list, only growing files are live."""
    try:
        listed = Path("/proc/locks").read_text()
    except OSError:
        return frozenset()
    return frozenset(word for line in listed.splitlines() if "FLOCK" in line for word in line.split() if word.count(":") == 2)


def _name_of(lock: Path) -> str:
    """What the kernel calls a file in its list; empty if there is none."""
    try:
        status = lock.stat()
    except OSError:
        return ""
    return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
