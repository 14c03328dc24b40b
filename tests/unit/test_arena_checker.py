"""The checker of arena episodes: full points for the oracle where it looks, few where it guesses, none for what is not so."""

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from deepsport.agent.rollout import Limits, run_episode
from deepsport.arena.checker import ArenaChecker
from deepsport.arena.generate import load_truths, make_set
from deepsport.arena.oracle import Oracle
from deepsport.arena.perception import look, say_action
from deepsport.arena.questions import EASY, Topic, topic_of
from deepsport.arena.script import Dials
from deepsport.arena.truth import ClipTruth
from deepsport.policy.base import Sampling
from deepsport.records import Choice, Dimension, Episode, Question, Turn
from deepsport.reward.judge import Case, Judge, Unscored, Verdict, case_of_answer, case_of_thoughts
from deepsport.video.source import FrameSource
from made_episodes import episode as made_episode

Stage = tuple[dict[str, ClipTruth], list[Question], Path]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Six clips of three sports, their truths and questions."""
    folder = tmp_path_factory.mktemp("arena")
    questions = make_set(folder, n_clips=6, seed=5, sports=["soccer", "diving", "tennis"], dials=Dials(longest=72))
    return load_truths(folder), questions, folder


def played(stage: Stage, **settings: object) -> list[Episode]:
    truths, questions, folder = stage
    with_tool = bool(settings.get("with_tool", True))
    oracle, source = Oracle(truths, questions, haste=float(str(settings.get("haste", 0.0)))), FrameSource()
    placed = [question.model_copy(update={"video": str(folder / question.video)}) for question in questions]

    async def run() -> list[Episode]:
        return [
            await run_episode(question, oracle, source, limits=Limits(), sampling=Sampling(seed=1), with_tool=with_tool)
            for question in placed
        ]

    try:
        return asyncio.run(run())
    finally:
        source.close()


@pytest.fixture(scope="module")
def careful(stage: Stage) -> list[Episode]:
    """Every question, answered by the oracle after a look where one is needed."""
    return played(stage)


@pytest.fixture
def checker(stage: Stage) -> ArenaChecker:
    return ArenaChecker(stage[0])


def verdict(judge: Judge, case: Case) -> Verdict:
    return asyncio.run(judge.judge(case))


def points(judge: Judge, episode: Episode) -> int | None:
    return verdict(judge, case_of_thoughts(episode)).points


def with_thought(episode: Episode, number: int, change: Callable[[str], str]) -> Episode:
    """The episode with the thought of one turn changed."""
    turns = list(episode.turns)
    turns[number] = turns[number].model_copy(update={"thought": change(turns[number].thought)})
    assert turns[number].thought != episode.turns[number].thought
    return episode.model_copy(update={"turns": tuple(turns)})


def looked(episodes: Sequence[Episode]) -> list[Episode]:
    found = [episode for episode in episodes if episode.calls]
    assert len(found) >= 10
    return found


def test_every_careful_episode_of_the_oracle_gets_full_points(checker: ArenaChecker, careful: list[Episode]) -> None:
    verdicts = [verdict(checker, case_of_thoughts(episode)) for episode in careful]
    assert [(found.points, found.reason) for found in verdicts if found.points != 10] == []


def test_the_set_has_episodes_with_and_without_a_look_and_every_dimension(careful: list[Episode]) -> None:
    assert {bool(episode.calls) for episode in careful} == {True, False}
    assert {episode.question.dimension for episode in careful} == set(Dimension)


def test_a_guess_in_haste_gets_few_points_and_only_that(stage: Stage, checker: ArenaChecker) -> None:
    by_haste = {True: set[int | None](), False: set[int | None]()}
    for episode in played(stage, haste=1.0):
        by_haste[episode.question.dimension is Dimension.RULES].add(points(checker, episode))
    assert by_haste == {True: {3}, False: {10}}


def test_a_guess_without_the_tool_gets_few_points_even_if_it_is_right(stage: Stage, checker: ArenaChecker) -> None:
    guesses = [episode for episode in played(stage, with_tool=False) if topic_of(episode.question) not in EASY]
    assert {points(checker, guess) for guess in guesses} == {3}
    assert any(verdict(checker, case_of_answer(guess.question, guess.answer)).points == 10 for guess in guesses)


WRONG: dict[str, Callable[[str], str]] = {
    "a frame that was not shown": lambda thought: re.sub(r"\d+: ", "1: ", thought),
    "a frame beyond the clip": lambda thought: re.sub(r"\d+: ", "99999: ", thought),
    "another score": lambda thought: re.sub(r"score (\d) (\d)", r"score 9\1 \2", thought).replace("dive 1", "dive 91"),
    "words of a statement swapped": lambda thought: re.sub(r": (\w+) (.*)\.", r": \2 \1.", thought),
    "an event that no frame had shown": lambda thought: re.sub(r": .*", ": red slide, red card, top corner.", thought),
    "the board said to be as before": lambda thought: thought.replace(" new", " attempt"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_thought_before_a_call_gets_nothing(
    checker: ArenaChecker, careful: list[Episode], wrong: Callable[[str], str]
) -> None:
    soccer = [episode for episode in looked(careful) if episode.question.sport == "soccer"]
    assert {points(checker, with_thought(episode, 0, wrong)) for episode in soccer} == {0}


def test_an_event_told_before_any_frame_showed_it_gets_nothing(
    checker: ArenaChecker, stage: Stage, careful: list[Episode]
) -> None:
    for episode in looked(careful):
        truth = next(truth for name, truth in stage[0].items() if episode.question.video.endswith(name))
        early = with_thought(episode, 0, lambda _, truth=truth: f"{say_action(truth.event)}.")
        assert points(checker, early) == 0


def test_the_same_words_are_right_once_a_frame_has_shown_it(checker: ArenaChecker, careful: list[Episode]) -> None:
    for episode in looked(careful):
        bare = with_thought(episode, -1, lambda thought: thought.partition(": ")[2])
        assert points(checker, bare) == 10


@pytest.mark.parametrize("part", [0, 1, -1])
def test_a_part_of_what_a_frame_shows_is_true_too(checker: ArenaChecker, careful: list[Episode], part: int) -> None:
    for episode in looked(careful):
        partly = with_thought(
            episode, -1, lambda thought: f"{thought.partition(': ')[0]}: {thought[:-1].partition(': ')[2].split(', ')[part]}."
        )
        assert points(checker, partly) == 10


def test_a_score_without_its_new_is_true_too(checker: ArenaChecker, careful: list[Episode]) -> None:
    for episode in looked(careful):
        assert points(checker, with_thought(episode, 0, lambda thought: thought.replace(" new", ""))) == 10


def test_the_final_score_told_from_frames_before_the_change_is_a_guess(checker: ArenaChecker, careful: list[Episode]) -> None:
    scores = [episode for episode in careful if topic_of(episode.question) is Topic.SCORE]
    for episode in scores:
        early = episode.model_copy(update={"first_frames": episode.first_frames[:1]})
        assert points(checker, with_thought(early, -1, lambda _: "play.")) == 3
    assert scores


def test_another_detail_than_the_frame_shows_gets_nothing(checker: ArenaChecker, careful: list[Episode]) -> None:
    for episode in looked(careful):
        other = with_thought(episode, -1, lambda t: re.sub(r": \w+", lambda m: ": blue" if m[0] != ": blue" else ": red", t))
        assert points(checker, other) == 0


def test_saying_not_to_have_seen_what_was_shown_gets_nothing(checker: ArenaChecker, careful: list[Episode]) -> None:
    assert {points(checker, with_thought(episode, -1, lambda _: "event not seen.")) for episode in looked(careful)} == {0}


def test_an_answer_that_is_not_what_was_seen_gets_nothing(checker: ArenaChecker, careful: list[Episode]) -> None:
    for episode in looked(careful):
        if isinstance(gold := episode.question.gold, Choice):
            wrong = next(option for option in gold.options if option != gold.answer)
            last = episode.turns[-1].model_copy(update={"answer": wrong})
            assert points(checker, episode.model_copy(update={"turns": (*episode.turns[:-1], last), "answer": wrong})) == 0


def test_a_call_where_nothing_points_gets_few_points(checker: ArenaChecker, stage: Stage, careful: list[Episode]) -> None:
    tried = 0
    for episode in looked(careful):
        call, first = episode.turns[0].call, [frame.index for frame in episode.first_frames]
        truth = next(truth for name, truth in stage[0].items() if episode.question.video.endswith(name))
        assert call is not None
        away = (first[-2] + 1, first[-1] - 1) if call.end_index < first[-2] else (first[0] + 1, first[1] - 1)
        if any(look(truth, index).action for index in range(away[0], away[1] + 1)):
            continue
        moved = call.model_copy(update={"start_index": away[0], "end_index": away[1]})
        turn = episode.turns[0].model_copy(update={"call": moved})
        assert points(checker, episode.model_copy(update={"turns": (turn, *episode.turns[1:])})) == 3
        tried += 1
    assert tried >= 5


def test_what_was_shown_and_not_said_costs_some_points(checker: ArenaChecker, careful: list[Episode]) -> None:
    for episode in looked(careful):
        silent = with_thought(episode, -1, lambda _, e=episode: e.turns[0].thought)
        assert points(checker, silent) == 7


def test_an_empty_thought_gets_nothing(checker: ArenaChecker, careful: list[Episode]) -> None:
    assert {points(checker, with_thought(episode, 0, lambda _: " ")) for episode in looked(careful)} == {0}


def test_an_ill_formed_reply_gets_nothing(checker: ArenaChecker, careful: list[Episode]) -> None:
    broken = careful[0].model_copy(update={"turns": (Turn(text="header!", note="no thought"),), "answer": None})
    assert points(checker, broken) == 0


def test_words_that_the_arena_does_not_speak_are_not_checked(checker: ArenaChecker, careful: list[Episode]) -> None:
    episode = looked(careful)[0]
    found = verdict(checker, case_of_thoughts(with_thought(episode, 0, lambda _: "the crowd jumps up, so it must be near")))
    assert (found.points, found.why) == (None, Unscored.ABSTAINED)


def test_a_falsehood_counts_more_than_words_that_cannot_be_checked(checker: ArenaChecker, careful: list[Episode]) -> None:
    unsure = with_thought(looked(careful)[0], 0, lambda _: "the crowd jumps up, so it must be near")
    assert points(checker, with_thought(unsure, -1, lambda _: "event not seen.")) == 0


def test_an_episode_on_another_video_is_not_judged(checker: ArenaChecker) -> None:
    assert verdict(checker, case_of_thoughts(made_episode("volley"))).why is Unscored.ABSTAINED


def test_frames_of_another_clip_or_beyond_this_one_are_not_judged(checker: ArenaChecker, careful: list[Episode]) -> None:
    for update in ({"index": 10_000}, {"video": "other.mp4"}):
        stray = careful[0].first_frames[0].model_copy(update=update)
        assert points(checker, careful[0].model_copy(update={"first_frames": (stray, *careful[0].first_frames[1:])})) is None


def test_a_question_that_the_arena_did_not_ask_is_not_judged(checker: ArenaChecker, careful: list[Episode]) -> None:
    episode = careful[0]
    mine = {"id": "mine", "gold": Choice(options=("yes", "no"), answer="yes")}
    foreign = episode.model_copy(update={"question": episode.question.model_copy(update=mine)})
    assert verdict(checker, case_of_thoughts(foreign)).why is Unscored.ABSTAINED


def test_answers_are_judged_by_rule(checker: ArenaChecker, careful: list[Episode]) -> None:
    found = {verdict(checker, case_of_answer(episode.question, episode.answer)).points for episode in careful}
    assert found == {10}
    assert verdict(checker, case_of_answer(careful[0].question, "cricket")).points == 0
