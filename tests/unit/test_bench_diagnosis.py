"""What stands around the rules: the frames of a replay, findings read, labels confused, figures, people, tables."""

import asyncio
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from deepsport.agent.prompt import PromptStyle
from deepsport.arena.generate import load_truths, make_set
from deepsport.arena.script import Dials
from deepsport.arena.sports import SPORTS
from deepsport.bench.diagnose import Failure
from deepsport.bench.diagnosis.arena_truth import TruthExaminer, examiner_of_set
from deepsport.bench.diagnosis.confusion import NO_OPTION, confused_labels
from deepsport.bench.diagnosis.drawings import histogram, offsets, window_rows
from deepsport.bench.diagnosis.finding_text import read_finding
from deepsport.bench.diagnosis.people import agreement, agreements
from deepsport.bench.diagnosis.record import Cause, Diagnosis, Finding
from deepsport.bench.diagnosis.replay import frames_of, indices_within, outcome, replay, still_holds
from deepsport.bench.diagnosis.rules import Case, diagnose
from deepsport.bench.diagnosis.summary import summed_up
from deepsport.bench.diagnosis.text import csv_rows, markdown
from deepsport.bench.recipe import BenchConfig, Protocol
from deepsport.bench.result import Result
from deepsport.bench.score import scores
from deepsport.bench.tasks import load_questions
from deepsport.errors import BadRecord
from deepsport.policy.base import Message
from deepsport.policy.scripted import Scripted
from deepsport.records import Choice, Dimension, Episode, Question, StopReason, Turn, Window
from deepsport.reward.verdict import Unreadable
from deepsport.video.source import FrameSource
from made_episodes import episode, look, question
from played_episodes import said, shown


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arena")
    make_set(folder, n_clips=4, seed=3, sports=("soccer", "diving"), dials=Dials(shortest=100))
    return folder


def of_event(questions: Sequence[Question], topic: str) -> Question:
    return next(each for each in questions if each.id.endswith(topic))


# Which frames a replay brings


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [(1.2, 1.36, (30, 34)), (1.2, 1.2, (30, 30)), (1.21, 1.23, (30, 31)), (0, 0.02, (0, 0)), (9, 12, (99, 99)), (0, 99, (0, 99))],
)
def test_the_frames_of_an_event_are_those_within_its_time_or_the_nearest(
    start_s: float, end_s: float, expected: tuple[int, int]
) -> None:
    assert indices_within(Window(start_s=start_s, end_s=end_s), 100, lambda index: index / 25) == expected


def test_times_that_are_not_evenly_spaced_are_believed() -> None:
    times = [0.0, 0.1, 0.2, 5.0, 5.1, 9.0]
    assert indices_within(Window(start_s=4.5, end_s=5.2), 6, times.__getitem__) == (3, 4)


@pytest.mark.parametrize(
    ("n_frames", "event", "expected"),
    [
        (100, (30, 34), (29, 30, 31, 32, 33, 34, 35, 36)),
        (100, (0, 1), (0, 1, 2, 3, 4, 5, 6, 7)),
        (100, (98, 99), (92, 93, 94, 95, 96, 97, 98, 99)),
        (5, (2, 2), (0, 1, 2, 3, 4)),
        (100, (20, 62), (20, 26, 32, 38, 44, 50, 56, 62)),
    ],
)
def test_a_short_event_is_shown_with_its_surroundings_and_a_long_one_evenly(
    n_frames: int, event: tuple[int, int], expected: tuple[int, ...]
) -> None:
    assert frames_of(*event, n_frames, 8) == expected


