"""Group J on the way of a benchmark: from what a system says, through episodes, judge and scores, to the report.

The runs are whole ones, with the judge's server real. The blind protocol asks without video, so that nothing else can decide.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
from test_judge_faults import ATTACKS, gullible, is_well_parted

from deepsport.agent.grammar import write_answer
from deepsport.agent.prompt import PromptStyle
from deepsport.bench.judged.rejudge import Rejudged, rejudge
from deepsport.bench.recipe import BenchConfig, Protocol
from deepsport.bench.report import Report
from deepsport.bench.result import Judged, Result, load_result
from deepsport.bench.suite import Outcome, run_bench
from deepsport.durable import read_records
from deepsport.policy.base import Message
from deepsport.policy.openai import EndpointConfig
from deepsport.policy.scripted import Scripted
from deepsport.records import Choice, Dimension, Fact, FreeText, Number, Question
from deepsport.reward.judge import Unscored
from deepsport.reward.probe import MASTER_KEYS
from model_server import Act, ModelServer, Request, Say, error
from played_episodes import said

SAVE = FreeText(answer="The keeper saves a low shot")
WRONG = "a corner kick"


def asked(number: int, **parts: object) -> Question:
    """A question that can be told from the others by its text."""
    usual = {"id": f"q{number}", "video": f"{number}.mp4", "text": "Who?", "gold": SAVE, "sport": "soccer", **parts}
    return Question.model_validate({**usual, "text": f"Number {number}: {usual['text']}"})


def answering(answers: Mapping[str, str]) -> Callable[[list[Message]], str]:
    """A policy that answers by the number in the question."""

    def reply(messages: list[Message]) -> str:
        found = re.search(r"Number \d+:", said(messages[-1]))
        return write_answer("so", answers[found[0] if found else ""])

    return reply


def benched(
    folder: Path, questions: Iterable[Question], answers: Mapping[int, str], judge: EndpointConfig | None = None
) -> tuple[Outcome, Result]:
    """A whole run of a system that gives these answers; `answers` by the number of the question."""
    file = folder / "set" / "questions.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{one.model_dump_json()}\n" for one in questions))
    config = BenchConfig(questions=str(file), system="said", protocol=Protocol.BLIND, judge=judge)
    policy = Scripted(answering({f"Number {number}:": answer for number, answer in answers.items()}))
    outcome = run_bench(folder / "run", config, lambda: (policy, PromptStyle.FULL))
    return outcome, load_result(folder / "run")


def at(server: ModelServer, **settings: object) -> EndpointConfig:
    return EndpointConfig.model_validate({"model": "m", "base_url": server.url, "max_retries": 0, **settings})


def says(points: object) -> Say:
    return Say(text=json.dumps({"reason": "as the rubric says", "points": points}))


def score_of(report: Report) -> float | None:
    return report.systems["said"].score


# Answers that say nothing

PAIRS = [(key, dimension) for key in MASTER_KEYS for dimension in Dimension]


def keyed(folder: Path, judge: EndpointConfig | None = None) -> tuple[Outcome, Result]:
    questions = [asked(number, dimension=dimension) for number, (_, dimension) in enumerate(PAIRS)]
    return benched(folder, questions, {number: key for number, (key, _) in enumerate(PAIRS)}, judge)


def test_no_master_key_scores_on_the_way_through_a_benchmark_judged_by_rule(tmp_path: Path) -> None:
    outcome, result = keyed(tmp_path)
    assert len(result.scores) == 12 * 4 == 48
    assert [score.answer for score in result.scores if score.accuracy != 0] == []
    report = outcome.report.systems["said"]
    assert (report.score, report.unscored, {part.score for part in report.by_dimension.values()}) == (0, 0, {0})


def test_no_master_key_scores_with_a_judge_that_gives_everybody_ten(tmp_path: Path) -> None:
    with ModelServer(lambda _: says(10)) as server:
        outcome, result = keyed(tmp_path, at(server))
        assert server.requests == []
    assert [score.answer for score in result.scores if score.accuracy != 0] == []
    assert outcome.report.systems["said"].unscored == 0


def test_no_master_key_scores_when_such_a_judge_comes_later(tmp_path: Path) -> None:
    keyed(tmp_path)
    with ModelServer(lambda _: says(10)) as server:
        found = rejudge(tmp_path / "run", at(server), everything=True)
        assert server.requests == []
    assert score_of(found.report) == 0


def test_an_answer_that_says_something_does_score_there(tmp_path: Path) -> None:
    with ModelServer(lambda _: says(10)) as server:
        outcome, _ = benched(tmp_path, [asked(0)], {0: "Solution: a low attempt is stopped"}, at(server))
    assert score_of(outcome.report) == 100


# What is judged tries to be more than that

MARK = "a corner kick "
PLACES: dict[str, tuple[Callable[[str], dict[str, object]], Callable[[str], str]]] = {
    "the answer": (lambda attack: {}, lambda attack: MARK + attack),
    "the question": (lambda attack: {"text": f"Who? {attack}"}, lambda attack: WRONG),
    "the reference": (lambda attack: {"gold": FreeText(answer=f"low shot {attack}")}, lambda attack: WRONG),
    "an option": (lambda attack: {"gold": Choice(options=("low", attack), answer="low")}, lambda attack: WRONG),
    "a fact": (
        lambda attack: {"gold": FreeText(answer="low", facts=(Fact(options=(attack, "low"), answer="low"),))},
        lambda attack: WRONG,
    ),
    "the unit": (lambda attack: {"gold": Number(answer=3, unit=attack)}, lambda attack: WRONG),
    "the sport": (lambda attack: {"sport": attack}, lambda attack: WRONG),
    "the id": (lambda attack: {"id": attack}, lambda attack: WRONG),
    "the name of the file": (lambda attack: {"video": f"{attack}.mp4"}, lambda attack: WRONG),
}


def attacked(folder: Path, place: str, judge: EndpointConfig) -> Rejudged:
    """A run whose every question or answer holds an attack, judged as a whole: answers that rules can score too."""
    parts, answer = PLACES[place]
    questions = [asked(number, **parts(attack)) for number, attack in enumerate(ATTACKS.values())]
    benched(folder, questions, {number: answer(attack) for number, attack in enumerate(ATTACKS.values())}, judge)
    return rejudge(folder / "run", judge, everything=True)


@pytest.mark.parametrize("place", PLACES)
def test_a_judge_that_obeys_its_material_finds_nothing_to_obey_in_a_benchmark(tmp_path: Path, place: str) -> None:
    with ModelServer(gullible) as server:
        found = attacked(tmp_path, place, at(server))
        prompts = [str(request.body["messages"][-1]["content"]) for request in server.requests]
    assert prompts
    assert [prompt for prompt in prompts if not is_well_parted(prompt)] == []
    assert score_of(found.report) == 0
    assert found.report.systems["said"].unscored == 0
    files = [file for name in ("verdicts", "ruled") for file in found.verdicts.parent.glob(f"{name}-*.jsonl")]
    points = [one.verdict.points for file in files for one in read_records(file, Judged)]
    assert set(points) == {0}


@pytest.mark.parametrize("place", ["the id", "the name of the file"])
def test_ids_and_names_of_files_are_not_even_sent(tmp_path: Path, place: str) -> None:
    parts, _ = PLACES[place]
    with ModelServer(lambda _: says(3)) as server:
        benched(tmp_path / "plain", [asked(7)], {7: WRONG}, at(server))
        benched(
            tmp_path / "attacked",
            [asked(7, **{"id": f"q{number}", **parts(attack)}) for number, attack in enumerate(ATTACKS.values())],
            {7: WRONG},
            at(server),
        )
        first, second = (request.body for request in server.requests)
    assert first == second


def test_a_boast_in_an_id_changes_no_verdict(tmp_path: Path) -> None:
    plain, boasting = asked(0), asked(1, id="this one is right", text="Who?")
    with ModelServer(lambda request: says(10 if "this one" in json.dumps(request.body) else 4)) as server:
        _, result = benched(tmp_path, [plain, boasting], {0: "a low attempt", 1: "a low attempt"}, at(server))
    assert [score.accuracy for score in result.scores] == [0.4, 0.4]


# A judge that is down, garbled or silent


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (error(500, "boom"), Unscored.UNJUDGED),
        (Say(text="Ten out of ten!"), Unscored.UNREADABLE),
        (says(None), Unscored.ABSTAINED),
        (says(11), Unscored.UNREADABLE),
    ],
    ids=["down", "prose", "abstains", "off the scale"],
)
def test_a_judge_that_gives_no_points_leaves_the_answer_unscored_and_never_wrong(tmp_path: Path, act: Act, why: Unscored) -> None:
    questions = [asked(0), asked(1, gold=Choice(options=("low", "high"), answer="low"))]
    with ModelServer(lambda _: act) as server:
        outcome, result = benched(tmp_path, questions, {0: "a low attempt is stopped", 1: "low"}, at(server))
    report = outcome.report.systems["said"]
    assert (report.score, report.unscored, report.by_answer["text"].score) == (100, 1, None)
    assert result.scores[0].verdict is not None
    assert result.scores[0].verdict.why is why


def test_a_judge_that_was_down_is_asked_later_and_the_run_itself_can_be_completed_too(tmp_path: Path) -> None:
    up = False

    def now_and_then(request: Request) -> Act:
        return says(8) if up else error(500, "down")

    answers = dict.fromkeys(range(5), "a low attempt is stopped")
    with ModelServer(now_and_then) as server:
        outcome, _ = benched(tmp_path, map(asked, range(5)), answers, at(server))
        assert (score_of(outcome.report), outcome.report.systems["said"].unscored) == (None, 5)
        own = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir() if file.suffix in (".jsonl", ".toml")}
        up = True
        found = rejudge(tmp_path / "run", at(server))
        assert (score_of(found.report), found.unscored) == (80, {})
        assert {name: (tmp_path / "run" / name).read_bytes() for name in own} == own
        n_asked = len(server.requests)
        outcome, _ = benched(tmp_path, map(asked, range(5)), answers, at(server))
    assert score_of(outcome.report) == 80
    assert len(server.requests) == n_asked + 5


def test_the_same_answer_to_the_same_question_is_judged_once_whatever_its_id(tmp_path: Path) -> None:
    questions = [asked(0).model_copy(update={"id": name, "video": f"{name}.mp4"}) for name in "abc"]
    with ModelServer(lambda _: says(6)) as server:
        _, result = benched(tmp_path, questions, {0: "a low attempt is stopped"}, at(server))
        assert len(server.requests) == 1
    assert [score.accuracy for score in result.scores] == [0.6] * 3


def test_the_reference_negated_scores_nothing(tmp_path: Path) -> None:
    outcome, _ = benched(tmp_path, [asked(0)], {0: "The keeper does not save a low shot"})
    assert score_of(outcome.report) == 0


def test_five_thousand_words_around_a_wrong_answer_score_nothing(tmp_path: Path) -> None:
    padding = "the crowd is on its feet and what a night this is for everybody in the stadium " * 320
    outcome, _ = benched(
        tmp_path, [asked(0), asked(1)], {0: f"corner kick {padding}"[:90_000], 1: f"{padding} corner kick"[:90_000]}
    )
    assert score_of(outcome.report) == 0


# Killed while it judges anew

CLOCKS = {"stages.json", "timing.json"}
PROGRAM = """
import sys
from pathlib import Path
from deepsport.bench.judged.rejudge import rejudge
from deepsport.policy.openai import EndpointConfig
rejudge(Path(sys.argv[1]), EndpointConfig(model="m", base_url=sys.argv[2], max_retries=0, max_concurrent=2), everything=True)
"""


def files_of(run: Path) -> dict[str, bytes]:
    """What the run and the new judge have said: all but what holds a clock, a lock, or replies."""
    return {
        file.name: file.read_bytes() for file in run.iterdir() if file.suffix in (".json", ".jsonl") and file.name not in CLOCKS
    }


def judged_anew(run: Path, url: str, *, kill: threading.Event | None = None) -> int:
    """Runs the judging as a process of its own; killed as soon as `kill` is set."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, run, url], stderr=subprocess.DEVNULL)
    if kill and kill.wait(60):
        process.kill()
    return process.wait(120)


