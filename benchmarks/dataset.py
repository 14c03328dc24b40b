"""How long one dataset takes: 78,000 records imported, split with the leak check, and exported, one core, beside the limits.

The records are made here as annotation files in the layouts of their sources (RECORDS says how many of which), with invented
names; no footage is read. 20,000 clips get a content hash and the looks of their frames, some of them copies of one another, so
that everything is compared. A step is a fresh process on one core. A split with a given side and planted leaks must be refused
with every one of them named. All is done again with twice the records, to see what memory does. Exit code 1 over 60
s of CPU, which other work on the machine leaves as it is, or 1 GB.

    python benchmarks/dataset.py [records]
"""

import csv
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from itertools import count
from pathlib import Path

import numpy
import pyarrow
import pydantic

from deepsport.data.dataset.gathering import QuestionFile
from deepsport.data.dataset.leak import Leak
from deepsport.data.dataset.making import leaks_file, make_dataset
from deepsport.data.dataset.publish import publish
from deepsport.data.fingerprint import Clip
from deepsport.data.importing import import_source
from deepsport.data.source import find_source
from deepsport.durable import read_records
from deepsport.errors import LeakError
from deepsport.records import Question

RECORDS: Mapping[str, int] = {
    "matchtime": 21_000,
    "unisoccer": 12_000,
    "tennis": 9_000,
    "finegym": 9_000,
    "finediving": 8_000,
    "figure-skating": 5_000,
    "f3set": 6_000,
    "sportu": 3_000,
    "soccernet-mvfoul": 3_000,
    "volleyball": 2_000,
}
"""Questions of each source: what such a mixture could be, not what any paper had."""

LIMIT_S = 60
LIMIT_MB = 1000
CLIPS = 20_000
LEAKS = 25

Measured = dict[str, float | dict[str, int]]
Writer = Callable[[Path, int, random.Random], None]

NOUNS = (
    "striker",
    "keeper",
    "winger",
    "defender",
    "captain",
    "ball",
    "cross",
    "header",
    "tackle",
    "post",
    "bar",
    "flank",
    "wall",
)
VERBS = (
    "drills",
    "curls",
    "chips",
    "heads",
    "drives",
    "lifts",
    "slips",
    "steers",
    "loops",
    "slides",
    "squeezes",
    "sends",
    "pokes",
)
PLACES = ("from distance", "at the far post", "through the middle", "along the touchline", "over the wall", "past two men")
MOODS = ("under heavy pressure", "to loud applause", "with the last touch", "after a long spell", "on a soaked pitch")
TICKER = ("[PLAYER] ([TEAM]) goes down and needs treatment.", "Corner for [TEAM].", "A yellow card for [PLAYER] of [TEAM].")


def sentence(draw: random.Random) -> str:
    """A comment; one in three is a line that tickers use again and again."""
    if draw.random() < 0.33:
        return draw.choice(TICKER)
    halves = ([draw.choice(NOUNS), draw.choice(VERBS), "a", draw.choice(NOUNS), draw.choice(PLACES)] for _ in range(2))
    return f"[PLAYER] the {' and the '.join(' '.join(half) for half in halves)} {draw.choice(MOODS)}."


def game(number: int) -> str:
    """A match as SoccerNet names it."""
    date = f"20{14 + number % 4}-{1 + number // 28 % 12:02d}-{1 + number % 28:02d}"
    return f"england_epl_2014-2015/{date} - {12 + number % 9}-00 Town {number} {number % 4} - {number % 3} City {number}"