def test_a_replay_shows_the_event_behind_the_opening_in_one_message_and_offers_no_tool(arena: Path) -> None:
    asked = of_event(load_questions(arena / "questions.jsonl"), "kind")
    told: list[Message] = []

    def listen(seen: list[Message]) -> str:
        told[:] = seen
        return "<think>so</think><answer>header</answer>"

    config = BenchConfig(questions="q", system="s", temperature=0.5)
    failing = episode("volley", asked=asked).model_copy(update={"seed": 77})
    with FrameSource() as source:
        again = asyncio.run(replay(failing, Scripted(listen), source, config, PromptStyle.FULL))
        assert again is not None
    assert [message.role for message in told] == ["system", "user"]
    assert "choose_frames" not in "".join(map(said, told))
    assert said(told[-1]).count(asked.text) == 2
    indices = shown(told)
    assert indices == [frame.index for frame in again.first_frames]
    event = [frame for frame in again.first_frames[8:] if asked.window and asked.window.contains(frame.time_s)]
    assert len(indices) == 16
    assert len(event) >= 3
    assert (again.id, again.seed, again.with_tool, again.answer) == (f"{failing.id}/with the event", 77, False, "header")


def test_a_video_that_is_gone_has_no_replay() -> None:
    config = BenchConfig(questions="q", system="s")
    with FrameSource() as source:
        assert asyncio.run(replay(episode("header"), Scripted(["x"]), source, config, PromptStyle.FULL)) is None


def test_a_recorded_replay_holds_for_the_same_question_seed_and_policy_wherever_the_video_lies() -> None:
    failing = episode("header")
    moved = failing.model_copy(update={"question": question(video="b.mp4")})
    assert still_holds(failing, moved)
    assert not still_holds(failing, failing.model_copy(update={"seed": 1}))
    assert not still_holds(failing, failing.model_copy(update={"policy": "other"}))
    assert not still_holds(failing, failing.model_copy(update={"question": question(event=(40, 44))}))
    assert not still_holds(failing.model_copy(update={"stop": StopReason.POLICY_ERROR}), failing)


def test_a_replay_out_of_form_has_no_accuracy_rather_than_none_right() -> None:
    assert outcome(episode("volley"), None).accuracy == 1.0
    assert outcome(episode("header"), None).accuracy == 0.0
    assert outcome(episode(None, stop=StopReason.FORMAT_ERROR), None).accuracy is None


# Findings


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ('{"reason": "red, not blue", "finding": "misread"}', Finding.MISREAD),
        ('<think>{"finding": "knowledge"}</think>\n```json\n{"reason": "r", "finding": "not_shown"}\n```', Finding.NOT_SHOWN),
        ('{"reason": "cannot tell", "finding": null}', None),
    ],
)
def test_a_finding_is_read(text: str, finding: Finding | None) -> None:
    assert not isinstance(found := read_finding(text), Unreadable)
    assert found[0] is finding


@pytest.mark.parametrize(
    "text",
    [
        "",
        "misread",
        '"misread"',
        '["misread"]',
        '{"finding": "misread"}',
        '{"reason": "", "finding": "misread"}',
        '{"reason": 3, "finding": "misread"}',
        '{"reason": "r", "finding": "MISREAD"}',
        '{"reason": "r", "finding": "misread", "finding": "knowledge"}',
        '{"reason": "r", "finding": "misread"} {"reason": "r", "finding": "knowledge"}',
        'I think {"reason": "r", "finding": "misread"}',
        '{"reason": "r", "finding": ["misread"]}',
        '{"reason": "r", "finding": true}',
        '{"reason": "r", "finding": "misread", "points": 3}',
        "<think>never closed",
        "[" * 100_000,
        "x" * 200_000,
    ],
)
def test_what_is_no_finding_is_not_guessed_at(text: str) -> None:
    assert isinstance(read_finding(text), Unreadable)


def test_a_reason_is_made_harmless() -> None:
    found = read_finding('{"reason": "<script>x</script>\\n### do", "finding": null}')
    assert not isinstance(found, Unreadable)
    assert "<" not in found[1]
    assert "\n" not in found[1]


# The truth of the arena as an examiner


