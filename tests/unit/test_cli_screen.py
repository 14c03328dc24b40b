"""The terminal view of an episode: the timeline, what a turn looks like, and text that cannot harm the terminal."""

import io

import pytest
from rich.console import Console

from deepsport.cli.plain import plain
from deepsport.cli.screen import Screen, timeline
from deepsport.records import Episode, StopReason, Turn
from made_episodes import episode, look, malformed, refused


def printed(shown: Episode, n_frames: int = 100) -> str:
    out = io.StringIO()
    screen = Screen(Console(file=out, width=70), n_frames)
    screen.opening("dive.mp4", n_frames / 25, shown.question.text, [frame.index for frame in shown.first_frames])
    for turn in shown.turns:
        screen.turn(turn)
    screen.closing(shown)
    return out.getvalue()


def test_the_first_and_the_last_frame_stand_at_the_ends_of_the_timeline() -> None:
    assert timeline(100, [], [0, 99], n_cells=10) == "|o--------o|  2 frames"


def test_frames_seen_before_are_dots_and_a_frame_shown_again_is_a_mark_of_now() -> None:
    assert timeline(10, [0, 5, 9], [5, 6], n_cells=10) == "|.----oo--.|  2 frames"


@pytest.mark.parametrize(("n_frames", "shown"), [(1, [0]), (2, [0, 1]), (10**9, [0, 10**9 - 1]), (5, [])])
def test_a_timeline_has_the_same_width_for_every_video(n_frames: int, shown: list[int]) -> None:
    row = timeline(n_frames, [], shown, n_cells=56)
    assert row.index("|", 1) == 57
    assert row.count("o") == len(shown)


def test_a_turn_shows_its_thought_its_window_in_frames_and_seconds_and_the_frames_that_came() -> None:
    text = printed(episode(turns=[look(30, 45)]))
    assert "the score changes here" in text
    assert "looks at frames 30 to 45, 1.20 to 1.80 s" in text
    assert text.count("8 frames\n") == 2


def test_a_refused_call_shows_what_was_asked_for_and_why_it_brought_nothing() -> None:
    text = printed(episode(turns=[refused(90, 400)]))
    assert "asks for frames 90 to 400" in text
    assert "Refused." in text


def test_a_malformed_reply_is_shown_as_it_was_said_with_the_reason() -> None:
    shown = episode(turns=[malformed("header!")], stop=StopReason.FORMAT_ERROR)
    text = printed(shown.model_copy(update={"detail": shown.turns[-1].note}))
    assert "header!" in text
    assert text.count("does not start with <think>") == 1
    assert "no answer\n" in text


def test_an_episode_without_an_answer_says_why() -> None:
    shown = episode(turns=[look(30, 45)], stop=StopReason.MAX_TURNS).model_copy(update={"detail": "no answer within 5 turns"})
    assert "no answer: no answer within 5 turns" in printed(shown)


def test_the_answer_and_the_cost_close_the_episode() -> None:
    *_, answer, cost = printed(episode("volley", turns=[look(30, 45)])).splitlines()
    assert answer == "volley"
    assert cost == "16 frames seen in 2 turns, 0.0 s"


def test_frames_are_counted_once_however_often_they_were_seen() -> None:
    *_, cost = printed(episode("volley", turns=[look(0, 14), look(0, 14)])).splitlines()
    assert cost.startswith("14 frames seen in 3 turns")


@pytest.mark.parametrize("hostile", ["\x1b[2J\x1b]0;owned\x07", "[bold red]not markup[/]", "a\rb", "\x9b31m", "\u202egnp.exe"])
def test_what_a_model_says_reaches_the_terminal_without_commands_to_it(hostile: str) -> None:
    text = printed(episode(hostile, turns=[Turn(text=hostile, thought=hostile)]))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert text.count(plain(hostile)) == 2


def test_long_thoughts_are_not_cut() -> None:
    assert printed(episode("a", turns=[Turn(text="x", thought="word " * 200)])).count("word") == 200
