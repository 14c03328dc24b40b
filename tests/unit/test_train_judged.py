"""Accuracy by a judge, for what RL learns from: asked only where no rule can tell, and never twice."""

import json
from pathlib import Path

from deepsport.policy.openai import EndpointConfig
from deepsport.records import FreeText, StopReason
from deepsport.train.judged import by_judge, by_rule
from made_episodes import episode, question
from model_server import ModelServer, Say, error

OPEN = question(gold=FreeText(answer="red scores with a volley"))


def verdict(points: int) -> Say:
    return Say(text=json.dumps({"reason": "as told", "points": points}))


def test_rules_come_first_and_the_judge_is_asked_for_the_rest(tmp_path: Path) -> None:
    episodes = [
        episode("volley"),
        episode("header"),
        episode("red volleys it in", asked=OPEN),
        episode(None, asked=OPEN, stop=StopReason.MAX_TURNS),
        episode(None, asked=OPEN, stop=StopReason.POLICY_ERROR),
    ]
    assert by_rule(episodes) == [1.0, 0.0, None, 0.0, None]
    with ModelServer([verdict(7)]) as server:
        accuracies = by_judge(EndpointConfig(model="j", base_url=server.url), tmp_path / "judge.sqlite")
        assert accuracies(episodes) == [1.0, 0.0, 0.7, 0.0, None]
        assert accuracies(episodes) == [1.0, 0.0, 0.7, 0.0, None]  # another step
        assert len(server.requests) == 1


def test_a_judge_that_is_down_leaves_episodes_unscored_and_is_asked_again_later(tmp_path: Path) -> None:
    with ModelServer([error(400, "out of order"), verdict(10)]) as server:
        accuracies = by_judge(EndpointConfig(model="j", base_url=server.url), tmp_path / "judge.sqlite")
        assert accuracies([episode("red volleys it in", asked=OPEN)]) == [None]
        assert accuracies([episode("red volleys it in", asked=OPEN)]) == [1.0]
