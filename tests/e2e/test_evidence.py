"""Ablation and stress test from end to end, tiny: every variant runs once, and what was measured is tabulated and drawn."""

import json
from pathlib import Path

import pytest
from test_demo import TINY
from typer.testing import CliRunner

from deepsport.ablate import VARIANTS
from deepsport.agent.prompt import PromptStyle
from deepsport.arena.generate import load_truths
from deepsport.arena.oracle import Oracle
from deepsport.cli.main import app
from deepsport.records import Episode, Frame, Question, StopReason, ToolCall, Turn, Window
from deepsport.stress import StressConfig, can_hide, run_stress, zoomed_on

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("evidence")]


def deepsport(*arguments: str) -> str:
    ran = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_every_variant_is_measured_under_every_seed_and_finished_ones_are_kept(tmp_path: Path) -> None:
    tiny = [f"demo.{setting}" for setting in TINY]
    printed = deepsport("ablate", str(tmp_path), "seeds=[0]", *tiny)
    outcomes = json.loads((tmp_path / "ablation.json").read_text())
    assert [(o["variant"], o["seed"]) for o in outcomes] == [(variant.name, 0) for variant in VARIANTS]
    assert all(outcome["measured"]["score"] is not None for outcome in outcomes)
    assert "RL, tool gate open" in printed
    assert (tmp_path / "ablation.md").read_text().count("\n") == len(VARIANTS) + 2
    assert (tmp_path / "ablation.png").stat().st_size > 5_000
    policy = tmp_path / "seed0/policies/std/model.safetensors"
    before = policy.stat().st_mtime_ns
    deepsport("ablate", str(tmp_path), "seeds=[0]", *tiny)
    assert policy.stat().st_mtime_ns == before


def test_an_unknown_variant_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["ablate", str(tmp_path), 'variants=["no_brain"]'])
    assert ran.exit_code != 0
    assert "no variant 'no_brain'; there are sft, " in ran.output


class Teacher:
    """The oracle over the clips of a stress test, which are rendered only when they are asked about."""

    name = "oracle"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def session(self, sampling):
        truths = {str(set_ / video): truth for set_ in self._folder.glob("arena/*") for video, truth in load_truths(set_).items()}
        lines = [line for path in self._folder.glob("arena/*/questions.jsonl") for line in path.read_text().splitlines()]
        return Oracle(truths, [Question.model_validate_json(line) for line in lines]).session(sampling)


def test_the_oracle_finds_every_event_and_zooms_where_one_look_is_not_enough(tmp_path: Path) -> None:
    cells = {}
    for duration, length in ((2, 64), (8, 64), (2, 1024), (8, 1024)):  # one by one: clips of two cells have the same names
        folder = tmp_path / f"{duration}-{length}"
        config = StressConfig(durations=(duration,), lengths=(length,), clips_per_cell=12)
        stress = run_stress(folder, config, Teacher(folder), PromptStyle.BRIEF)
        (cells[duration, length],) = stress.cells
        assert len({cell.sport for cell in stress.sports}) == 12
        assert sum(cell.n_questions for cell in stress.sports) == cells[duration, length].n_questions
    assert all(cell.accuracy == 1 and cell.hit == 1 and cell.n_questions == 24 for cell in cells.values())
    assert (cells[2, 64].calls, cells[2, 64].zooms) == (1, 0)
    assert cells[8, 64].calls < 1
    assert cells[2, 1024].calls > 2
    assert cells[2, 1024].zooms > 0.8  # now and then the second look happens upon it


def test_several_policies_are_tabulated_together_and_finished_ones_are_kept(tmp_path: Path) -> None:
    small = [str(tmp_path), "--model", "nano", "--model", "nano", "durations=[3]", "lengths=[64]", "clips_per_cell=2"]
    printed = deepsport("stress", *small)
    assert printed.count("(mean and range of the policies)") == 5
    (line,) = (tmp_path / "hit.md").read_text().splitlines()[2:]
    assert line.startswith("| 3 frames | ")
    assert line.endswith("-100) |")
    assert "soccer" in (tmp_path / "accuracy_by_sport.md").read_text()
    episodes = tmp_path / "0/episodes/3-in-64.jsonl"
    before = episodes.read_text()
    assert deepsport("stress", *small).partition("hit, %")[2] == printed.partition("hit, %")[2]
    assert episodes.read_text() == before


def test_an_event_must_fit_between_two_of_the_first_frames() -> None:
    assert can_hide(6, 64)
    assert not can_hide(8, 64)
    assert can_hide(12, 128)


@pytest.mark.parametrize(
    ("spans", "zoomed"),
    [([(0, 90)], False), ([(0, 90), (20, 30)], True), ([(0, 90), (80, 95)], False), ([(0, 9), (0, 9)], False)],
)
def test_a_zoom_is_a_call_within_the_one_before(spans: list[tuple[int, int]], zoomed: bool) -> None:
    window, seen = Window(start_s=0, end_s=1), (Frame(video="a.mp4", index=0, time_s=0),)
    turns = tuple(Turn(text="", call=ToolCall(start_index=a, end_index=b, window=window), frames=seen) for a, b in spans)
    question = Question(id="q", video="a.mp4", text="?")
    assert zoomed_on(Episode(id="e", question=question, policy="p", turns=turns, stop=StopReason.ANSWERED)) is zoomed
