"""The gates of the reward, one by one, and its bounds over all episodes that can be made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsport.records import Choice, Episode, Frame, FreeText, Gold, Number, Question, StopReason, ToolCall, Turn, Window
from deepsport.reward.gated import FAULTS, GatedReward
from deepsport.reward.temporal import temporal_iou, window_iou

CHOICE = Choice(options=("header", "volley"), answer="volley")
FRAME = Frame(video="a.mp4", index=40, time_s=1.6)
LOOK = Turn(text="", call=ToolCall(start_index=38, end_index=42, window=Window(start_s=1.52, end_s=1.68)), frames=(FRAME,))
REFUSED = Turn(text="", call=ToolCall(start_index=90, end_index=20), note="Refused: the window starts at 90, after its end 20.")
OPEN_STOPS = [stop for stop in StopReason if stop is not StopReason.ANSWERED and stop not in FAULTS]

windows = st.builds(lambda a, b: Window(start_s=min(a, b), end_s=max(a, b)), st.floats(0, 1e4), st.floats(0, 1e4))
numbers = st.builds(Number, answer=st.just(10.0), tolerance=st.floats(0, 5))
episodes = st.builds(
    lambda gold, answer, turns, stop: episode(answer, *turns, gold=gold, stop=stop),
    st.one_of(st.just(CHOICE), numbers, st.just(FreeText(answer="a volley")), st.none()),
    st.one_of(st.none(), st.sampled_from(["volley", "header", "10", "12.5", "a volley", ""]), st.text()),
    st.lists(st.sampled_from([LOOK, REFUSED, Turn(text="?")]), max_size=4),
    st.sampled_from(StopReason),
)


def episode(
    answer: str | None,
    *turns: Turn,
    gold: Gold | None = CHOICE,
    stop: StopReason = StopReason.ANSWERED,
    window: Window | None = None,
) -> Episode:
    question = Question(id="q", video="a.mp4", text="How was the goal scored?", gold=gold, window=window)
    return Episode(id="e", question=question, policy="scripted", turns=turns, answer=answer, stop=stop)


def test_a_right_answer_without_the_tool_earns_its_accuracy():
    reward = GatedReward().score(episode("volley"))
    assert (reward.total, reward.accuracy, reward.tool, reward.format_penalty, reward.well_formed) == (1.0, 1.0, 0.0, 0.0, True)


def test_a_right_answer_after_a_look_earns_half_again():
    reward = GatedReward().score(episode("volley", LOOK))
    assert (reward.total, reward.tool) == (1.5, 0.5)


def test_a_wrong_answer_after_a_look_earns_only_the_exploration():
    reward = GatedReward().score(episode("header", LOOK))
    assert (reward.total, reward.accuracy, reward.tool) == (0.03, 0.0, 0.03)


def test_a_half_right_answer_is_at_the_floor_and_counts_as_successful():
    reward = GatedReward().score(episode("11.5", LOOK, gold=Number(answer=10, tolerance=1)))
    assert (reward.total, reward.accuracy, reward.tool) == (0.75, 0.5, 0.25)


def test_a_refused_call_alone_is_no_look():
    assert GatedReward().score(episode("volley", REFUSED)).tool == 0.0
    assert GatedReward().score(episode("volley", REFUSED, LOOK)).tool == 0.5


@pytest.mark.parametrize("stop", OPEN_STOPS)
def test_an_episode_without_an_answer_earns_only_the_penalty(stop: StopReason):
    reward = GatedReward().score(episode(None, LOOK, stop=stop))
    assert (reward.total, reward.accuracy, reward.tool, reward.well_formed) == (-0.05, 0.0, 0.0, False)


def test_an_answer_that_stands_in_a_malformed_episode_earns_nothing():
    assert GatedReward().score(episode("volley", LOOK, stop=StopReason.FORMAT_ERROR)).total == -0.05


@pytest.mark.parametrize("stop", sorted(FAULTS))
def test_a_fault_of_server_or_video_is_unscored_and_unpunished(stop: StopReason):
    reward = GatedReward().score(episode(None, LOOK, stop=stop))
    assert (reward.total, reward.accuracy, reward.format_penalty, reward.well_formed) == (0.0, None, 0.0, False)


def test_an_answer_only_a_judge_could_score_is_unscored_and_earns_no_tool_bonus():
    reward = GatedReward().score(episode("a strike in mid-air", LOOK, gold=FreeText(answer="a volley")))
    assert (reward.total, reward.accuracy, reward.tool, reward.well_formed) == (0.0, None, 0.0, True)


def test_a_question_without_a_known_answer_is_unscored():
    assert GatedReward().score(episode("volley", gold=None)).accuracy is None


@given(episodes)
def test_the_total_is_the_gated_sum_of_its_parts_and_bounded(made: Episode):
    rule = GatedReward()
    reward = rule.score(made)
    assert reward.total == reward.well_formed * ((reward.accuracy or 0.0) + reward.tool) + reward.format_penalty
    assert rule.format_penalty <= reward.total <= 1.5
    assert (reward.format_penalty < 0) <= (not reward.well_formed)


@given(episodes)
def test_a_shut_gate_never_pays(made: Episode):
    reward = GatedReward().score(made)
    if made.stop is not StopReason.ANSWERED or made.answer is None:
        assert reward.total <= 0
        assert reward.tool == 0
        assert not reward.well_formed


@given(st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_more_accuracy_never_pays_less(a: float, b: float, looked: bool):
    rule = GatedReward()
    low, high = (right + rule.tool_part(right, looked=looked) for right in sorted((a, b)))
    assert low <= high


@given(st.floats(0, 1))
def test_a_look_never_costs_and_a_failed_look_pays_less_than_any_success(right: float):
    rule = GatedReward()
    assert rule.tool_part(right, looked=True) >= rule.tool_part(right, looked=False) == 0
    assert rule.exploration < rule.tool_part(rule.accuracy_floor, looked=True)


def test_the_best_window_is_measured_and_a_wide_first_look_is_not_punished():
    wide = LOOK.model_copy(update={"call": ToolCall(start_index=0, end_index=99, window=Window(start_s=0, end_s=10))})
    assert temporal_iou(episode("volley", wide, LOOK, window=Window(start_s=1.52, end_s=1.68))) == 1.0
    assert temporal_iou(episode("volley", wide, window=Window(start_s=1, end_s=2))) == pytest.approx(0.1)


def test_no_look_has_no_overlap_and_no_gold_window_has_no_measure():
    assert temporal_iou(episode("volley", REFUSED, window=Window(start_s=1, end_s=2))) == 0.0
    assert temporal_iou(episode("volley", LOOK)) is None


@given(windows, windows)
def test_iou_is_symmetric_bounded_and_one_only_for_equal_windows(a: Window, b: Window):
    iou = window_iou(a, b)
    assert iou == window_iou(b, a)
    assert 0 <= iou <= 1
    assert window_iou(a, a) == 1.0
    if a.end_s < b.start_s or b.end_s < a.start_s:
        assert iou == 0.0


def test_with_the_format_gate_open_ill_form_costs_only_what_was_not_answered():
    lenient = GatedReward(format_gate=False)
    malformed = lenient.score(episode(None, LOOK, stop=StopReason.FORMAT_ERROR))
    assert (malformed.total, malformed.format_penalty, malformed.well_formed) == (0.03, 0.0, False)
    assert lenient.score(episode("volley", LOOK)) == GatedReward().score(episode("volley", LOOK))


def test_with_the_tool_gate_open_a_right_answer_earns_the_share_without_a_look():
    generous = GatedReward(tool_gate=False)
    assert generous.score(episode("volley")).total == generous.score(episode("volley", LOOK)).total == 1.5
    assert generous.score(episode("header")).total == 0.0


def test_with_the_accuracy_gate_open_every_look_earns_the_whole_share():
    blind = GatedReward(accuracy_gate=False)
    assert blind.score(episode("header", LOOK)).total == 0.5
    assert blind.score(episode("volley", LOOK)).total == 1.5
    assert blind.score(episode("header")).total == 0.0


def test_the_temporal_reward_is_paid_by_the_overlap_and_only_if_asked_for():
    event = Window(start_s=1.52, end_s=1.60)
    looked = episode("volley", LOOK, window=event)
    assert GatedReward().score(looked).temporal == 0.0
    paid = GatedReward(temporal_weight=0.3).score(looked)
    assert paid.temporal == pytest.approx(0.3 * 0.5)
    assert paid.total == pytest.approx(1.5 + paid.temporal)
    assert GatedReward(temporal_weight=0.3).score(episode("volley", LOOK)).temporal == 0.0
