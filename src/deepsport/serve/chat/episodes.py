"""Where episodes run: an event loop in a thread of its own, so that health, streams and refusals go on while a model computes.

Only this loop touches the policy. Requests wait here for a place, each no longer than it may; a request that is cancelled out
there is cancelled here, which stops its generation at the next token and ends a request to an endpoint at once.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from deepsport.actor import Actor
from deepsport.agent.rollout import run_episode
from deepsport.loop_thread import LoopThread
from deepsport.policy.base import Sampling
from deepsport.records import Episode, Question, StopReason, Turn
from deepsport.serve.chat import memory
from deepsport.serve.chat.asked import Terms
from deepsport.serve.chat.meters import Meters
from deepsport.serve.chat.refusal import ran_too_long, waited_too_long
from deepsport.serve.chat.settings import ServeConfig
from deepsport.serve.chat.sources import Sources
from deepsport.serve.media.brought import Brought
from deepsport.video.source import FrameSource

OnTurn = Callable[[int, Turn], None]
"""Told which answer and which turn of it, as soon as the turn is over."""

ARENA_ONLY = "the model knows only the arena's rendered clips, and this is not one: expect a guess"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request, ready to be played."""

    question: Question
    brought: Brought
    terms: Terms
    samplings: Sequence[Sampling]
    """One for each answer."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it."""

    episodes: tuple[Episode, ...]
    warnings: tuple[str, ...]


class Episodes:
    """The loop and its thread. Started and closed once."""

    def __init__(self, config: ServeConfig, actor: Actor, meters: Meters) -> None:
        """Starts nothing yet."""
        self._config = config
        self._actor = actor
        self._meters = meters
        self._loop = LoopThread("episodes")
        self._loop.loop.set_default_executor(ThreadPoolExecutor(2 * config.concurrency + 4, "frames"))
        self._places = asyncio.Semaphore(config.concurrency)
        self._sources = Sources()
        self._n_played = 0
        self.mean_s = 1.0
        """Seconds that a place is taken by one request, lately."""

    def start(self) -> None:
        """Runs the loop."""
        self._loop.start()

    async def close(self) -> None:
        """Ends what still runs, the decoders and the thread."""
        await asyncio.to_thread(self._loop.cancel)
        await asyncio.wrap_future(self._loop.begin(self._sources.close()))
        await asyncio.to_thread(self._loop.stop)
        self._loop.loop.close()

    async def play(self, job: Job, on_turn: OnTurn) -> Played:
        """Called from another loop: waits for a place, and plays. `on_turn` is called in the caller's loop.

        Raises Refused if a place or the end does not come in time."""
        here = asyncio.get_running_loop()

        def tell(index: int, turn: Turn) -> None:
            here.call_soon_threadsafe(on_turn, index, turn)

        return await asyncio.wrap_future(self._loop.begin(self._play(job, tell)))

    async def _play(self, job: Job, tell: OnTurn) -> Played:
        await self._wait_for_a_place()
        started = time.monotonic()
        self._meters.running.inc()
        try:
            return await self._in_time(self._episodes(job, tell))
        finally:
            self._places.release()
            self._meters.running.dec()
            self.mean_s += 0.2 * (time.monotonic() - started - self.mean_s)
            self._n_played += 1
            if self._n_played % memory.EVERY == 0:
                self._loop.loop.run_in_executor(None, memory.give_back)

    async def _wait_for_a_place(self) -> None:
        with self._meters.queued.track_inprogress(), self._meters.queue_seconds.time():
            try:
                async with asyncio.timeout(self._config.wait_s):
                    await self._places.acquire()
            except TimeoutError:
                raise waited_too_long(self._config.wait_s, self.mean_s) from None

    async def _in_time(self, playing: Coroutine[None, None, Played]) -> Played:
        limit_s = self._config.episode_s
        clock = asyncio.timeout(limit_s)
        try:
            async with clock:
                return await playing
        except TimeoutError:
            if clock.expired():
                raise ran_too_long(limit_s) from None
            raise

    async def _episodes(self, job: Job, tell: OnTurn) -> Played:
        async with self._sources.source(job.brought) as source:
            async with asyncio.TaskGroup() as group:
                playing = [group.create_task(self._episode(job, index, source, tell)) for index in range(len(job.samplings))]
            episodes = tuple(task.result() for task in playing)
            return Played(episodes, await asyncio.to_thread(self._warnings, job, episodes, source))

    async def _episode(self, job: Job, index: int, source: FrameSource, tell: OnTurn) -> Episode:
        episode = await run_episode(
            job.question,
            self._actor.policy,
            source,
            limits=job.terms.limits(self._actor.style),
            sampling=job.samplings[index],
            with_tool=job.terms.with_tool,
            on_turn=lambda turn: tell(index, turn),
        )
        self._meters.count_episode(episode)
        return episode

    def _warnings(self, job: Job, episodes: Sequence[Episode], source: FrameSource) -> tuple[str, ...]:
        if not self._actor.arena_only or any(episode.stop is StopReason.VIDEO_ERROR for episode in episodes):
            return ()
        comment = source.info(job.question.video).metadata.get("comment", "")
        return (ARENA_ONLY,) if self._actor.is_out_of_place(comment) else ()
