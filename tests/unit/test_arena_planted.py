"""Planted policies in the real episode loop: by the truth of what they saw, each fails for the one reason it was made for."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path, PurePath

import numpy as np
import pytest

from deepsport.agent.grammar import Answer, ChooseFrames, Malformed, parse, write_answer, write_call
from deepsport.agent.rollout import Limits, run_episode
from deepsport.arena.generate import load_truths, make_set
from deepsport.arena.oracle import Oracle
from deepsport.arena.perception import say_action
from deepsport.arena.planted import Fault, Planted, Way, break_grammar
from deepsport.arena.questions import Topic, topic_of
from deepsport.arena.script import Dials
from deepsport.arena.sports import SPORTS, TRAINED
from deepsport.arena.truth import ClipTruth, Difficulty
from deepsport.bench.tasks import load_questions
from deepsport.policy.base import Image, Message, Sampling
from deepsport.records import Episode, Frame, Question, StopReason
from deepsport.reward.accuracy import accuracy
from deepsport.video.sample import uniform
from deepsport.video.source import FrameSource

CONCLUDED = {Topic.RULING, Topic.POINTS, Topic.ADVICE}
"""What is asked for that no frame shows: it follows from what one shows."""


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of every sport, so that every topic is asked about in it; and some in which one look is not enough."""
    folder = tmp_path_factory.mktemp("arena")
    make_set(folder / "short", n_clips=4 * len(TRAINED), seed=41, dials=Dials(longest=72, difficulty=Difficulty.HARD))
    make_set(folder / "long", n_clips=6, seed=42, dials=Dials(shortest=600, longest=700, event_shortest=2, event_longest=3))
    return folder


@cache
def known(folder: Path) -> tuple[tuple[Question, ...], dict[str, ClipTruth]]:
    sets = [folder / "short", folder / "long"]
    questions = [question for each in sets for question in load_questions(each / "questions.jsonl")]
    return tuple(questions), {str(each / video): truth for each in sets for video, truth in load_truths(each).items()}


@cache
def play(folder: Path, fault: Fault, rate: float = 1.0, seed: int = 0) -> tuple[Episode, ...]:
    """Every question, answered by a planted policy."""
    questions, truths = known(folder)
    policy = Planted(fault, Oracle(truths, questions), rate=rate)

    async def run(source: FrameSource) -> list[Episode]:
        return [
            await run_episode(question, policy, source, limits=Limits(), sampling=Sampling(seed=seed)) for question in questions
        ]

    with FrameSource(max_open=64) as source:
        return tuple(asyncio.run(run(source)))


def score(question: Question, answer: str | None) -> float:
    assert question.gold is not None
    found = accuracy(question.gold, answer)
    assert found is not None
    return found


def failed(episodes: Sequence[Episode]) -> list[Episode]:
    """Less than half right, which is what a diagnosis is asked about."""
    return [episode for episode in episodes if score(episode.question, episode.answer) < 0.5]


def truth_of(folder: Path, episode: Episode) -> ClipTruth:
    return known(folder)[1][episode.question.video]


def event_frames(folder: Path, episode: Episode) -> list[int]:
    """The frames of the event that were shown."""
    event = truth_of(folder, episode).event
    return [frame.index for frame in episode.frames_seen if event.shown_at(frame.index)]


def test_one_that_looks_astray_fails_without_a_frame_of_the_event_after_one_look_or_two(arena: Path) -> None:
    failures = failed(play(arena, Fault.ASTRAY))
    assert len(failures) > 100
    assert {len(episode.calls) for episode in failures} == {1, 2}
    for episode in failures:
        assert episode.stop is StopReason.ANSWERED
        assert not episode.question.easy
        assert all(turn.frames for turn in episode.turns[:-1])
        assert not event_frames(arena, episode)


def test_one_that_looks_astray_says_of_the_board_only_what_it_was_shown(arena: Path) -> None:
    for episode in failed(play(arena, Fault.ASTRAY)):
        shown = {frame.index for frame in episode.first_frames}
        for turn in episode.turns[:-1]:
            said = re.fullmatch(r"frame (\d+) shows \w+ ([\d ]+?)(?: new)?\.", turn.thought)
            assert said
            state = truth_of(arena, episode).state_at(int(said[1]))
            assert int(said[1]) in shown
            assert said[2] == " ".join(map(str, state.score))
            shown |= {frame.index for frame in turn.frames}


