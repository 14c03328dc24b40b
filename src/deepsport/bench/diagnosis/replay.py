"""The counterfactual: the same question to the same policy, with the frames of the event given, and one turn to answer in.

The frames come behind the opening, as the result of a look does, and no tool is offered. They are as many as a look brings, so a
short event has some of its surroundings. This form was chosen by measurement (docs/diagnosis.md): shown all frames at once, in
one row, a policy that had found the event by itself and answered rightly was wrong in every fifth replay.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import replace

from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import run_episode
from deepsport.bench.diagnosis.rules import Case, Replayed
from deepsport.bench.recipe import BenchConfig
from deepsport.errors import BadVideo
from deepsport.policy.base import Policy
from deepsport.records import Episode, StopReason, Window
from deepsport.reward.gated import FAULTS, answer_accuracy
from deepsport.reward.judge import Verdict
from deepsport.video.sample import window as spread
from deepsport.video.source import FrameSource

ROUNDING_S = 1e-3
"""As in `Window.contains`."""


def can_be_replayed(case: Case) -> bool:
    """Whether there is an answer, and a known time to show frames of."""
    question = case.episode.question
    return case.episode.stop is StopReason.ANSWERED and question.window is not None and not question.easy


def replay_id(episode: Episode) -> str:
    """Of the replay of an episode."""
    return f"{episode.id}/with the event"


async def replay(
    episode: Episode, policy: Policy, source: FrameSource, config: BenchConfig, style: PromptStyle
) -> Episode | None:
    """Asks again, under the settings and the seed of the episode; None if the frames of the event cannot be had."""
    question = episode.question
    if question.window is None:
        return None
    try:
        brought = await asyncio.to_thread(event_indices, question.window, question.video, source, config.frames_per_call)
    except BadVideo:
        return None
    played = await run_episode(
        question,
        policy,
        source,
        limits=config.limits(style).model_copy(update={"max_turns": 1}),
        sampling=replace(config.sampling, seed=episode.seed),
        with_tool=False,
        episode_id=replay_id(episode),
        brought=brought,
    )
    return played.model_copy(update={"tokens": None})


def still_holds(replayed: Episode, episode: Episode) -> bool:
    """Whether a recorded replay is of this episode: the same question, seed and policy, and not lost to a fault."""
    question = replayed.question.model_copy(update={"video": episode.question.video})
    same = (replayed.policy, replayed.seed, question) == (episode.policy, episode.seed, episode.question)
    return same and replayed.stop not in FAULTS


def outcome(replayed: Episode, verdict: Verdict | None) -> Replayed:
    """A replay with its accuracy: by rule, else the judge's. One that ended without an answer tells nothing."""
    if replayed.stop is not StopReason.ANSWERED:
        return Replayed(replayed, None)
    by_rule = answer_accuracy(replayed)
    return Replayed(replayed, (verdict and verdict.accuracy) if by_rule is None else by_rule)


def event_indices(event: Window, video: str, source: FrameSource, n_frames: int) -> tuple[int, ...]:
    """The frames of an event that are shown: `frames_of` in a video file. Raises BadVideo."""
    n_in_video = source.info(video).n_frames
    first, last = indices_within(event, n_in_video, lambda index: source.times(video, [index])[0])
    return frames_of(first, last, n_in_video, n_frames)


def frames_of(first: int, last: int, n_in_video: int, n_frames: int) -> tuple[int, ...]:
    """At most `n_frames` frames from first to last, spread evenly; a shorter event is widened until it has that many."""
    wanted = min(n_frames, n_in_video)
    missing = wanted - (last - first + 1)
    if missing > 0:
        first = min(max(0, first - missing // 2), n_in_video - wanted)
        last = first + wanted - 1
    return spread(first, last, n_frames)


def indices_within(event: Window, n_frames: int, time_s: Callable[[int], float]) -> tuple[int, int]:
    """The first and the last frame of an event; of one that falls between two frames, or beyond the video, the nearest."""
    first = bisect_left(range(n_frames), event.start_s - ROUNDING_S, key=time_s)
    last = bisect_right(range(n_frames), event.end_s + ROUNDING_S, key=time_s) - 1
    first, last = min(first, n_frames - 1), max(last, 0)
    return min(first, last), max(first, last)
