"""What a run writes down about itself: its recipe without contradictions, its times, and why answers have no score."""

from pathlib import Path
from typing import Any

import pytest

from deepsport.bench.recipe import BenchConfig, Protocol, settled
from deepsport.bench.score import score
from deepsport.bench.timing import timing_of
from deepsport.bench.unscored import is_open, unscored_because
from deepsport.config import dump, load
from deepsport.errors import BadConfig
from deepsport.policy.openai import EndpointConfig
from deepsport.records import Episode, FreeText, StopReason, Usage
from deepsport.reward.judge import Unscored, Verdict, scored, unscored
from made_episodes import episode, question

SERVED = EndpointConfig(model="large", base_url="http://localhost:1/v1")


def settled_from(**settings: Any) -> BenchConfig:
    return settled(BenchConfig(questions="q", **settings))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "nano"),
        ({"protocol": "passive", "first_frames": 16}, "nano, 16 frames, no tool"),
        ({"protocol": "passive", "first_frames": 1}, "nano, 1 frame, no tool"),
        ({"protocol": "blind"}, "nano, blind"),
        ({"protocol": "majority", "model": "x"}, "majority"),
        ({"endpoint": SERVED}, "large"),
        ({"endpoint": SERVED, "native_tools": True}, "large, native tools"),
        ({"endpoint": SERVED, "native_tools": True, "protocol": "blind"}, "large, blind"),
        ({"model": "Qwen/Qwen2.5-VL-7B-Instruct"}, "Qwen/Qwen2.5-VL-7B-Instruct"),
        ({"system": "Mine", "protocol": "blind"}, "Mine"),
    ],
)
def test_a_system_is_called_by_its_model_and_its_protocol(settings: dict[str, Any], name: str) -> None:
    assert settled_from(**settings).system == name


def test_a_checkpoint_is_called_by_the_end_of_its_path(tmp_path: Path) -> None:
    (tmp_path / "policies/sft").mkdir(parents=True)
    assert settled_from(model=str(tmp_path / "policies/sft")).system == "policies/sft"


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("", 1024),
        ("max_reply_tokens = 300\n", 300),
        ("[endpoint]\nmax_reply_tokens = 400\n", 400),
        ("max_reply_tokens = 300\n[endpoint]\nmax_reply_tokens = 400\n", 300),
    ],
)
def test_the_longest_reply_is_one_number_wherever_it_is_said(text: str, most: int, tmp_path: Path) -> None:
    head, _, table = text.partition("[endpoint]\n")
    served = 'model = "m"\nbase_url = "http://a/v1"\n'
    (tmp_path / "r.toml").write_text(f'questions = "q"\n{head}[endpoint]\n{served}{table}')
    config = settled(load(BenchConfig, tmp_path / "r.toml"))
    assert config.endpoint is not None
    assert (config.max_reply_tokens, config.endpoint.max_reply_tokens, config.sampling.max_tokens) == (most, most, most)


@pytest.mark.parametrize("settings", [{}, {"endpoint": SERVED, "judge": SERVED}, {"protocol": "majority", "endpoint": SERVED}])
def test_what_is_written_down_is_read_back_and_is_settled(settings: dict[str, Any], tmp_path: Path) -> None:
    config = settled_from(**settings)
    (tmp_path / "config.toml").write_text(dump(config))
    assert load(BenchConfig, tmp_path / "config.toml") == config == settled(config)


def test_the_majority_has_no_endpoint_and_is_asked_once() -> None:
    config = settled_from(protocol="majority", endpoint=SERVED, runs=3)
    assert (config.endpoint, config.runs) == (None, 1)


def test_what_the_majority_learns_from_is_nothing_to_others() -> None:
    assert settled_from(majority_of="train.jsonl").majority_of == ""
    assert settled_from(majority_of="train.jsonl", protocol="majority").majority_of == "train.jsonl"


def test_nobody_can_be_asked_for_answers_of_elsewhere() -> None:
    with pytest.raises(BadConfig, match="deepsport bench import"):
        settled_from(protocol=Protocol.IMPORTED)


# Times


def timed(seconds: float, answer: str = "volley") -> Episode:
    return episode(answer).model_copy(update={"usage": Usage(seconds=seconds)})


def test_times_are_those_recorded_with_the_episodes() -> None:
    episodes = [timed(seconds) for seconds in range(1, 20)] + [timed(100.0, "header")]
    timing = timing_of(episodes, [score(each) for each in episodes], {"ask": 7.0})
    assert (timing.seconds_per_question, timing.seconds_median, timing.seconds_p95) == (290 / 20, 10.5, 19)
    assert timing.wall_seconds_per_question == pytest.approx(7 / 20)
    assert timing.wall_seconds_per_right == pytest.approx(7 / 19)
    assert timing.stages == {"ask": 7.0}


def test_without_a_right_answer_there_is_no_time_per_right_one() -> None:
    assert timing_of([timed(1.0, "header")], [score(timed(1.0, "header"))], {"ask": 1.0}).wall_seconds_per_right is None
    assert timing_of([], [], {}).seconds_per_question is None


# Answers without a score


OPEN = question(gold=FreeText(answer="it was offside"))


@pytest.mark.parametrize(
    ("made", "verdict", "why", "may_come"),
    [
        (episode(stop=StopReason.POLICY_ERROR), None, "lost to a fault of the endpoint", True),
        (episode(stop=StopReason.VIDEO_ERROR), None, "the video cannot be read", True),
        (episode("so", asked=question(gold=None)), None, "nobody knows the right answer", False),
        (episode("so", asked=OPEN), None, "could not be reached", True),
        (episode("so", asked=OPEN), unscored(Unscored.UNJUDGED, "down", "j/1"), "could not be reached", True),
        (episode("so", asked=OPEN), unscored(Unscored.ABSTAINED, "who knows", "j/1"), r"abstained (j/1)", False),
        (episode("so", asked=OPEN), unscored(Unscored.UNREADABLE, "?", "j/1"), "could not be read", False),
    ],
)
def test_every_answer_without_a_score_has_its_reason(made: Episode, verdict: Verdict | None, why: str, may_come: bool) -> None:
    found = score(made, verdict)
    [(reason, n)] = unscored_because([found]).items()
    assert why in reason
    assert (n, is_open(found)) == (1, may_come)


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (episode("header"), None),
        (episode(stop=StopReason.MAX_TURNS), None),
        (episode("so", asked=OPEN), scored(0, "wrong", "j/1")),
    ],
)
def test_a_wrong_answer_is_not_one_without_a_score(made: Episode, verdict: Verdict | None) -> None:
    assert unscored_because([score(made, verdict)]) == {}
    assert not is_open(score(made, verdict))