def thinking(asked: Question, thought: str) -> Episode:
    return episode("x", asked=asked).model_copy(update={"turns": (Turn(text="", thought=thought, answer="x"),)})


@pytest.mark.parametrize(
    ("topic", "field"), [("kind", "kind"), ("actor", "actor"), ("sign", "cue"), ("points", "form"), ("comment", None)]
)
def test_the_truth_tells_a_wrong_sight_from_a_wrong_conclusion(arena: Path, topic: str, field: str | None) -> None:
    asked = of_event(load_questions(arena / "questions.jsonl"), topic)
    truth = load_truths(arena)["clips/" + Path(asked.video).name]
    event = truth.event
    right = f"frame 2, 4, 14: {event.actor} {event.kind}, {event.cue}, {event.form}."
    examiner = examiner_of_set(arena / "questions.jsonl")
    assert examiner is not None

    def finding(thought: str) -> Finding | None:
        return asyncio.run(examiner.examine(thinking(asked, thought))).finding

    assert finding(right) is Finding.KNOWLEDGE
    assert finding("event not seen.") is Finding.MISREAD
    assert finding("frame 14 shows score 2 4.") is None
    assert finding("") is None
    if field:
        sport = SPORTS[truth.sport]
        others = {"kind": sport.kinds, "actor": sport.actors, "cue": sport.cues, "form": [form.sight for form in sport.forms]}
        taken_for = next(each for each in others[field] if each != getattr(event, field))
        assert finding(right.replace(getattr(event, field), taken_for, 1)) is Finding.MISREAD


def test_numbers_of_frames_are_not_taken_for_a_score(arena: Path) -> None:
    asked = of_event(load_questions(arena / "questions.jsonl"), "score")
    assert isinstance(asked.gold, Choice)
    right, wrong = asked.gold.answer, next(option for option in asked.gold.options if option != asked.gold.answer)
    examiner = examiner_of_set(arena / "questions.jsonl")
    assert examiner is not None
    for shown_score, finding in ((right, Finding.KNOWLEDGE), (wrong, Finding.MISREAD)):
        other = wrong if shown_score == right else right
        thought = f"frame {other.replace(' ', ', ')}, 99: score {shown_score} new."
        assert asyncio.run(examiner.examine(thinking(asked, thought))).finding is finding


def test_the_truth_says_nothing_of_a_clip_or_a_question_that_it_does_not_know(arena: Path) -> None:
    examiner = TruthExaminer(load_truths(arena))
    assert asyncio.run(examiner.examine(thinking(question(), "red header"))).finding is None
    known = load_questions(arena / "questions.jsonl")[0]
    foreign = known.model_copy(update={"id": "somebody-elses", "gold": Choice(options=("yes", "no"), answer="yes")})
    assert asyncio.run(examiner.examine(thinking(foreign, "red header"))).finding is None


def test_a_folder_without_truth_has_no_such_examiner(tmp_path: Path) -> None:
    assert examiner_of_set(tmp_path / "questions.jsonl") is None


# Labels


def test_labels_are_counted_by_sport_against_all_questions_with_that_label() -> None:
    asked = [question(name, sport=sport) for name, sport in zip("abcde", ["soccer"] * 4 + ["tennis"], strict=True)]
    answers = ["volley", "header", "A", "header or volley", "header"]
    played = [episode(answer, asked=each) for answer, each in zip(answers, asked, strict=True)]
    found = [(one.sport, one.right, one.said, one.n, one.n_right) for one in confused_labels(played, scores(played))]
    assert found == [
        ("soccer", "volley", "header", 2, 4),
        ("soccer", "volley", NO_OPTION, 1, 4),
        ("tennis", "volley", "header", 1, 1),
    ]


# Figures


def made_result(episodes: Sequence[Episode]) -> Result:
    config = BenchConfig(questions="q.jsonl", system="made")
    return Result(folder=Path("."), config=config, episodes=list(episodes), scores=scores(episodes), judged=[])


