"""Every figure of a report once more, by a script that shares nothing with the package but the records.

The run is of the arena, played through the real loop by a teacher with many faults, in two runs, priced, and judged where its
references are stripped of what a rule could check.
"""

import asyncio
import json
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from zlib import crc32

import pytest
from rich.console import Console

import rescore
from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.rollout import Limits
from deepsport.arena.generate import load_truths, make_set
from deepsport.arena.oracle import Oracle, guess
from deepsport.bench.evaluate import evaluate
from deepsport.bench.judged.judging import needs_judge
from deepsport.bench.measure import compare
from deepsport.bench.report import Report
from deepsport.bench.reporting.rows import groups
from deepsport.bench.reporting.table import LEFT_OUT, render
from deepsport.bench.result import Result
from deepsport.bench.tasks import load_questions
from deepsport.errors import PolicyError
from deepsport.policy.base import Message, Reply, Sampling, Session
from deepsport.records import Episode, FreeText, Question, TokenRecord
from deepsport.reward.judge import Unscored, Verdict, scored, unscored
from deepsport.run import Run
from deepsport.video.source import FrameSource
from made_runs import made_run

JUDGED = {"soccer", "tennis", "diving", "volleyball", "badminton", "baseball"}
NOT_REDONE = {"BLEU", "chrF"}
PRICES = {"model": "m", "base_url": "http://localhost:1/v1", "prompt_usd": 2.5, "reply_usd": 10.0}


@dataclass(frozen=True)
class Erratic:
    """The arena's teacher, but for a fault drawn for each conversation."""

    oracle: Oracle
    name: str = "erratic"

    def session(self, sampling: Sampling) -> Session:
        return Conversation(self.oracle.session(sampling), random.Random(sampling.seed))


class Conversation:
    def __init__(self, teacher: Session, chance: random.Random) -> None:
        self.teacher, self.chance, self.n = teacher, chance, 0
        self.fault = chance.choice(["none", "none", "guess", "wide", "form", "lost", "again", "letter", "astray", "word", "on"])

    async def reply(self, messages: Sequence[Message]) -> Reply:
        said = await self.teacher.reply(messages)
        self.n += 1
        return Reply(
            text=self.say(said.text), prompt_tokens=self.chance.randint(500, 3000), reply_tokens=self.chance.randint(5, 90)
        )

    def say(self, text: str) -> str:
        question: Question = self.teacher.question  # type: ignore[attr-defined]
        match self.fault:
            case "lost":
                raise PolicyError("the line went dead")
            case "form":
                return "I would say so."
            case "wide" if self.n == 1:
                return write_call("first all of it", 0, 90)
            case "astray" if self.n <= 2:
                return write_call("somewhere else", 3 * self.n, 3 * self.n + 5)
            case "again" if self.n <= 2:
                return write_call("the same frames", 0, 90 + self.n)
            case "on":
                return write_call("once more", 10 * self.n, 10 * self.n + 20)
            case "guess" | "astray":
                return write_answer("a guess", guess(question, self.chance))
            case "letter" if "<answer>" in text and question.gold and question.gold.kind == "choice":
                return write_answer("so", self.chance.choice(["A", "(B)", "The answer is A.", "B"]))
            case "word" if "<answer>" in text and question.gold and question.gold.kind == "number":
                return write_answer("so", self.chance.choice(["two", "I count three.", "1", "many", "2 or 3"]))
            case _:
                return text

    def tokens(self) -> TokenRecord | None:
        return None


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("rescored")
    make_set(folder / "set", n_clips=12, seed=5)
    questions = [judged_only(one) for one in load_questions(folder / "set" / "questions.jsonl")]
    policy = Erratic(Oracle(load_truths(folder / "set"), questions))
    with Run.open(folder / "playing", None) as run, FrameSource() as source:
        acting = evaluate(questions, policy, source, run, "e.jsonl", limits=Limits(max_turns=4), sampling=Sampling(), n_runs=2)
        episodes = asyncio.run(acting)
    verdicts = {one.id: verdict_on(one) for one in episodes if needs_judge(one)}
    made = made_run(folder / "run", episodes, verdicts, system="erratic", endpoint=PRICES)
    config = (made.folder / "config.toml").read_text().replace("runs = 1", "runs = 2")
    (made.folder / "config.toml").write_text(config)
    from deepsport.bench.result import load_result

    return load_result(made.folder)


def judged_only(question: Question) -> Question:
    """Comments on some sports without their facts: then only the reference itself is scored by rule, and a judge has to say."""
    gold = question.gold
    if isinstance(gold, FreeText) and question.sport in JUDGED:
        return question.model_copy(update={"gold": gold.model_copy(update={"facts": (), "answer": f"{gold.answer} indeed"})})
    return question


def verdict_on(episode: Episode) -> Verdict:
    points = crc32(episode.id.encode()) % 11
    return scored(points, "so", "judge/1") if points % 3 else unscored(Unscored.ABSTAINED, "unsure", "judge/1")


