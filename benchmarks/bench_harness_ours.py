"""Our evaluation on one set, timed: every question asked, recorded, and its reply kept, on one core.

A first pass puts one question about every clip, in a run of its own; what the process remembers of clips from then on is their
facts, decoded frames and encoded frames. The timed pass has other questions, a new run and an empty cache of replies. The floor
is the client alone: one ready request of the same size, sent as often. Prints one JSON line last.

    python benchmarks/bench_harness_ours.py URL WARM_UP_JSONL QUESTIONS_JSONL OUT passive|agentic [requests at once]
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from deepsport.agent.rollout import Limits
from deepsport.bench.evaluate import evaluate
from deepsport.bench.tasks import load_questions
from deepsport.policy.base import Image, Message, Sampling
from deepsport.policy.openai import OpenAIPolicy
from deepsport.policy.openai.line import Line, opener
from deepsport.policy.openai.reply_cache import ReplyCache
from deepsport.records import Episode, Frame, Question
from deepsport.reward.gated import answer_accuracy
from deepsport.run import Run
from deepsport.versions import versions
from deepsport.video.sample import uniform
from deepsport.video.source import FrameSource


class Clock:
    """Wall and CPU time since it was made."""

    def __init__(self) -> None:
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Both, in seconds."""
        return {"wall_s": time.perf_counter() - self._wall_s, "cpu_s": time.process_time() - self._cpu_s}


async def ask(
    questions: Sequence[Question], policy: OpenAIPolicy, source: FrameSource, folder: Path, with_tool: bool
) -> tuple[list[Episode], dict[str, float]]:
    """One pass in a run of its own, with the limits and the concurrency of `deepsport bench`."""
    with Run.open(folder, None) as run, ReplyCache(folder / "replies.sqlite") as cache:
        policy.cache = cache
        clock = Clock()
        episodes = await evaluate(
            questions,
            policy,
            source,
            run,
            "episodes.jsonl",
            limits=Limits(),
            sampling=Sampling(),
            with_tool=with_tool,
            concurrency=policy.max_concurrent,
        )
        await policy.aclose()
        return episodes, clock.read()


async def send_only(policy: OpenAIPolicy, request: bytes, n: int) -> dict[str, float]:
    """The HTTP client of a policy with one request again and again, and nothing else."""
    open_client = opener(policy.base_url, policy.api_key, policy.timeout_s)
    line, left = Line(asyncio.get_running_loop(), policy.max_concurrent, open_client, None), iter(range(n))

    async def worker() -> None:
        for _ in left:
            async with line.client() as client:
                (await client.post("chat/completions", request)).raise_for_status()

    clock = Clock()
    await asyncio.gather(*(worker() for _ in range(4)))
    spent = clock.read()
    await line.close()
    return spent


def main(url: str, warm: str, questions: str, out: str, kind: str, at_once: str = "64") -> None:
    """Warms up, measures, prints."""
    policy = OpenAIPolicy("m", url, "k", max_concurrent=int(at_once))
    asked, with_tool = load_questions(Path(questions)), kind == "agentic"
    with FrameSource() as source:
        _, first = asyncio.run(ask(load_questions(Path(warm)), policy, source, Path(out) / "warm", with_tool))
        episodes, spent = asyncio.run(ask(asked, policy, source, Path(out) / "timed", with_tool))
        size = body_bytes(policy, source, asked[0])
        floor = asyncio.run(send_only(policy, b'{"messages":"' + b"x" * size + b'Question: ?"}', len(asked)))
    stops = Counter(episode.stop for episode in episodes)
    rights = {episode.question.id: answer_accuracy(episode) for episode in episodes}
    known = [right for right in rights.values() if right is not None]
    seen = {"n": len(asked), **spent, "first_pass": first, "floor": floor, "request_bytes": size, "stops": stops}
    print(json.dumps({**seen, "accuracy": sum(known) / len(known), "rights": rights, "versions": versions()}))


def body_bytes(policy: OpenAIPolicy, source: FrameSource, question: Question) -> int:
    """Size of the frames of one request."""
    shown = source.look(question.video, uniform(source.info(question.video).n_frames, Limits().first_frames))
    images = [Image(Frame(video=question.video, index=each.index, time_s=each.time_s), each.pixels) for each in shown]
    return len(policy.writer.message(Message("user", tuple(images))).content)


if __name__ == "__main__":
    main(*sys.argv[1:])
