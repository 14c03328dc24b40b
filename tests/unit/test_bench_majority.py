"""The majority protocol: what is most often right elsewhere, never what is right here."""

import time
from pathlib import Path

import pytest

from deepsport.agent.grammar import Answer, parse
from deepsport.bench.evaluate import seed_of
from deepsport.bench.majority import UNKNOWN, Majority, guess_all
from deepsport.records import Choice, Episode, Fact, FreeText, Gold, Number, Provenance, Question, StopReason
from deepsport.run import Run


def ask(name: str, gold: Gold | None, *, sport: str | None = "soccer", video: str = "", match: str = "") -> Question:
    """About a video of its own, if no other is named."""
    source = Provenance(source="made", file="f", record=name, match=match, licence="") if match else None
    return Question(id=name, video=video or f"{name}.mp4", text="?", gold=gold, sport=sport, provenance=source)


def choice(answer: str, *options: str) -> Choice:
    return Choice(options=options or ("goal", "save", "miss"), answer=answer)


def number(answer: float, unit: str = "turns") -> Number:
    return Number(answer=answer, unit=unit)


def test_of_the_options_the_one_wins_that_is_most_often_right_where_it_is_offered() -> None:
    learnt = Majority(
        [ask(f"g{n}", choice("goal")) for n in range(3)]  # right in 3 of 5
        + [ask(f"s{n}", choice("save")) for n in range(2)]
        + [ask("r", choice("rare", "rare", "never"))]  # right in 1 of 1
    )
    assert learnt.answer(ask("new", choice("save"))) == "goal"
    assert learnt.answer(ask("new", choice("save", "goal", "save", "rare"))) == "rare"


def test_another_sport_counts_only_where_the_own_one_tells_nothing() -> None:
    learnt = Majority([ask(f"t{n}", choice("save"), sport="tennis") for n in range(9)] + [ask("s", choice("goal"))])
    assert learnt.answer(ask("new", choice("miss"))) == "goal"
    assert learnt.answer(ask("new", choice("miss"), sport="fencing")) == "save"
    assert learnt.answer(ask("new", choice("miss"), sport=None)) == "save"


@pytest.mark.parametrize("options", [("b", "a", "c"), ("c", "b", "a")])
def test_where_nothing_is_known_the_place_of_an_option_gives_nothing_away(options: tuple[str, ...]) -> None:
    """The right one stands first in many sets."""
    assert Majority([]).answer(ask("new", choice(options[0], *options))) == "a"


@pytest.mark.parametrize("options", [("b", "a", "c"), ("c", "b", "a")])
def test_among_equals_the_place_of_an_option_gives_nothing_away(options: tuple[str, ...]) -> None:
    learnt = Majority([ask(right, choice(right, "a", "b", "c")) for right in "abc"])
    assert learnt.answer(ask("new", choice(options[0], *options))) == "a"


def test_numbers_are_the_most_frequent_of_their_sport_and_unit() -> None:
    learnt = Majority(
        [ask(f"a{n}", number(3)) for n in range(2)]
        + [ask("b", number(2.5))]
        + [ask(f"c{n}", number(9, "points")) for n in range(5)]
        + [ask(f"d{n}", number(7), sport="diving") for n in range(5)]
    )
    assert learnt.answer(ask("new", number(1))) == "3"
    assert learnt.answer(ask("new", number(1, "points"))) == "9"
    assert learnt.answer(ask("new", number(1), sport="golf")) == "7"
    assert learnt.answer(ask("new", number(1, "metres"))) == "0"


def test_a_number_is_written_in_full() -> None:
    assert Majority([ask("a", number(1234567.25))]).answer(ask("new", number(1))) == "1234567.25"


def test_every_fact_of_a_text_is_guessed_by_itself() -> None:
    def told(who: str, what: str) -> FreeText:
        facts = (Fact(options=("home", "away"), answer=who), Fact(options=("header", "volley"), answer=what))
        return FreeText(answer=f"{who} by a {what}", facts=facts)

    learnt = Majority([ask("a", told("home", "volley")), ask("b", told("home", "header")), ask("c", told("away", "volley"))])
    assert learnt.answer(ask("new", told("away", "header"))) == "home, volley"


