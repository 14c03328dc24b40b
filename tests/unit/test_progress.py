"""Progress: plain lines off a terminal, a bar on one, both with rate and time left."""

import contextlib
import io
import subprocess
import sys

import pytest

from deepsport.progress import EVERY_S, clock_time, track


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_off_a_terminal_a_line_is_printed_every_few_seconds_with_rate_and_time_left() -> None:
    clock, log = Clock(), io.StringIO()
    with track("rendering", total=20, unit="clips", stream=log, clock=clock) as tick:
        for _ in range(12):
            clock.now += 1
            tick(extra="soccer")
    lines = log.getvalue().splitlines()
    assert lines[0] == "rendering 5/20 clips, 1.0/s, 15 s left, soccer"
    assert lines[1] == "rendering 10/20 clips, 1.0/s, 10 s left, soccer"
    assert lines[2:] == ["rendering 12/20 clips, 1.0/s, 8 s left, soccer"]
    assert EVERY_S == 5.0


def test_work_kept_from_an_earlier_attempt_does_not_speed_up_the_rate() -> None:
    clock, log = Clock(), io.StringIO()
    with track("rl", total=110, unit="steps", done=100, stream=log, clock=clock) as tick:
        clock.now += 8
        tick(2)
    assert log.getvalue() == "rl 102/110 steps, 4.0 s each, 32 s left\n"


def test_the_last_line_says_how_long_it_took() -> None:
    clock, log = Clock(), io.StringIO()
    with track("rl", total=1, unit="steps", stream=log, clock=clock) as tick:
        clock.now += 65
        tick()
    assert log.getvalue() == "rl 1/1 steps, 65.0 s each, 1 min 05 s\n"


def test_without_a_total_the_count_and_the_time_so_far_are_shown() -> None:
    clock, log = Clock(), io.StringIO()
    with track("reading", unit="lines", stream=log, clock=clock) as tick:
        clock.now += 2
        tick(10)
    assert log.getvalue() == "reading 10 lines, 5.0/s, 2 s\n"


def test_a_failed_stage_still_says_how_far_it_came() -> None:
    clock, log = Clock(), io.StringIO()
    with contextlib.suppress(ZeroDivisionError), track("sft", total=4, stream=log, clock=clock) as tick:
        clock.now += 1
        tick(extra="loss 0.5")
        raise ZeroDivisionError
    assert log.getvalue() == "sft 1/4, 1.0/s, 3 s left, loss 0.5\n"


def test_on_a_terminal_a_bar_is_drawn_and_text_is_not_read_as_markup() -> None:
    terminal = Terminal()
    with track("rendering", total=4, unit="clips", stream=terminal) as tick:
        tick(4, extra="[red]x[/red]")
    assert "rendering 4/4 clips" in terminal.getvalue()
    assert "[red]x[/red]" in terminal.getvalue()
    assert "━" in terminal.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599.4, "59 min 59 s"), (7500, "2 h 05 min")]
)
def test_times_are_written_for_people(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text


def test_rich_is_not_imported_where_there_is_no_terminal() -> None:
    code = "import sys\nfrom deepsport.progress import track\nwith track('x') as tick: tick()\nassert 'rich' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.PIPE)
