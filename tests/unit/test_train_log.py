"""What a run says while it trains: a record of every step, a table, curves."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from deepsport.errors import BadConfig
from deepsport.run import Run
from deepsport.train.log import follow, headline, shares, sparkline, table

STEP = {
    "reward": 0.5,
    "accuracy": 0.4,
    "tool": 0.1,
    "tool_calls": 0.9,
    "groups_phantom": 0.125,
    "mismatch": 2e-6,
    "stop_answered": 0.75,
    "stop_format_error": 0.25,
    "stop_max_turns": 0.0,
    "tokens": 300.0,
    "seconds": 4.0,
    "seconds_rollout": 3.0,
    "seconds_learn": 1.0,
}


def test_every_step_is_a_line_of_metrics_with_its_speed(tmp_path: Path) -> None:
    with Run.open(tmp_path, None) as run, follow(run, "rl", n_steps=2, first=0, shown=False) as log:
        log(0, STEP)
        log(1, STEP)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in lines] == [("rl", 0), ("rl", 1)]
    assert all(line["tokens_per_second"] == 75.0 for line in lines)


def test_the_table_shows_reward_parts_stop_reasons_and_the_share_of_time_per_phase() -> None:
    screen = Console(file=io.StringIO(), width=120)
    screen.print(table([STEP, STEP | {"reward": 0.7}]))
    shown = screen.file.getvalue()
    for text in ("reward", "0.7", "tool calls", "groups phantom", "mismatch", "answered 75 %, format error 25 %", "rollout 75 %"):
        assert text in shown


def test_shares_leave_out_what_did_not_happen() -> None:
    assert shares(STEP, "stop_") == "answered 75 %, format error 25 %"
    assert shares(STEP, "absent_") == ""


def test_a_sparkline_runs_from_the_lowest_to_the_highest_value() -> None:
    assert sparkline([0, 1, 2, 7]) == "▁▂▃█"
    assert sparkline([3, 3]) == "▁▁"


def test_the_headline_is_the_loss_where_there_is_no_reward() -> None:
    assert headline({"loss": 0.256, "seconds": 1.0}) == "loss 0.26"
    assert headline(STEP) == "reward 0.50  accuracy 0.40  tool calls 0.90"


def test_tensorboard_that_is_not_installed_is_named_before_anything_is_trained(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with (
        Run.open(tmp_path, None) as run,
        pytest.raises(BadConfig, match="tensorboard is not installed"),
        follow(run, "rl", n_steps=1, first=0, tensorboard=True),
    ):
        pass