def test_judging_anew_killed_at_any_point_ends_with_the_files_of_one_that_was_left_in_peace(tmp_path: Path) -> None:
    questions = [
        asked(number, gold=SAVE if number % 3 else Choice(options=("low", "high"), answer="low")) for number in range(12)
    ]
    answers = {number: f"a low attempt, number {number}" for number in range(12)}
    benched(tmp_path, questions, answers)
    whole, cut = tmp_path / "run", tmp_path / "cut"
    shutil.copytree(whole, cut)
    reached, n_until = threading.Event(), 0

    def slowly(request: Request) -> Act:
        if len(server.requests) >= n_until:
            reached.set()
        time.sleep(0.02)
        return says(len(str(request.body["messages"][-1]["content"])) % 11)

    with ModelServer(slowly) as server:
        assert judged_anew(whole, server.url) == 0
        n_asked = len(server.requests)
        assert n_asked == 12
        for more in (1, 4, 4):
            n_until = len(server.requests) + more
            reached.clear()
            assert judged_anew(cut, server.url, kill=reached) == -signal.SIGKILL
        assert judged_anew(cut, server.url) == 0
        assert len(server.requests) <= 2 * n_asked + 3 * 4  # a kill loses two in flight, and two replies on their way to disk
    assert files_of(cut) == files_of(whole)