def dump(path: Path, content: object) -> None:
    """A JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def matchtime(folder: Path, n: int, draw: random.Random) -> None:
    """A comment a row, half of them with an event."""
    with (folder / "train.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("league", "game", "half", "timestamp", "type", "anonymized"))
        for row in range(round(n / 1.5)):
            league, match = game(row // 90).split("/")
            event = draw.choice(("soccer-ball", "corner", "y-card", "substitution")) if row % 2 else ""
            rows.writerow((league, match, 1 + row // 45 % 2, row % 45 * 60 + draw.randrange(40), event, sentence(draw)))


def unisoccer(folder: Path, n: int, draw: random.Random) -> None:
    """A clip a record, half of them with a comment; its matches are partly those of MatchTime."""
    clips: list[dict[str, str]] = []
    for row in range(round(n / 1.5)):
        clip = {"video": f"{game(row // 40)}/{1 + row % 2}_{row % 40:02d}_{draw.randrange(60):02d}.mp4", "caption": "clearance"}
        clips.append(clip | ({"comments_text_anonymized": sentence(draw)} if row % 2 else {}))
    dump(folder / "classification_train.json", clips)


def spot(video: str, n_frames: int, events: list[tuple[int, str, str]], **more: object) -> dict[str, object]:
    """A clip in the layout of E2E-Spot."""
    noted = [{"frame": frame, "label": label, "comment": comment} for frame, label, comment in events]
    return {"video": video, "num_frames": n_frames, "num_events": len(noted), "events": noted, "fps": 25, **more}


def tennis(folder: Path, n: int, draw: random.Random) -> None:
    """Rallies: four questions each."""
    clips: list[object] = []
    for row in range(n // 4):
        strokes = [(14 + 20 * at, draw.choice(("far_court_swing", "near_court_bounce")), "") for at in range(2, 2 + row % 9)]
        events = [(3, "near_court_serve", ""), (14, "far_court_bounce", ""), (30, "far_court_swing", ""), *strokes]
        clips.append(spot(f"open_20{10 + row // 400}_{row // 40}_a_b_{row * 300}_{row * 300 + 290}", 290, events))
    dump(folder / "train.json", clips)


def finegym(folder: Path, n: int, draw: random.Random) -> None:
    """Vaults: eight questions on three of them."""
    kinds = ("round-off, salto backward with 2 turn off", "handspring, salto forward with 0.5 turn off", "tsukahara stretched")
    clips: list[object] = []
    for row in range(3 * n // 8):
        kind = draw.choice(kinds)
        events = [(10 * phase, f"VT_{phase}", f"A_1_2;(VT) {kind}") for phase in range(4)]
        clips.append(spot(f"event{row // 60:05d}_E_{row % 60:06d}_{row % 60 + 5:06d}", 100, events))
    dump(folder / "train.json", clips)


def finediving(folder: Path, n: int, draw: random.Random) -> None:
    """Dives: five questions each."""
    clips: list[object] = []
    for row in range(n // 5):
        twists, turns = draw.choice(("1.5", "2.5")), draw.choice(("1.5", "2", "2.5"))
        steps = (f"Arm.Back -> {twists} Twists", f"{twists} Twists -> {turns} Soms.Pike", f"{turns} Soms.Pike -> Entry")
        events = [(39 + 18 * at, "step", step) for at, step in enumerate(steps)]
        known = {"action_type": "6245d", "difficulty": 3.6, "dive_score": round(draw.uniform(30, 100), 1)}
        clips.append(spot(f"{row // 40:03d}__{row}", 120, events, _source_info=known))
    dump(folder / "train.json", clips)


def figure_skating(folder: Path, n: int, draw: random.Random) -> None:
    """Programmes: four jumps and their number."""
    clips: list[object] = []
    for row in range(n // 5):
        jumps = [(200 * at, draw.choice(("axel", "lutz", "flip", "loop"))) for at in range(1, 5)]
        events = [(at + late, f"jump_{what}", kind) for at, kind in jumps for late, what in ((0, "takeoff"), (16, "landing"))]
        clips.append(spot(f"men_worlds_short_program_{1900 + row // 10}_{row % 10:02d}_{row:08d}_{row + 1000:08d}", 1000, events))
    dump(folder / "train.json", clips)


def f3set(folder: Path, n: int, draw: random.Random) -> None:
    """Rallies by stroke: five questions each."""
    clips: list[object] = []
    for row in range(n // 5):
        side = draw.choice("TWB")
        labels = (f"far_deuce_serve_fh_gs_{side}_non-approach_in", "near_deuce_stroke_bh_volley_CC_approach_winner")
        events = [{"frame": 84 + 30 * at, "label": label, "outcome": "in"} for at, label in enumerate(labels)]
        name = f"{20150101 + row // 60}-W-Open-SF-Ann_{row // 30}-Bea_{row // 30}_{row * 400}_{row * 400 + 342}"
        clips.append({"fps": 29.0, "height": 720, "width": 1280, "num_frames": 342, "video": name, "events": events})
        clips[-1] |= {"far_name": "A", "near_name": "B"}
    dump(folder / "train.json", clips)


def sportu(folder: Path, n: int, draw: random.Random) -> None:
    """Closed questions that people wrote."""
    rows: list[object] = []
    for row in range(n):
        asked = " ".join(
            (f"Which rule decides what the {draw.choice(NOUNS)} of clip {row}", *draw.sample(NOUNS, 6), "does here?")
        )
        rows.append({"id": f"soccer_{row // 2}_{row % 2}", "question": asked, "options": {"A": "Yes", "B": "No"}, "answer": "A"})
    dump(folder / "SportU_Video_mc.json", rows)


def mvfoul(folder: Path, n: int, draw: random.Random) -> None:
    """Actions: six questions each."""
    actions: dict[str, object] = {}
    for row in range(n // 6):
        league, match = game(row // 3).split("/")
        fields = {"UrlLocal": f"{league[:11]}/{league[12:]}/{match}", "Offence": "Offence", "Contact": "With contact"}
        fields |= {"Bodypart": "Upper body", "Upper body part": "Use of arms", "Severity": draw.choice(("1.0", "3.0"))}
        clips = [{"Url": f"Dataset/Train/action_{row}/clip_{view}", "Camera type": "Close-up"} for view in range(2)]
        actions[str(row)] = {**fields, "Action class": "Pushing", "Clips": clips}
    dump(folder / "annotations.json", {"Set": "train", "Actions": actions})


def volleyball(folder: Path, n: int, draw: random.Random) -> None:
    """Activities, forty to a match."""
    for match in range(n // 40):
        (folder / str(match)).mkdir()
        lines = (f"{1000 + 100 * row}.jpg {draw.choice(('r_set', 'l-pass', 'r_winpoint'))}\n" for row in range(40))
        (folder / str(match) / "annotations.txt").write_text("".join(lines))


WRITERS: Mapping[str, Writer] = {
    "matchtime": matchtime,
    "unisoccer": unisoccer,
    "tennis": tennis,
    "finegym": finegym,
    "finediving": finediving,
    "figure-skating": figure_skating,
    "f3set": f3set,
    "sportu": sportu,
    "soccernet-mvfoul": mvfoul,
    "volleyball": volleyball,
}


def make_annotations(folder: Path, n_records: int) -> None:
    """The annotation files of every source."""
    for source, n in RECORDS.items():
        (folder / "annotations" / source).mkdir(parents=True)
        WRITERS[source](folder / "annotations" / source, n * n_records // sum(RECORDS.values()), random.Random(source))


def question_files(folder: Path) -> list[Path]:
    """What the import wrote."""
    return sorted(folder.glob("sets/*/questions.jsonl"))


def do_import(folder: Path) -> dict[str, int]:
    """Every source, one after the other."""
    counts: dict[str, int] = {}
    for source in RECORDS:
        made = import_source(find_source(source), folder / "annotations" / source, folder / "sets" / source)
        counts[source] = made.n_questions
    return counts


def do_split(folder: Path) -> dict[str, int]:
    """The dataset of all sources."""
    made = make_dataset([QuestionFile(path) for path in question_files(folder)], folder / "dataset")
    assert made.leaks
    assert made.splitting
    compared = {f"compared {name}": n for name, n in made.leaks.n_compared.items()}
    parts = {f"{name} questions": part.n_questions for name, part in made.parts.items()}
    found = {"leaks": sum(made.leaks.n_leaks.values()), "lookalikes across": made.leaks.n_lookalikes}
    groups = {"groups": made.splitting.n_groups, "largest group": made.splitting.n_largest}
    return parts | compared | {"compared looks": made.leaks.n_fingerprints} | found | groups


def do_export(folder: Path) -> dict[str, int]:
    """What may be passed on."""
    made = publish(folder / "dataset", folder / "public", "parquet")
    return {"published": made.n_questions, "without a licence": made.left_out.get("no licence is stated", 0)}


def do_planted(folder: Path) -> dict[str, int]:
    """The planted leaks that are found when the sides are given."""
    planted = folder / "planted" / "questions.jsonl"
    n_planted = len(planted.read_text().splitlines())
    files = [*map(QuestionFile, question_files(folder)), QuestionFile(planted, "test")]
    try:
        make_dataset(files, folder / "refused")
    except LeakError:
        found = {leak.other_id for leak in read_records(leaks_file(folder / "refused"), Leak)}
        return {"planted": n_planted, "found": len(found), "written": int((folder / "refused").exists())}
    return {"planted": n_planted, "found": 0, "written": 1}


STEPS = {"import": do_import, "split": do_split, "export": do_export, "planted leaks": do_planted}


def plant_clips(folder: Path) -> None:
    """Content hashes into the questions of up to CLIPS clips, and clips.jsonl beside; one in 500 looks like the one before."""
    draw, numbers = random.Random(0), count()
    n_left = CLIPS
    for path in question_files(folder):
        hashes: dict[str, str] = {}
        lines: list[str] = []
        for question in read_records(path, Question):
            if question.provenance and (question.video in hashes or len(hashes) < n_left):
                content = hashes.setdefault(question.video, sha256(f"{path} {question.video}".encode()).hexdigest())
                known = question.provenance.model_copy(update={"video_sha256": content})
                question = question.model_copy(update={"provenance": known})
            lines.append(question.model_dump_json() + "\n")
        n_left -= len(hashes)
        path.write_text("".join(lines))
        path.with_name("clips.jsonl").write_text("".join(clip + "\n" for clip in clips(hashes, draw, numbers)))


def clips(hashes: Mapping[str, str], draw: random.Random, numbers: Iterator[int]) -> Iterator[str]:
    """The clips of one source as the import notes them."""
    looks = ("f" * 16,) * 8
    for video, content in hashes.items():
        if next(numbers) % 500:
            looks = tuple(f"{draw.getrandbits(64):016x}" for _ in range(8))
        yield Clip(
            video=video, sha256=content, n_frames=300, duration_s=12.0, size_wh=(640, 360), frame_hashes=looks
        ).model_dump_json()


def plant_leaks(folder: Path) -> None:
    """An official test set of which up to LEAKS questions each repeat a match, a content or a wording of the others."""
    (folder / "planted").mkdir()
    with (folder / "planted" / "questions.jsonl").open("w") as file:
        for kind, source in (("match", "matchtime"), ("footage", "finegym"), ("wording", "sportu")):
            questions = read_records(folder / "sets" / source / "questions.jsonl", Question)
            of_matches = {question.provenance.match: question for question in questions if question.provenance}
            for number, question in enumerate(list(of_matches.values())[:LEAKS]):
                file.write(leaking(question, kind, number).model_dump_json() + "\n")


def leaking(question: Question, kind: str, number: int) -> Question:
    """A question of a test set that shares one thing with another question."""
    origin = question.provenance
    assert origin
    changes: dict[str, object] = {"source": "official", "match": f"official {kind} {number}", "video_sha256": ""}
    changes |= {"match": {"match": origin.match}, "footage": {"video_sha256": origin.video_sha256}}.get(kind, {})
    text = question.text if kind == "wording" else f"What is seen in clip {number}?"
    return question.model_copy(
        update={
            "id": f"official/{kind}/{number}",
            "video": f"official/{kind}/{number}.mp4",
            "text": text.replace("decides", "settles"),
            "provenance": origin.model_copy(update=changes),
        }
    )


def in_child(step: str, folder: Path) -> Measured:
    """A step in a fresh process on one core: wall and CPU seconds, peak memory in MB, and what it counted."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, __file__, "--step", step, folder], check=True, capture_output=True, text=True)
    return {"wall_s": time.perf_counter() - start, **json.loads(done.stdout.splitlines()[-1])}


