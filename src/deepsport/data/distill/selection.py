"""The best trajectories of each question, rewritten in the one form that is ever trained on, and played back.

A kept trajectory is in the canonical grammar whatever spelling its teacher used; it is kept only if the real loop, given its
words, brings the same frames and ends the same way. The hash of the pixels that it saw says later whether somebody has the same
footage.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from deepsport.agent.rollout import Limits, run_episode
from deepsport.data.distill.checks import Drop
from deepsport.data.distill.footage import Footage
from deepsport.data.distill.judging import Judgement
from deepsport.errors import BadVideo
from deepsport.policy.base import Sampling
from deepsport.policy.scripted import Scripted
from deepsport.records import Episode, Record
from deepsport.reward.gated import FAULTS
from deepsport.video.source import FrameSource


class Playback(Record):
    """A trajectory played back."""

    episode_id: str
    record: str
    """Hash of the trajectory's record (`EpisodeIndex.digest`)."""
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


async def play_back(episode: Episode, record: str, footage: Footage, source: FrameSource, limits: Limits) -> Playback | None:
    """Whether the real loop does again what the trajectory says, on the video that it was played on; None if that cannot be told
    now, because the video cannot be read."""
    script = Scripted([turn.text for turn in episode.turns])
    sampling = Sampling(seed=episode.seed)
    try:
        if await footage.sha256(episode.question.video) != episode.video_sha256:
            return Playback(episode_id=episode.id, record=record, fault="the video is another one by now")
        played = await run_episode(
            episode.question, script, source, limits=limits, sampling=sampling, with_tool=episode.with_tool
        )
        if played.stop in FAULTS:
            return None
        if _course(played) != _course(episode):
            fault = played.detail or f"{played.stop}, {len(played.frames_seen)} frames"
            return Playback(episode_id=episode.id, record=record, fault=fault)
        pixels = await asyncio.to_thread(frames_sha256, episode, source)
    except BadVideo:
        return None
    return Playback(episode_id=episode.id, record=record, frames_sha256=pixels)


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