def test_facts_and_choices_are_counted_apart() -> None:
    told = FreeText(answer="x", facts=(Fact(options=("goal", "save"), answer="save"),))
    assert Majority([ask(f"c{n}", choice("goal")) for n in range(5)] + [ask("t", told)]).answer(ask("new", told)) == "save"


def test_a_text_without_facts_is_the_most_frequent_reference() -> None:
    learnt = Majority(
        [ask("a", FreeText(answer="a foul")), ask("b", FreeText(answer="a foul")), ask("c", FreeText(answer="none"))]
    )
    assert learnt.answer(ask("new", FreeText(answer="offside"))) == "a foul"


@pytest.mark.parametrize("gold", [None, FreeText(answer="offside")])
def test_where_nothing_can_be_said_that_is_said(gold: Gold | None) -> None:
    assert Majority([ask("own", gold)]).answer(ask("own", gold)) == UNKNOWN


@pytest.mark.parametrize(
    ("own", "other", "said"),
    [
        (choice("goal"), choice("save"), "save"),
        (number(3), number(2), "2"),
        (FreeText(answer="a foul"), FreeText(answer="offside"), "offside"),
        (
            FreeText(answer="home", facts=(Fact(options=("home", "away"), answer="home"),)),
            FreeText(answer="away", facts=(Fact(options=("home", "away"), answer="away"),)),
            "away",
        ),
    ],
)
@pytest.mark.parametrize("by", ["video", "match"])
def test_what_is_about_the_same_video_or_match_never_counts(own: Gold, other: Gold, said: str, by: str) -> None:
    same = {by: "the final"}
    about = [ask(f"own{n}", own, **same) for n in range(5)]
    learnt = Majority([*about, ask("other", other)])
    assert learnt.answer(about[0]) == said
    assert learnt.answer(ask("new", own)) != said, "elsewhere it counts"


@pytest.mark.parametrize("written", ["{at}/set/../set/a.mp4", "{at}/link/a.mp4", "set/a.mp4"])
def test_a_video_is_the_same_however_its_path_is_written(written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    about = [ask(f"own{n}", choice("save"), video=f"{tmp_path}/set/a.mp4") for n in range(5)]
    learnt = Majority([*about, ask("other", choice("goal"))])
    assert learnt.answer(ask("own", choice("save"), video=written.format(at=tmp_path))) == "goal"


def test_a_match_without_others_falls_back_on_all_sports_and_not_on_itself() -> None:
    about = [ask(f"own{n}", choice("goal"), match="the final") for n in range(5)]
    learnt = Majority([*about, ask("t", choice("miss"), sport="tennis")])
    assert learnt.answer(about[0]) == "miss"


def test_ten_thousand_numbers_that_all_differ_are_counted_in_seconds() -> None:
    questions = [ask(str(n), number(n / 7), match=f"m{n // 50}") for n in range(10_000)]
    began = time.monotonic()
    learnt = Majority(questions)
    said = [learnt.answer(question) for question in questions]
    assert time.monotonic() - began < 5
    assert len(set(said)) == 2, "the first in the order of the alphabet, but for its own match"


def test_its_episodes_are_like_any_others_and_stand_when_it_goes_on(tmp_path: Path) -> None:
    questions = [ask("a", choice("goal")), ask("b", choice("save"))]
    with Run.open(tmp_path / "run", None) as run:
        first = guess_all(questions, Majority(questions), run, "e.jsonl", seed=5)
        again = guess_all(questions, Majority([ask("x", choice("miss"))]), run, "e.jsonl", seed=5)
        assert run.read("e.jsonl", Episode) == first == again
    [episode, _] = first
    assert (episode.answer, episode.stop, episode.frames_seen, episode.calls) == ("save", StopReason.ANSWERED, (), ())
    assert (episode.seed, episode.policy, episode.with_tool) == (seed_of(5, "a"), "majority", False)
    assert parse(episode.turns[0].text) == Answer("", "save")