@pytest.fixture(scope="module")
def report(played: Result) -> Report:
    return compare({"erratic": played.scores})


@pytest.fixture(scope="module")
def again(played: Result) -> dict[str, dict]:
    """By the script, as somebody else would run it: in a process that cannot import the package."""
    script = Path(rescore.__file__)
    said = subprocess.run([sys.executable, "-I", "-S", script, played.folder], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)


def test_the_script_knows_nothing_of_the_package():
    assert "deepsport" not in Path(rescore.__file__).read_text().replace("DeepSport", "")


def test_the_run_has_all_there_is_to_count(played: Result, report: Report):
    """Otherwise equal figures would say little."""
    one = report.systems["erratic"]
    assert len(played.scores) > 60
    assert set(one.stop_reasons) >= {"answered", "format_error", "policy_error", "max_turns"}
    assert set(one.failures) == {"tool_grounding", "visual_hallucination", "other"}
    assert set(one.by_answer) == {"choice", "number", "text"}
    assert set(one.by_ease) == {"easy", "needs_look"}
    assert one.n_runs == 2
    assert one.texts is not None
    assert min(one.texts.n_judged, one.texts.n_without_verdict, one.unscored) > 0
    assert {score.accuracy for score in played.scores} > {0.0, 1.0, None}
    assert min(one.redundant_call_rate or 0, one.over_call_rate or 0, one.temporal_iou or 0, one.usd_per_right or 0) > 0


def test_every_printed_digit_of_the_table_is_found_again(report: Report, again: dict[str, dict]):
    """Rows, and what stands in them but for intervals: neither side may have one that the other lacks."""
    ours = {
        group.title: {
            line.label: counted(line.cells[0].figure, line.cells[0].span) for line in group.lines if line.label not in NOT_REDONE
        }
        for group in groups(report.systems)
    }
    assert ours == again["printed"]


def counted(figure: str, span: str) -> str:
    """The share beside a count is a figure; an interval beside a score is not redone."""
    return f"{figure} ({span})" if "%" in span else figure


def test_the_terminal_prints_those_figures(report: Report, again: dict[str, dict]):
    out = StringIO()
    Console(file=out, width=200).print(render(report))
    printed = [" ".join(line.split()) for line in out.getvalue().splitlines() if line.strip()]
    for group, rows in again["printed"].items():
        for label, figure in {} if group in LEFT_OUT else rows.items():
            plain = " ".join(figure.split())
            assert any(re.match(rf"{re.escape(label)}( per question)? {re.escape(plain)}( |$)", line) for line in printed), (
                label,
                plain,
            )


def test_report_json_holds_those_figures(report: Report, again: dict[str, dict]):
    written = json.loads(report.model_dump_json())["systems"]["erratic"]
    figures = again["figures"]
    for name in written.keys() & figures.keys() - {
        "reward",
        "turns",
        "numbers",
        "texts",
        "by_sport",
        "by_dimension",
        "by_answer",
        "by_ease",
    }:
        assert figures[name] == pytest.approx(written[name], rel=1e-12), name
    assert figures["reward"] == pytest.approx(written["reward"]["total"], rel=1e-12)
    assert figures["well_formed"] == pytest.approx(written["reward"]["well_formed"], rel=1e-12)
    for by in ("by_sport", "by_dimension", "by_answer", "by_ease"):
        assert written[by].keys() == figures[by].keys()
        for name, part in written[by].items():
            assert figures[by][name] == pytest.approx([part["score"], part["n"]], rel=1e-12), (by, name)
    for at, other in zip(written["turns"], figures["turns"], strict=True):
        assert {name: at[name] for name in other} == pytest.approx(other, rel=1e-12)
    assert written["numbers"].keys() == figures["numbers"].keys()
    for name, of in written["numbers"].items():
        assert of == pytest.approx(figures["numbers"][name], rel=1e-12)
    assert {name: written["texts"][name] for name in figures["texts"]} == pytest.approx(figures["texts"], rel=1e-12)


def test_a_changed_answer_changes_what_the_script_finds(played: Result, again: dict[str, dict], tmp_path: Path):
    right = next(episode for episode, score in zip(played.episodes, played.scores, strict=True) if score.accuracy == 1)
    lines = (played.folder / "episodes.jsonl").read_text().splitlines()
    changed = [
        line.replace(f'"answer":{json.dumps(right.answer)},"stop"', '"answer":"nonsense","stop"')
        if f'"id":"{right.id}"' in line
        else line
        for line in lines
    ]
    assert changed != lines
    for name in ("config.toml", "verdicts.jsonl"):
        (tmp_path / name).write_bytes((played.folder / name).read_bytes())
    (tmp_path / "episodes.jsonl").write_text("\n".join(changed) + "\n")
    assert rescore.main(tmp_path)["figures"]["score"] < again["figures"]["score"]
