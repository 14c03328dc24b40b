"""Distillation, the three steps in a row: facts, acting, judging. Each goes on where it was; its file is its memory.

facts.jsonl       what the annotation proves about each question
acted.jsonl       every trajectory, as it was played
judged.jsonl      one judgement for each
played.jsonl      the selected ones played back, with the hash of the frames they saw
kept.jsonl        what `deepsport sft` learns from: the best of each question
report.json       counts and reasons; report.html shows examples of both
replies.sqlite    every reply that was paid for

What is kept is a function of the replies alone: killed and run again, it is the same to the byte.
"""

import asyncio
import hashlib
import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deepsport.bench.tasks import load_questions
from deepsport.data.distill.cast import open_cast
from deepsport.data.distill.recipe import DistillRecipe
from deepsport.data.distill.report import DistillReport
from deepsport.data.distill.steps import Steps
from deepsport.errors import BadRecord, RunError
from deepsport.policy.openai.allowance import Allowance
from deepsport.records import Question
from deepsport.run import Run
from deepsport.video.source import FrameSource


def run_distill(folder: Path, recipe: DistillRecipe, *, max_usd: float | None = None, fresh: bool = False) -> DistillReport:
    """Makes, or goes on making, the trajectories of a recipe.

    Raises BadConfig, BadRecord, RunError, PolicyError if the teacher answers nothing at all, and Stopped if it was interrupted or
    has spent what it may: run again, it goes on."""
    questions = questions_of(recipe)
    with Run.open(folder, recipe, fresh=fresh) as run, FrameSource() as source:
        _require_same(run, questions)
        return asyncio.run(_distill(run, recipe, questions, source, max_usd))


def questions_of(recipe: DistillRecipe) -> list[Question]:
    """What is asked. Raises BadRecord for a question whose answer nobody knows."""
    loaded = load_questions(Path(recipe.questions))[: recipe.limit]
    questions = [question.model_copy(update={"video": str(Path(question.video).absolute())}) for question in loaded]
    if unknown := next((question for question in questions if question.gold is None), None):
        raise BadRecord(f"{recipe.questions}: question {unknown.id} has no known answer, so that no trajectory could be judged")
    if len({question.id for question in questions}) < len(questions):
        raise BadRecord(f"{recipe.questions}: an id stands twice; `deepsport data check` names it")
    return questions


async def _distill(
    run: Run, recipe: DistillRecipe, questions: Sequence[Question], source: FrameSource, max_usd: float | None
) -> DistillReport:
    async with open_cast(recipe, questions, run.folder, max_usd) as cast:
        with _interruptible(cast.allowance):
            step = Steps(run, recipe, cast, questions, source)
            facts = await step.facts()
            played = await step.acting(facts)
            judgements = await step.judging(facts, played)
            kept = await step.selection(judgements, played)
    return step.write_report(facts, kept, played)


def _require_same(run: Run, questions: Sequence[Question]) -> None:
    """A run belongs to its questions, word for word. Raises RunError."""
    digest = hashlib.sha256()
    for question in questions:
        digest.update(question.model_copy(update={"video": ""}).model_dump_json().encode())
    before = run.stage_record("questions").facts.get("sha256")
    if before not in (None, digest.hexdigest()):
        raise RunError(
            f"{run.folder} was begun with other questions. Use another folder, or start afresh (--fresh), which deletes what "
            "this run has made."
        )
    run.mark_done("questions", sha256=digest.hexdigest())


@contextmanager
def _interruptible(allowance: Allowance) -> Generator[None]:
    """The first Ctrl-C lets what is in flight end; the second one ends at once, as it does anywhere else."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        print("\nfinishing what is in flight; Ctrl-C again to stop at once", file=sys.stderr, flush=True)
        loop.remove_signal_handler(signal.SIGINT)
        allowance.stop("interrupted. What is finished is kept: run the same command again to go on.")

    try:
        loop.add_signal_handler(signal.SIGINT, first)
    except (NotImplementedError, RuntimeError, ValueError):  # not the main thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
