"""Every figure of a report, on a handful of episodes whose figures can be counted by hand."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsport.bench.diagnose import Failure, event_seen, failure, window_met
from deepsport.bench.measure import compare, measure, paired
from deepsport.bench.report import Report
from deepsport.bench.score import scores
from deepsport.errors import BadRecord
from deepsport.policy.openai.allowance import Price
from deepsport.records import Dimension, Episode, FreeText, Number, StopReason, Usage, Window
from deepsport.reward.gated import GatedReward
from made_episodes import episode, frame, look, malformed, question, refused

REWARD = GatedReward()
HIT, MISS = look(28, 42), look(70, 84)


def six_questions() -> list[Episode]:
    """Right after a hit, wrong after a hit, wrong after a miss, malformed, easy without and with a call."""
    easy = {"event": None, "easy": True, "dimension": Dimension.RULES}
    return [
        episode("volley", [HIT], question("a", video="1.mp4")),
        episode("header", [HIT], question("b", video="1.mp4")),
        episode("header", [MISS], question("c", video="2.mp4", sport="tennis")),
        episode(None, [malformed()], question("d", video="2.mp4", sport="tennis"), StopReason.FORMAT_ERROR),
        episode("volley", [], question("e", video="3.mp4", **easy)),
        episode("volley", [refused(200, 100), HIT], question("f", video="3.mp4", **easy)),
    ]


def test_the_score_is_the_mean_accuracy_and_a_format_error_counts_zero():
    report = measure(scores(six_questions()))
    assert report.score == pytest.approx(50)
    assert (report.n_questions, report.n_videos, report.unscored, report.chance) == (6, 3, 0, 50)
    assert report.stop_reasons == {StopReason.ANSWERED: 5, StopReason.FORMAT_ERROR: 1}
    assert report.ci95 is not None
    assert 0 <= report.ci95[0] < 50 < report.ci95[1] <= 100


def test_rates_are_counted_as_by_hand():
    report = measure(scores(six_questions()))
    assert report.valid_action_rate == pytest.approx(9 / 11)
    assert report.tool_calls_per_question == pytest.approx(5 / 6)
    assert report.grounding_hit_rate == pytest.approx(2 / 4)
    assert report.event_seen_rate == pytest.approx(2 / 4)
    assert report.over_call_rate == pytest.approx(1 / 2)
    assert report.frames_per_question == pytest.approx(8 + 4 * 8 / 6)


def test_parts_add_up_to_the_whole():
    report = measure(scores(six_questions()))
    assert {sport: (part.score, part.n) for sport, part in report.by_sport.items()} == {"soccer": (75, 4), "tennis": (0, 2)}
    assert {name: part.score for name, part in report.by_dimension.items()} == {"recognition": 25, "rules": 100}
    assert sum(part.n for part in report.by_answer.values()) == 6
    assert {name: (part.score, part.n) for name, part in report.by_ease.items()} == {"easy": (100, 2), "needs_look": (25, 4)}


def test_the_mean_reward_keeps_its_parts():
    means = measure(scores(six_questions())).reward
    assert means is not None
    assert means.total == pytest.approx((1.5 + 0.03 + 0.03 - 0.05 + 1 + 1.5) / 6)
    assert means.accuracy + means.tool + means.format_penalty == pytest.approx(means.total)
    assert means.well_formed == pytest.approx(5 / 6)


@pytest.mark.parametrize("stop", [StopReason.POLICY_ERROR, StopReason.VIDEO_ERROR])
def test_faults_are_counted_and_change_no_figure(stop: StopReason):
    lost = episode(None, [look(0, 5)], question("lost"), stop)
    before, after = measure(scores(six_questions())), measure(scores([*six_questions(), lost]))
    assert (after.n_questions, after.unscored, after.stop_reasons[stop]) == (7, 1, 1)
    counted = {"n_questions", "n_videos", "unscored", "stop_reasons"}
    assert after.model_dump(exclude=counted) == before.model_dump(exclude=counted)


def test_an_answer_that_awaits_a_judge_is_unscored_but_its_looks_count():
    waiting = episode("a strike in the air", [HIT], question("w", gold=FreeText(answer="a volley")))
    report = measure(scores([waiting]))
    assert (report.score, report.ci95, report.reward, report.unscored) == (None, None, None, 1)
    assert report.grounding_hit_rate == 1.0


def test_nothing_measured_is_none_and_never_zero():
    report = measure([])
    rates = (report.valid_action_rate, report.grounding_hit_rate, report.over_call_rate, report.frames_per_question)
    assert (report.score, report.ci95, *rates) == (None,) * 6


def test_a_question_measured_twice_is_refused_by_name():
    with pytest.raises(BadRecord, match="'a' was measured more than once"):
        measure(scores([episode("volley", [], question("a"))] * 2))


def test_a_pair_compares_the_questions_that_both_have_a_verdict_on():
    ours = [episode("volley", [], question(str(i), video=f"{i}.mp4")) for i in range(6)]
    theirs = [episode("header", [], question(str(i), video=f"{i}.mp4")) for i in range(5)]
    lost = episode(None, [], question("5", video="5.mp4"), StopReason.POLICY_ERROR)
    report = paired(scores(ours), scores([*theirs, lost]))
    assert (report.difference, report.n, report.better, report.worse) == (100, 5, 5, 0)
    assert report.p == pytest.approx(2 / 32)
    assert report.ci95 is not None
    assert report.ci95[1] == 100


def test_systems_without_a_common_question_cannot_be_compared():
    with pytest.raises(BadRecord, match="no scored question in common"):
        paired(scores([episode("volley", [], question("a"))]), scores([episode("volley", [], question("b"))]))


def test_the_report_has_the_layout_of_report_json_and_reads_back():
    names = ("no_tool", "sft", "sft_rl")
    report = compare(dict.fromkeys(names, scores(six_questions())), seed=3, seconds_per_stage={"sft": 1.5}, versions={"av": "18"})
    written = json.loads(report.model_dump_json())
    assert list(written) == ["systems", "paired", "seed", "seconds_per_stage", "versions"]
    assert list(written["systems"]) == list(names)
    assert list(written["paired"]) == ["sft_rl_minus_sft", "sft_minus_no_tool"]
    assert {"difference", "ci95", "p", "n"} <= set(written["paired"]["sft_minus_no_tool"])
    assert len(written["systems"]["sft"]["ci95"]) == 2
    assert Report.model_validate(written) == report


def test_the_same_episodes_and_seed_give_the_same_report():
    assert measure(scores(six_questions()), seed=5) == measure(scores(six_questions()), seed=5)


@pytest.mark.parametrize(
    ("made", "cause"),
    [
        (episode("volley", [HIT]), None),
        (episode("header", [HIT]), Failure.HALLUCINATION),
        (episode("header", [MISS]), Failure.TOOL_GROUNDING),
        (episode("header", [refused(5, 3)]), Failure.TOOL_GROUNDING),
        (episode("header", []), Failure.OTHER),
        (episode(None, [HIT, malformed()], stop=StopReason.FORMAT_ERROR), Failure.OTHER),
        (episode("header", [HIT], question(event=None)), Failure.OTHER),
        (episode("header", [], question(event=None, easy=True)), Failure.HALLUCINATION),
        (episode("header", [], question(event=(14, 14))), Failure.HALLUCINATION),
        (episode(None, [HIT], stop=StopReason.POLICY_ERROR), None),
    ],
)
def test_a_failure_is_classed_by_what_was_asked_for_and_shown(made: Episode, cause: Failure | None):
    assert failure(made, REWARD.score(made)) == cause


def test_a_window_that_meets_the_event_need_not_show_it():
    sparse = look(0, 98)
    wide = episode("header", [sparse.model_copy(update={"frames": (frame(0), frame(98))})])
    assert window_met(wide)
    assert not event_seen(wide)
    assert failure(wide, REWARD.score(wide)) == Failure.TOOL_GROUNDING


@given(st.lists(st.sampled_from(six_questions()), unique_by=lambda made: made.id), st.integers(0, 9))
def test_all_rates_stay_in_bounds_and_order_makes_no_difference_to_them(made: Sequence[Episode], seed: int):
    report = measure(scores(made), seed=seed)
    shares = (report.valid_action_rate, report.grounding_hit_rate, report.event_seen_rate, report.over_call_rate)
    assert all(share is None or 0 <= share <= 1 for share in shares)
    turned = measure(scores(made[::-1]), seed=seed)
    assert turned.score == pytest.approx(report.score)
    assert turned.failures == report.failures


# What nobody has judged, what nobody can count to, and instants


def test_what_nobody_has_judged_costs_no_right_answer_anything():
    """It may be right."""
    judged = episode("volley", [], question("a")).model_copy(update={"usage": Usage(prompt_tokens=100)})
    waiting = episode("a strike", [], question("w", gold=FreeText(answer="a volley")))
    waiting = waiting.model_copy(update={"usage": Usage(prompt_tokens=900)})
    report = measure(scores([judged, waiting], price=Price(prompt_usd=10)))
    assert (report.tokens_per_right, report.frames_per_right, report.usd_per_right) == (100, 8, pytest.approx(0.001))
    assert report.prompt_tokens_per_question == 500


@pytest.mark.parametrize("answer", ["1e999", "1.7e308", "9" * 400])
def test_an_absurd_number_is_no_number_and_makes_no_mean_infinite(answer: str):
    gold = Number(answer=3, unit="turns", tolerance=1)
    asked = [question(name, video=f"{name}.mp4", gold=gold) for name in "abc"]
    report = measure(scores([episode(said, [], one) for said, one in zip((answer, answer, "5"), asked, strict=True)]))
    found = report.numbers["soccer: turns"]
    assert (found.n, found.n_read, found.mean_absolute_error) == (3, 1, 2)


def test_a_reference_keeps_all_its_digits():
    made = scores([episode("7", [], question(gold=Number(answer=1234567.25)))])
    assert made[0].reference == "1234567.25"


def test_an_event_marked_as_an_instant_is_seen_in_the_frames_around_it_and_has_no_iou():
    """It falls between two frames."""
    asked = question().model_copy(update={"window": Window(start_s=0.85, end_s=0.85)})
    near, far = (scores([episode("header", [look(*span)], asked)])[0] for span in ((17, 25), (70, 84)))
    assert (near.hit, near.seen, near.seen_at, near.iou, near.failure) == (True, True, 1, None, Failure.HALLUCINATION)
    assert (far.hit, far.seen, far.iou, far.failure) == (False, False, None, Failure.TOOL_GROUNDING)
