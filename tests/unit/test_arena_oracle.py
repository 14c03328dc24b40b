"""The oracle in the real episode loop: right whenever it may look, at chance when it may not, and never out of the grammar."""

import asyncio
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from deepsport.agent.grammar import TOOL_NAME, Answer, ChooseFrames, parse
from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits, run_episode
from deepsport.arena.generate import load_truths, make_set
from deepsport.arena.oracle import Oracle, answer_at_sight, open_oracle
from deepsport.arena.questions import Topic, ask, topic_of
from deepsport.arena.script import Dials, write_script
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import ClipTruth, Difficulty
from deepsport.bench.tasks import load_questions
from deepsport.errors import BadConfig, PolicyError
from deepsport.policy.base import Image, Message, Sampling
from deepsport.records import Choice, Dimension, Episode, Frame, FreeText, Number, Question, StopReason
from deepsport.reward.accuracy import accuracy
from deepsport.video.sample import uniform, window
from deepsport.video.source import FrameSource


def play(
    folder: Path, *, with_tool: bool = True, style: PromptStyle = PromptStyle.BRIEF, n_seeds: int = 1, haste: float = 0.0
) -> list[Episode]:
    """Every question of a set, answered by the oracle."""
    questions = [Question.model_validate_json(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
    placed = [question.model_copy(update={"video": str(folder / question.video)}) for question in questions]
    oracle, source = Oracle(load_truths(folder), questions, haste=haste), FrameSource()

    async def run() -> list[Episode]:
        return [
            await run_episode(
                question, oracle, source, limits=Limits(style=style), sampling=Sampling(seed=seed), with_tool=with_tool
            )
            for question in placed
            for seed in range(n_seeds)
        ]

    try:
        return asyncio.run(run())
    finally:
        source.close()


def score(episode: Episode) -> float:
    assert episode.question.gold is not None
    found = accuracy(episode.question.gold, episode.answer)
    assert found is not None
    return found


def right(episode: Episode) -> bool:
    return score(episode) == 1.0


def guessing(question: Question) -> tuple[float, float]:
    """Mean and variance of what a guess scores."""
    match question.gold:
        case Choice(options=options):
            chances = [1 / len(options)]
        case Number():
            chances = [1 / 3]  # 1, 2 or 3 turns; 9, 7 or 5 points
        case FreeText(facts=facts):
            chances = [1 / len(fact.options) for fact in facts]
        case None:
            raise AssertionError(question.id)
    n = len(chances)
    return sum(chances) / n, sum(chance * (1 - chance) for chance in chances) / n**2


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arena")
    make_set(folder, n_clips=4 * len(SPORTS), seed=21, sports=list(SPORTS), dials=Dials(longest=72))
    return folder


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hard")
    make_set(folder, n_clips=6, seed=22, dials=Dials(shortest=250, longest=260, difficulty=Difficulty.HARD))
    return folder


def test_the_questions_played_are_of_all_topics_and_sports(arena: Path) -> None:
    questions = [Question.model_validate_json(line) for line in (arena / "questions.jsonl").read_text().splitlines()]
    assert {topic_of(question) for question in questions} == set(Topic)
    assert {question.sport for question in questions} == {*SPORTS, None}


@pytest.mark.parametrize("style", PromptStyle)
def test_with_the_tool_every_answer_is_right(arena: Path, style: PromptStyle) -> None:
    for episode in play(arena, style=style):
        assert episode.stop is StopReason.ANSWERED, episode.detail
        assert right(episode), episode.turns[-1].text


def test_a_hidden_event_takes_one_call_whose_window_holds_it_and_an_easy_question_none(arena: Path) -> None:
    for episode in play(arena):
        if episode.question.easy:
            assert not episode.calls
            continue
        assert episode.question.window is not None
        assert len(episode.calls) == 1
        window = episode.calls[0].window
        assert window is not None
        assert window.start_s < episode.question.window.start_s <= episode.question.window.end_s < window.end_s


def test_without_the_tool_it_guesses_at_chance_and_still_answers_what_can_be_seen(arena: Path) -> None:
    episodes = play(arena, with_tool=False, n_seeds=3)
    assert all(episode.stop is StopReason.ANSWERED and not episode.calls for episode in episodes)
    assert all(right(episode) for episode in episodes if episode.question.easy)
    hidden = [episode for episode in episodes if not episode.question.easy]
    assert all("event not seen" in episode.turns[-1].thought for episode in hidden)
    for dimension in Dimension:
        guesses = [episode for episode in hidden if episode.question.dimension is dimension]
        moments = [guessing(episode.question) for episode in guesses]
        expected, variance = (sum(part) for part in zip(*moments, strict=True))
        assert abs(sum(map(score, guesses)) - expected) < 4 * variance**0.5, dimension


def test_in_haste_it_guesses_rule_questions_unseen_and_looks_in_all_others(arena: Path) -> None:
    for haste in (1.0, 0.5):
        episodes = [episode for episode in play(arena, haste=haste) if not episode.question.easy]
        rules = [episode for episode in episodes if episode.question.dimension is Dimension.RULES]
        assert {topic_of(episode.question) for episode in rules} == {Topic.RULING, Topic.SIGN}
        assert all(episode.calls for episode in episodes if episode.question.dimension is not Dimension.RULES)
        unseen = [episode for episode in rules if not episode.calls]
        assert len(unseen) == len(rules) if haste == 1 else 0 < len(unseen) < len(rules)
        assert 0 < sum(map(right, unseen)) < len(unseen)
        assert all(right(episode) for episode in episodes if episode.calls)


def test_attempts_are_not_taken_for_the_event(hard: Path) -> None:
    truths, n_seen = load_truths(hard), 0
    for episode in play(hard):
        truth = next(truth for video, truth in truths.items() if episode.question.video.endswith(video))
        assert right(episode), episode.turns[-1].text
        n_seen += any(attempt.shown_at(frame.index) for frame in episode.frames_seen for attempt in truth.attempts)
    assert n_seen > 0


def test_an_event_that_the_first_look_misses_is_found_by_zooming_on(tmp_path: Path) -> None:
    lengths = Dials(shortest=600, longest=700, event_shortest=1, event_longest=2)
    make_set(tmp_path, n_clips=4, seed=22, sports=["soccer", "diving"], dials=lengths)
    hidden = [episode for episode in play(tmp_path) if not episode.question.easy]
    assert all(right(episode) for episode in hidden)
    assert max(len(episode.calls) for episode in hidden) >= 2
    assert max(len(episode.turns) for episode in hidden) <= Limits().max_turns


def test_two_frames_of_two_thousand_are_found_by_several_looks_within_five_turns(tmp_path: Path) -> None:
    lengths = Dials(shortest=2048, longest=2048, event_shortest=2, event_longest=2, difficulty=Difficulty.HARD)
    make_set(tmp_path, n_clips=3, seed=24, sports=["fencing", "gymnastics", "baseball"], dials=lengths)
    hidden = [episode for episode in play(tmp_path) if not episode.question.easy]
    assert all(right(episode) for episode in hidden)
    assert all(len(episode.turns) <= 5 for episode in hidden)
    assert all(len(episode.calls) >= 2 for episode in hidden)
    assert max(len(episode.calls) for episode in hidden) >= 3
    for episode in hidden:
        spans = [(call.start_index, call.end_index) for call in episode.calls]
        assert all(a <= c and d <= b and d - c < (b - a) / 5 for (a, b), (c, d) in pairwise(spans))


async def looks(question: Question, truth: ClipTruth) -> tuple[int, bool]:
    """How often the oracle looks before it answers, and whether it is right; it needs no pixels, so none are drawn."""
    session, indices, n_looks = Oracle({truth.video: truth}, [question]).session(Sampling()), uniform(truth.n_frames, 8), 0
    blank = np.zeros((1, 1, 3), np.uint8)
    while True:
        images = [Image(Frame(video=truth.video, index=index, time_s=index / 25), blank) for index in indices]
        action = parse((await session.reply([Message("user", (*images, question.text, TOOL_NAME))])).text)
        if isinstance(action, Answer):
            assert question.gold is not None
            return n_looks, accuracy(question.gold, action.answer) == 1.0
        assert isinstance(action, ChooseFrames)
        indices, n_looks = window(action.start_index, action.end_index, 8), n_looks + 1


@pytest.mark.parametrize("sport", SPORTS)
def test_two_frames_of_ten_minutes_are_found_within_five_turns(sport: str) -> None:
    lengths = Dials(shortest=15_000, longest=15_000, event_shortest=2, event_longest=2, difficulty=Difficulty.HARD)
    truth = write_script(SPORTS[sport], 24, 0, lengths)
    for question in ask(truth, 0):
        n_looks, is_right = asyncio.run(looks(question, truth))
        assert is_right
        assert n_looks == 0 if question.easy else 2 <= n_looks <= 4


def test_a_frame_of_the_event_answers_at_sight_and_any_other_frame_does_not(hard: Path) -> None:
    truths = load_truths(hard)
    for line in (hard / "questions.jsonl").read_text().splitlines():
        question = Question.model_validate_json(line)
        truth = truths[question.video]
        if question.easy:
            continue
        others = [index for index in range(truth.n_frames) if not truth.event.shown_at(index)]
        assert answer_at_sight(question, truth, others) is None
        said = answer_at_sight(question, truth, [*others[:3], truth.event.last_index])
        assert said is not None
        assert said.endswith("</answer>")


def test_thoughts_are_short_and_speak_of_frames_that_were_shown(arena: Path) -> None:
    for episode in play(arena) + play(arena, with_tool=False):
        shown = [list(episode.first_frames), *(list(turn.frames) for turn in episode.turns)]
        for turn, frames in zip(episode.turns, shown, strict=False):
            walked = [int(number) for number in re.findall(r"\d+", re.split(": | shows", turn.thought)[0])]
            assert walked or turn.thought == "event not seen."
            indices = [frame.index for frame in frames]
            assert walked == indices[: len(walked)] or walked == indices[-1:], turn.thought
            assert len(turn.thought.split()) <= len(walked) + 12


def test_a_clip_or_a_question_it_does_not_know_ends_as_a_policy_error(arena: Path) -> None:
    truths = load_truths(arena)
    video = next(iter(truths))
    stranger = Question(id="x-kind", video=str(arena / video), text="Who won? Options: red, blue.")
    source = FrameSource()
    episode = asyncio.run(run_episode(stranger, Oracle(truths, ()), source, limits=Limits(), sampling=Sampling()))
    source.close()
    assert episode.stop is StopReason.POLICY_ERROR
    assert "recognises 0 questions" in episode.detail


def test_it_has_no_token_record_and_refuses_a_question_without_frames_that_it_does_not_know() -> None:
    session = Oracle({}, ()).session(Sampling())
    assert session.tokens() is None
    with pytest.raises(PolicyError, match="shown no frame, and recognises no question"):
        asyncio.run(session.reply([Message("user", ("Question: who?",))]))


def without_frames(oracle: Oracle, question: Question, seed: int) -> Answer:
    """What it says to the question alone, though the tool is offered."""
    session = oracle.session(Sampling(seed=seed))
    action = parse(asyncio.run(session.reply([Message("user", (f"Question: {question.text}", f"\ntool: {TOOL_NAME}"))])).text)
    assert isinstance(action, Answer)
    return action


def test_without_any_frame_it_guesses_among_what_the_question_offers_at_chance(arena: Path) -> None:
    questions = load_questions(arena / "questions.jsonl")
    oracle = open_oracle(arena)
    total = expected = variance = 0.0
    for question in questions:
        assert question.gold is not None
        for seed in range(3):
            action = without_frames(oracle, question, seed)
            assert action.thought == "event not seen."
            if isinstance(question.gold, Choice):
                assert action.answer in question.gold.options
            total += accuracy(question.gold, action.answer) or 0.0
        mean, spread = guessing(question)
        expected, variance = expected + 3 * mean, variance + 3 * spread
    assert abs(total - expected) < 4 * variance**0.5


def test_without_any_frame_its_guess_depends_on_the_seed_and_not_on_the_clip(arena: Path) -> None:
    questions = [question for question in load_questions(arena / "questions.jsonl") if topic_of(question) is Topic.COMMENT]
    alike = [question for question in questions if question.text == questions[0].text]
    assert len({question.video for question in alike}) > 1
    oracle = open_oracle(arena)
    for seed in range(4):
        assert len({without_frames(oracle, question, seed).answer for question in alike}) == 1
    assert len({without_frames(oracle, alike[0], seed).answer for seed in range(8)}) > 2


@pytest.mark.parametrize("n_frames", [1, 2, 5, 64])
def test_without_the_tool_it_answers_from_as_many_frames_as_it_is_shown(hard: Path, n_frames: int) -> None:
    oracle, truths = open_oracle(hard), load_truths(hard)
    questions = load_questions(hard / "questions.jsonl")

    async def run(source: FrameSource) -> list[Episode]:
        limits = Limits(first_frames=n_frames)
        return [
            await run_episode(question, oracle, source, limits=limits, sampling=Sampling(), with_tool=False)
            for question in questions
        ]

    with FrameSource() as source:
        episodes = asyncio.run(run(source))
    for episode in episodes:
        truth = next(truth for video, truth in truths.items() if episode.question.video.endswith(video))
        assert episode.stop is StopReason.ANSWERED, episode.detail
        assert len(episode.first_frames) == n_frames
        seen = any(truth.event.shown_at(frame.index) for frame in episode.first_frames)
        if not episode.question.easy:
            assert ("event not seen" in episode.turns[-1].thought) == (not seen)
            assert right(episode) or not seen
    assert any(right(episode) for episode in episodes)


def test_the_last_frame_tells_the_score_in_whatever_order_frames_are_shown(arena: Path) -> None:
    truths, questions = load_truths(arena), load_questions(arena / "questions.jsonl")
    asked = [question for question in questions if topic_of(question) is Topic.SCORE]
    assert asked
    for question in asked:
        truth = truths[f"clips/{Path(question.video).name}"]
        assert answer_at_sight(question, truth, [truth.n_frames - 1, 0]) is not None


def test_the_oracle_of_a_folder_knows_the_questions_and_clips_of_its_set(hard: Path) -> None:
    questions, oracle = load_questions(hard / "questions.jsonl"), open_oracle(hard)
    source = FrameSource()
    episode = asyncio.run(run_episode(questions[0], oracle, source, limits=Limits(), sampling=Sampling()))
    source.close()
    assert right(episode)


@pytest.mark.parametrize("lacking", ["truth.jsonl", "questions.jsonl"])
def test_a_folder_that_holds_no_arena_set_has_no_oracle_and_says_so(tmp_path: Path, lacking: str) -> None:
    make_set(tmp_path, n_clips=1, seed=1, dials=Dials(longest=64))
    (tmp_path / lacking).unlink()
    with pytest.raises(BadConfig, match=rf"holds no arena set \({lacking} missing\).*deepsport arena render"):
        open_oracle(tmp_path)
