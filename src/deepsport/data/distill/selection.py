"""The best trajectories of each question, rewritten in the one form that is ever trained on, and played back.

A kept trajectory is in the canonical grammar whatever spelling its teacher used; it is kept only if the real loop, given its
words, brings the same frames and ends the same way. The hash of the pixels that it saw says later whether somebody has the same
footage.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from deepsport.agent.grammar import Answer, ChooseFrames, Malformed, parse, write_answer, write_call
from deepsport.agent.rollout import Limits, run_episode
from deepsport.data.distill.checks import Drop
from deepsport.data.distill.judging import Judgement
from deepsport.policy.base import Sampling
from deepsport.policy.scripted import Scripted
from deepsport.records import Episode, Frame, Record, Turn, Usage
from deepsport.video.source import FrameSource


class Playback(Record):
    """A trajectory played back."""

    episode_id: str
    frames_sha256: str = ""
    """Of the pixels of every frame shown, in the order shown; empty if it did not play back as recorded."""
    fault: str = ""


def select(judgements: Iterable[Judgement], keep: int) -> list[Judgement]:
    """The judgements again, those beyond the best `keep` of their question dropped as surplus."""
    by_question: defaultdict[str, list[Judgement]] = defaultdict(list)
    chosen: list[Judgement] = []
    for judgement in judgements:
        if judgement.drop:
            chosen.append(judgement)
        else:
            by_question[judgement.question_id].append(judgement)
    for rivals in by_question.values():
        chosen += _best(sorted(rivals, key=_rank), keep)
    return chosen


def _best(ranked: Sequence[Judgement], keep: int) -> Iterator[Judgement]:
    said: set[str] = set()
    for judgement in ranked:
        if judgement.words_sha256 in said:
            yield judgement.model_copy(update={"drop": Drop.TWIN})
        elif len(said) >= keep:
            yield judgement.model_copy(update={"drop": Drop.SURPLUS})
        else:
            said.add(judgement.words_sha256)
            yield judgement


def _rank(judgement: Judgement) -> tuple[float, ...]:
    """Best first: points of the thoughts, accuracy, then fewer looks and fewer words; the id settles a draw."""
    points = -1 if judgement.thought_points is None else judgement.thought_points
    sample = int(judgement.episode_id.rpartition("/")[2])
    return (-points, -(judgement.accuracy or 0.0), judgement.n_calls, judgement.n_characters, sample)


def canonical(episode: Episode) -> Episode:
    """The trajectory in the canonical grammar, without a clock and without tokens, which were the teacher's."""
    turns = tuple(turn.model_copy(update={"text": _canonical_text(turn)}) for turn in episode.turns)
    usage = Usage(prompt_tokens=episode.usage.prompt_tokens, reply_tokens=episode.usage.reply_tokens)
    return episode.model_copy(update={"turns": turns, "tokens": None, "usage": usage})


def _canonical_text(turn: Turn) -> str:
    """A text that differs from the canonical form in blanks only stays: to a small tokeniser " header" is a word of its own."""
    match parse(turn.text):
        case ChooseFrames(thought, start, end):
            text = write_call(thought, start, end)
        case Answer(thought, answer):
            text = write_answer(thought, answer)
        case Malformed():
            return turn.text
    return turn.text.strip() if _bare(text) == _bare(turn.text) else text


def _bare(text: str) -> str:
    return "".join(text.split())


def moved(episode: Episode, video: str) -> Episode:
    """The trajectory with its video at another place."""
    if episode.question.video == video:
        return episode
    turns = tuple(turn.model_copy(update={"frames": _of(turn.frames, video)}) for turn in episode.turns)
    question = episode.question.model_copy(update={"video": video})
    return episode.model_copy(update={"question": question, "first_frames": _of(episode.first_frames, video), "turns": turns})


def _of(frames: Sequence[Frame], video: str) -> tuple[Frame, ...]:
    return tuple(frame.model_copy(update={"video": video}) for frame in frames)


async def play_back(episode: Episode, source: FrameSource, limits: Limits) -> Playback:
    """Whether the real loop does again what the trajectory says, and what it sees."""
    script = Scripted([turn.text for turn in episode.turns])
    played = await run_episode(
        episode.question, script, source, limits=limits, sampling=Sampling(seed=episode.seed), with_tool=episode.with_tool
    )
    if _course(played) != _course(episode):
        return Playback(episode_id=episode.id, fault=played.detail or f"{played.stop}, {len(played.frames_seen)} frames")
    return Playback(episode_id=episode.id, frames_sha256=await asyncio.to_thread(frames_sha256, episode, source))


def frames_sha256(episode: Episode, source: FrameSource) -> str:
    """Hash of the pixels of every frame shown. Raises BadVideo."""
    digest = hashlib.sha256()
    for pixels in source.frames(episode.question.video, [frame.index for frame in episode.frames_seen]):
        digest.update(repr(pixels.shape).encode())
        digest.update(pixels.tobytes())
    return digest.hexdigest()


def _course(episode: Episode) -> tuple[object, ...]:
    """What must be the same."""
    calls = tuple((call.start_index, call.end_index) for call in episode.calls)
    return episode.stop, episode.answer, calls, episode.frames_seen