def test_a_misreader_fails_after_it_was_shown_what_is_asked_about_and_says_what_it_mistook(arena: Path) -> None:
    episodes = play(arena, Fault.MISREADER)
    assert failed(episodes) == list(episodes)
    for episode in episodes:
        assert episode.stop is StopReason.ANSWERED
        thought = episode.turns[-1].thought
        if episode.question.easy:
            assert str(episode.answer) in thought
            continue
        assert event_frames(arena, episode)
        seen = re.fullmatch(r"frame [\d, ]+: (.+)\.", thought)
        assert seen
        assert seen[1] != say_action(truth_of(arena, episode).event)
        if topic_of(episode.question) not in CONCLUDED:
            assert all(part in seen[1] for part in str(episode.answer).split(", "))


def test_a_misreader_draws_the_right_conclusion_from_what_it_mistook(arena: Path) -> None:
    concluded = [episode for episode in play(arena, Fault.MISREADER) if topic_of(episode.question) in CONCLUDED]
    assert concluded
    for episode in concluded:
        sport, thought = SPORTS[truth_of(arena, episode).sport], episode.turns[-1].thought
        if topic_of(episode.question) is Topic.RULING:
            assert any(cue in thought for cue in sport.rulings[str(episode.answer)])
        else:
            (form,) = (form for form in sport.forms if episode.answer in (form.advice, str(form.points)))
            assert form.sight in thought


def test_a_misreader_looks_where_the_oracle_looks(arena: Path) -> None:
    right = play(arena, Fault.ASTRAY, rate=0.0)
    assert [episode.calls for episode in play(arena, Fault.MISREADER)] == [episode.calls for episode in right]


def test_a_breaker_always_ends_as_a_format_error_at_once_or_after_a_look(arena: Path) -> None:
    episodes = play(arena, Fault.BREAKER)
    assert {episode.stop for episode in episodes} == {StopReason.FORMAT_ERROR}
    assert {len(episode.turns) for episode in episodes} >= {1, 2}
    reasons = {re.sub(r"\W.*(?:JSON).*", " JSON", episode.detail) for episode in episodes}
    assert len(reasons) >= 6
    assert "this window was asked for before" in reasons


@pytest.mark.parametrize("text", [write_call("where", 0, 14), write_answer("what", " red")], ids=["call", "answer"])
@pytest.mark.parametrize("way", Way)
def test_every_way_leaves_the_grammar(way: Way, text: str) -> None:
    assert not isinstance(parse(text), Malformed)
    assert isinstance(parse(break_grammar(text, way)), Malformed)


def test_one_that_does_not_look_fails_without_a_call(arena: Path) -> None:
    episodes = play(arena, Fault.UNLOOKING)
    assert not [episode for episode in episodes if episode.calls]
    assert len(failed(episodes)) > 100
    assert not [episode for episode in failed(episodes) if episode.question.easy or event_frames(arena, episode)]


def test_one_that_does_not_know_the_rules_sees_rightly_and_fails_where_something_is_to_be_concluded(arena: Path) -> None:
    episodes = play(arena, Fault.UNVERSED)
    failures = failed(episodes)
    assert {episode.question.id for episode in failures} == {
        episode.question.id for episode in episodes if topic_of(episode.question) in CONCLUDED
    }
    for episode in failures:
        assert event_frames(arena, episode)
        assert episode.turns[-1].thought.endswith(f": {say_action(truth_of(arena, episode).event)}.")


def test_one_that_does_not_know_the_rules_has_them_mixed_up_in_one_way(arena: Path) -> None:
    concluded: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for episode in failed(play(arena, Fault.UNVERSED)):
        truth, topic = truth_of(arena, episode), topic_of(episode.question)
        ground = truth.event.ruling if topic is Topic.RULING else truth.event.form
        concluded[truth.sport, topic, ground].add(str(episode.answer))
    assert {len(answers) for answers in concluded.values()} == {1}