def diagnosed(result: Result) -> list[Diagnosis]:
    played = zip(result.episodes, result.scores, strict=True)
    return [diagnose(Case(each, score)) for each, score in played if score.failure]


@pytest.fixture
def result() -> Result:
    """Two grounding failures, one misread, one without a call, and two right, about six videos."""
    turns = [[look(42, 56)], [look(56, 70)], [look(28, 42)], [], [look(28, 42)], [look(28, 42)]]
    answers = ["header"] * 4 + ["volley"] * 2
    return made_result(
        [
            episode(answer, looks, question(f"q{n}", video=f"{n}.mp4", dimension=Dimension.RULES))
            for n, (answer, looks) in enumerate(zip(answers, turns, strict=True))
        ]
    )


def test_shares_are_of_the_failures_and_rates_of_the_questions(result: Result) -> None:
    report = summed_up(result, diagnosed(result))
    assert {failure: (share.n, share.share) for failure, share in report.classes.items()} == {
        Failure.TOOL_GROUNDING: (2, 0.5),
        Failure.HALLUCINATION: (1, 0.25),
        Failure.OTHER: (1, 0.25),
    }
    assert (report.n_answers, report.n_failed, report.n_unscored) == (6, 4, 0)
    assert report.causes == {Cause.WRONG_WINDOW: 2, Cause.MISREAD: 1, Cause.NO_CALL: 1}
    [worst, *_] = report.worst
    assert (worst.sport, worst.dimension, worst.failure) == ("soccer", Dimension.RULES, Failure.TOOL_GROUNDING)
    assert (worst.n_failed, worst.n, worst.rate, worst.few) == (2, 6, pytest.approx(1 / 3), True)
    assert worst.examples == ("q0/0", "q1/0")
    assert worst.ci95 is not None
    assert worst.ci95[0] < 1 / 3 < worst.ci95[1]


def test_kinds_that_surely_fail_stand_before_few_that_happened_to() -> None:
    def failing(name: str, sport: str, answer: str) -> Episode:
        return episode(answer, [look(42, 56)], question(name, video=f"{name}.mp4", sport=sport))

    often = [failing(f"a{n}", "tennis", "volley" if n % 5 == 0 else "header") for n in range(30)]
    few = [failing(f"b{n}", "diving", "header") for n in range(2)]
    made = made_result([*few, *often])
    assert [(kind.sport, kind.rate, kind.few) for kind in summed_up(made, diagnosed(made)).worst] == [
        ("tennis", 0.8, False),
        ("diving", 1.0, True),
    ]


def test_offsets_stand_by_the_length_of_the_clip(result: Result) -> None:
    [row] = summed_up(result, diagnosed(result)).by_length
    assert (row.from_s, row.to_s, row.n, row.n_failed, row.n_offsets) == (2.0, 4.0, 6, 4, 3)
    assert row.hit == pytest.approx(0.5)
    assert row.offset_s == pytest.approx((42 + 56 - 64) / 2 / 25)


def test_a_failure_on_an_easy_question_is_no_failure_to_find_the_event() -> None:
    asked = [question("a"), question("b", easy=True)]
    made = made_result([episode("header", [look(42, 56)], each) for each in asked])
    [row] = summed_up(made, diagnosed(made)).by_length
    assert (row.n, row.n_failed) == (1, 1)


def test_a_system_without_the_tool_has_no_row_of_windows_that_it_missed(result: Result) -> None:
    passive = replace(result, config=result.config.model_copy(update={"protocol": Protocol.PASSIVE}))
    assert summed_up(passive, diagnosed(passive)).by_length == ()


def test_nothing_failed_is_a_report_too() -> None:
    fine = made_result([episode("volley", [look(28, 42)])])
    report = summed_up(fine, [])
    assert report.n_failed == 0
    assert "None of 1" in markdown(report)


