"""Whether one frame is enough in the arena: what one scores who sees the frame in the middle of a clip, and nothing else.

    reader    knows all that this frame shows, and guesses where it does not show the answer
    trained   the shipped nano, which can read frames, taught to answer from this frame on so many clips, measured on others
Chance is a uniform guess. By dimension; easy questions, which ask for no look (which sport, what score), are a part of their own
and not judged. Exit code 1 if the trained one lies above the reader in a dimension: then a frame shows more than it is meant to.

    python benchmarks/arena_single_frame.py [--clips 720] [--steps 240]
"""

import argparse
import asyncio
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch

from arena_shortcuts import slots
from deepsport.agent.prompt import labelled
from deepsport.arena.generate import load_truths, make_set
from deepsport.arena.oracle import answer_at_sight
from deepsport.arena.truth import ClipTruth
from deepsport.bench.stats import mean_interval
from deepsport.bench.tasks import load_questions
from deepsport.policy.base import Image, Message, Sampling
from deepsport.policy.local.checkpoint import load_policy, origin_of
from deepsport.policy.local.policy import LocalPolicy
from deepsport.progress import track
from deepsport.records import Choice, Frame, FreeText, Number, Question
from deepsport.reward.accuracy import accuracy
from deepsport.run import Run
from deepsport.train.optimiser import OptimiserConfig
from deepsport.train.perception import Look, look_episodes
from deepsport.train.sft import SFTConfig, fit
from deepsport.video.source import FrameSource


def middle(truth: ClipTruth) -> int:
    """The frame that is shown."""
    return truth.n_frames // 2


def gold_text(question: Question) -> str:
    """The right answer as one would write it."""
    match question.gold:
        case Choice(answer=answer):
            return answer
        case Number(answer=answer):
            return f"{answer:g}"
        case FreeText(facts=facts):
            return ", ".join(fact.answer for fact in facts)
        case None:
            raise ValueError(f"{question.id} has no answer")


def render(folder: Path, n_clips: int, seed: int) -> tuple[list[Question], dict[str, ClipTruth]]:
    """A set's questions and truths, by the same paths."""
    make_set(folder, n_clips=n_clips, seed=seed, workers=2)
    return load_questions(folder / "questions.jsonl"), {str(folder / video): t for video, t in load_truths(folder).items()}


def read(questions: Sequence[Question], truths: dict[str, ClipTruth]) -> list[float]:
    """Scores of the reader: 1 where the frame shows the answer, else what a uniform guess is worth."""
    return [
        1.0 if answer_at_sight(q, truths[q.video], [middle(truths[q.video])]) else guessed(q, truths[q.video]) for q in questions
    ]


def guessed(question: Question, truth: ClipTruth) -> float:
    """What a uniform guess is worth."""
    return fmean(1 / len(slot.options) for slot in slots(question, truth))


def taught(questions: Sequence[Question], truths: dict[str, ClipTruth], folder: Path, steps: int) -> LocalPolicy:
    """The shipped nano after fine-tuning on (middle frame, question) -> answer."""
    policy = load_policy("nano")
    looks = [Look(q.video, (middle(truths[q.video]),), f"Question: {q.text}", f" {gold_text(q)}") for q in questions]
    config = SFTConfig(
        steps=steps, batch_size=64, checkpoint_every=steps, optimiser=OptimiserConfig(lr=1e-3, muon_lr=0.005, schedule="cosine")
    )
    with Run.open(folder, None) as run, FrameSource(max_open=64) as source:
        fit(policy, look_episodes(looks, source, policy.chat), source, config, run, stage="sft", origin=origin_of("nano"), seed=0)
    return policy


def answers(policy: LocalPolicy, questions: Sequence[Question], truths: dict[str, ClipTruth]) -> list[float]:
    """Scores of a policy that is shown the frame in the middle."""

    async def one(question: Question, source: FrameSource) -> float:
        index = middle(truths[question.video])
        (time_s,) = source.times(question.video, [index])
        frame = Image(Frame(video=question.video, index=index, time_s=time_s), source.frames(question.video, [index])[0])
        reply = await policy.session(Sampling(max_tokens=24)).reply(
            [Message("user", (*labelled([frame]), f"Question: {question.text}"))]
        )
        assert question.gold is not None
        tick()
        return accuracy(question.gold, reply.text.strip()) or 0.0

    async def every() -> list[float]:
        return await asyncio.gather(*(one(question, source) for question in questions))

    with FrameSource(max_open=64) as source, track("answer", total=len(questions), unit="questions") as tick:
        return asyncio.run(every())


def main() -> None:
    """Renders, teaches, measures, prints a table and one JSON line."""
    options = argparse.ArgumentParser()
    options.add_argument("--clips", type=int, default=720)
    options.add_argument("--steps", type=int, default=240)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as made:
        known, known_truths = render(Path(made, "known"), given.clips, seed=11)
        fresh, fresh_truths = render(Path(made, "fresh"), given.clips // 4, seed=12)
        policy = taught(known, known_truths, Path(made, "run"), given.steps)
        systems = {"reader": read(fresh, fresh_truths), "trained": answers(policy, fresh, fresh_truths)}
    cases: dict[str, dict[str, object]] = {}
    print(f"{'score, 0-100':<15}{'n':>6}{'chance':>8}{'reader':>9}{'trained':>23}")
    parts = ["easy" if question.easy else f"{question.dimension}" for question in fresh]
    for part in dict.fromkeys(parts):
        rows = [row for row, name in enumerate(parts) if name == part]
        floor = 100 * fmean(guessed(fresh[row], fresh_truths[fresh[row].video]) for row in rows)
        reader = 100 * fmean(systems["reader"][row] for row in rows)
        values = [systems["trained"][row] for row in rows]
        low, high = (100 * end for end in mean_interval(values, [fresh[row].video for row in rows], seed=0) or (0.0, 1.0))
        score = 100 * fmean(values)
        print(f"{part:<15}{len(rows):>6}{floor:>8.1f}{reader:>9.1f}{f'{score:.1f} ({low:.1f} to {high:.1f})':>23}")
        cases[part] = {"chance": floor, "reader": reader, "trained": score, "interval": (low, high)}
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    print(json.dumps({"name": "arena: scores of those who see one frame", "cases": cases, "versions": versions}))
    judged = {part: case for part, case in cases.items() if part != "easy"}
    if leaking := [part for part, case in judged.items() if case["interval"][0] > case["reader"]]:  # pyright: ignore
        sys.exit(f"one frame shows more than it should in {', '.join(leaking)}")


if __name__ == "__main__":
    main()