@pytest.mark.parametrize("fault", Fault)
def test_where_the_fault_does_not_act_every_answer_is_right(arena: Path, fault: Fault) -> None:
    assert not failed(play(arena, fault, rate=0.0))
    some = len(failed(play(arena, fault, rate=0.5)))
    assert 0.3 < some / len(failed(play(arena, fault))) < 0.7


@pytest.mark.parametrize("fault", Fault)
def test_the_same_seed_plays_the_same_and_another_one_otherwise(arena: Path, fault: Fault) -> None:
    def said(seed: int) -> list[list[str]]:
        play.cache_clear()
        return [[turn.text for turn in episode.turns] for episode in play(arena, fault, seed=seed)]

    first = said(1)
    assert said(1) == first
    if fault is not Fault.UNVERSED:  # its mistakes are no matter of chance
        assert said(2) != first


def replayed(folder: Path, question: Question, fault: Fault) -> str:
    """The first reply to an opening that shows the sparse frames, behind them those of the event, and offers no tool."""
    questions, truths = known(folder)
    truth = truths[question.video]
    indices = (*uniform(truth.n_frames, 8), *range(truth.event.first_index, truth.event.last_index + 1))
    blank = np.zeros((1, 1, 3), np.uint8)
    images = [Image(Frame(video=question.video, index=index, time_s=index / 25), blank) for index in indices]
    session = Planted(fault, Oracle(truths, questions)).session(Sampling(seed=3))
    return asyncio.run(session.reply([Message("user", (*images, f"Question: {question.text}"))])).text


@pytest.mark.parametrize("fault", [Fault.ASTRAY, Fault.UNLOOKING])
def test_shown_the_event_one_that_did_not_find_it_is_right(arena: Path, fault: Fault) -> None:
    for question in known(arena)[0]:
        action = parse(replayed(arena, question, fault))
        assert isinstance(action, Answer)
        assert score(question, action.answer) == 1.0


@pytest.mark.parametrize("fault", [Fault.MISREADER, Fault.UNVERSED])
def test_shown_the_event_one_that_cannot_read_it_is_as_wrong_as_before(arena: Path, fault: Fault) -> None:
    before = {episode.question.id for episode in failed(play(arena, fault))}
    for question in known(arena)[0]:
        action = parse(replayed(arena, question, fault))
        assert isinstance(action, Answer)
        assert (score(question, action.answer) < 0.5) == (question.id in before)


def test_shown_the_event_a_breaker_breaks_the_format_still(arena: Path) -> None:
    for question in known(arena)[0]:
        assert isinstance(parse(replayed(arena, question, Fault.BREAKER)), Malformed)


def test_with_two_frames_to_look_between_one_looks_astray_beside_the_event(arena: Path) -> None:
    questions, truths = known(arena)
    hidden = [question for question in questions if not question.easy]
    oracle, blank = Oracle(truths, questions), np.zeros((1, 1, 3), np.uint8)
    for question in hidden:
        truth = truths[question.video]
        ends = [Image(Frame(video=question.video, index=i, time_s=i / 25), blank) for i in (0, truth.n_frames - 1)]
        session = Planted(Fault.ASTRAY, oracle).session(Sampling())
        action = parse(asyncio.run(session.reply([Message("user", (*ends, question.text, "choose_frames"))])).text)
        assert isinstance(action, ChooseFrames)
        assert 0 <= action.start_index < action.end_index < truth.event.first_index


def test_a_planted_policy_is_named_after_its_fault_and_keeps_no_tokens() -> None:
    policy = Planted(Fault.ASTRAY, Oracle({}, ()))
    assert policy.name == "planted-astray"
    assert policy.session(Sampling()).tokens() is None


def test_its_questions_are_of_all_topics_and_clips_of_both_lengths(arena: Path) -> None:
    questions, truths = known(arena)
    assert {topic_of(question) for question in questions} == set(Topic)
    assert {PurePath(video).parent.parent.name for video in truths} == {"short", "long"}