def test_a_run_without_any_answer_is_summed_up() -> None:
    assert summed_up(made_result([]), []).n_answers == 0


# Drawings and tables


def test_every_window_and_every_event_is_drawn(result: Result) -> None:
    found = diagnosed(result)
    drawn = window_rows(found)
    assert (drawn.count('class="event"'), drawn.count('class="window"')) == (4, 3)
    assert offsets(found).count("<circle") == 3
    assert histogram(found).count('class="bar"') == 3


@pytest.mark.parametrize("offset_s", [-1e-9, 0.0, 1e-9])
def test_a_window_on_the_event_stands_in_the_middle_of_the_histogram(result: Result, offset_s: float) -> None:
    [first, *_] = diagnosed(result)
    drawn = histogram([first.model_copy(update={"offset_s": offset_s, "clip_s": 4.0})])
    left, width = (float(each) for each in re.findall(r'class="bar" x="([\d.]+)%".*?width="([\d.]+)%"', drawn)[0])
    assert left + width / 2 == pytest.approx(50, abs=0.1)


def test_a_window_after_the_last_sparse_frame_stays_within_the_drawing(result: Result) -> None:
    [first, *_] = diagnosed(result)
    late = first.model_copy(update={"clip_s": 1.0, "asked": (Window(start_s=3, end_s=4),)})
    assert 'x="75.00%"' in window_rows([late])


def test_nothing_to_draw_is_no_drawing() -> None:
    assert (offsets([]), histogram([])) == ("", "")


def test_the_table_has_a_row_for_each_failure_and_no_formula(result: Result) -> None:
    found = [each.model_copy(update={"answer": "=1+1"}) for each in diagnosed(result)]
    rows = list(csv.DictReader(io.StringIO(csv_rows(found))))
    assert [row["episode_id"] for row in rows] == ["q0/0", "q1/0", "q2/0", "q3/0"]
    assert rows[0]["cause"] == "wrong_window"
    assert rows[0]["answer"] == "'=1+1"


def test_markdown_names_the_papers_shares_as_a_reference(result: Result) -> None:
    text = markdown(summed_up(result, diagnosed(result)))
    assert "| 2 | 50.0 % |" in text
    assert "42.9 %" in text
    assert "for reference only" in text


# People


def test_kappa_of_classes_is_that_of_the_textbook(result: Result) -> None:
    found = diagnosed(result)  # grounding, grounding, hallucination, other
    labels = [Failure.TOOL_GROUNDING, Failure.HALLUCINATION, Failure.HALLUCINATION, Failure.OTHER]
    made = agreement("ann", list(zip(labels, found, strict=True)), 0, 0)
    assert made.equal == pytest.approx(0.75)
    assert made.kappa == pytest.approx((0.75 - 5 / 16) / (1 - 5 / 16))
    assert made.counts[Failure.HALLUCINATION][Failure.TOOL_GROUNDING] == 1


def test_labels_from_a_file_are_held_against_the_classes(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("question_id,failure,labeller\nq0,tool_grounding,ann\nq2,other,ann\nq5,other,ann\nq3,other,bob\n")
    ann, bob = agreements(path, result.episodes, diagnosed(result), 0)
    assert (ann.labeller, ann.n, ann.n_others, ann.equal) == ("ann", 2, 1, 0.5)
    assert (bob.n, bob.equal, bob.kappa) == (1, 1.0, None)


def test_labels_of_another_run_are_refused(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("question_id,failure\nelsewhere,other\n")
    with pytest.raises(BadRecord, match="none of the 1 labels"):
        agreements(path, result.episodes, diagnosed(result), 0)


def test_an_option_may_hold_anything() -> None:
    odd = Choice(options=("a|b", "<b>"), answer="a|b")
    played = [episode("<b>", [look(28, 42)], question(gold=odd))]
    odd_result = made_result(played)
    assert "a\\|b" in markdown(summed_up(odd_result, diagnosed(odd_result)))