def as_child(step: str, folder: Path) -> None:
    """The step itself."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    counts = STEPS[step](folder)
    used = resource.getrusage(resource.RUSAGE_SELF)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / unit, "counts": counts}))


def measure(n_records: int) -> dict[str, Measured]:
    """All steps with so many records, printed."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_annotations(folder, n_records)
        steps: dict[str, Measured] = {}
        for step in STEPS:
            steps[step] = in_child(step, folder)
            if step == "import":
                plant_clips(folder)
                plant_leaks(folder)
            say(step, steps[step])
    return steps


def say(step: str, measured: Measured) -> None:
    """A line of the table, and below it what was counted."""
    print(f"{step:<16}{measured['wall_s']:>8.1f}{measured['cpu_s']:>8.1f}{measured['peak_mb']:>10.0f}")
    counts = measured["counts"]
    assert isinstance(counts, dict)
    print("   " + ", ".join(f"{name} {n}" for name, n in counts.items()), flush=True)


def main() -> None:
    """Measures once and with twice the records, and prints a table and one JSON line; exit code 1 if a limit is exceeded."""
    n_records = int(sys.argv[1]) if len(sys.argv) > 1 else sum(RECORDS.values())
    load = os.getloadavg()[0]
    cases: dict[str, object] = {}
    faults: list[str] = []
    for n in (n_records, 2 * n_records):
        print(f"{f'{n} records':<16}{'wall s':>8}{'CPU s':>8}{'peak MB':>10}")
        steps = measure(n)
        timed = [steps[step] for step in ("import", "split", "export")]
        wall_s, cpu_s = (sum(float(each[name]) for each in timed) for name in ("wall_s", "cpu_s"))  # type: ignore[arg-type]
        peak_mb = max(float(each["peak_mb"]) for each in timed)  # type: ignore[arg-type]
        print(f"{'all three':<16}{wall_s:>8.1f}{cpu_s:>8.1f}{peak_mb:>10.0f}\n")
        cases[str(n)] = {"wall_s": wall_s, "cpu_s": cpu_s, "peak_mb": peak_mb, "steps": steps}
        planted = steps["planted leaks"]["counts"]
        assert isinstance(planted, dict)
        if planted["found"] != planted["planted"] or planted["written"]:
            faults.append(f"of {planted['planted']} planted leaks {planted['found']} were found")
        if n == n_records and (cpu_s > LIMIT_S or peak_mb > LIMIT_MB):
            faults.append(f"{cpu_s:.0f} s and {peak_mb:.0f} MB, not {LIMIT_S} s and {LIMIT_MB} MB")
    print(f"load {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    versions = {"python": platform.python_version(), "pyarrow": pyarrow.__version__, "pydantic": pydantic.VERSION}
    print(json.dumps({"name": "dataset", "cases": cases, "versions": versions | {"numpy": numpy.__version__}}))
    if faults:
        sys.exit("; ".join(faults))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        as_child(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
