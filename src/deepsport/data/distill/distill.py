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
from collections.abc import Sequence
from pathlib import Path

from deepsport.bench.endpoints import require_usable
from deepsport.bench.tasks import hold_to, load_questions
from deepsport.bench.workers import interruptible
from deepsport.data.distill.cast import open_cast, tables_of
from deepsport.data.distill.recipe import DistillRecipe
from deepsport.data.distill.report import DistillReport
from deepsport.data.distill.steps import Steps
from deepsport.errors import BadRecord
from deepsport.executor.cluster import Cluster, cluster_for
from deepsport.executor.shards import Executor
from deepsport.records import Question
from deepsport.run import Run
from deepsport.video.source import FrameSource


def run_distill(
    folder: Path,
    recipe: DistillRecipe,
    *,
    max_usd: float | None = None,
    fresh: bool = False,
    executor: Executor = Executor.LOCAL,
) -> DistillReport:
    """Makes, or goes on making, the trajectories of a recipe. `executor`: where they are played and played back.

    Raises BadConfig, BadRecord, RunError, PolicyError if the teacher answers nothing at all, and Stopped if it was interrupted or
    has spent what it may: run again, it goes on. On a cluster ExecutorError too."""
    questions = questions_of(recipe)
    require_usable(tables_of(recipe), max_usd)
    with Run.open(folder, recipe, fresh=fresh) as run, FrameSource() as source:
        hold_to(run, questions)
        with cluster_for(executor) as cluster:
            return asyncio.run(_distill(run, recipe, questions, source, max_usd, cluster))


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
    run: Run,
    recipe: DistillRecipe,
    questions: Sequence[Question],
    source: FrameSource,
    max_usd: float | None,
    cluster: Cluster | None,
) -> DistillReport:
    async with open_cast(recipe, questions, run.folder, max_usd) as cast:
        with interruptible(cast.allowance):
            step = Steps(run, recipe, cast, questions, source, cluster)
            facts = await step.facts()
            played = await step.acting(facts)
            judgements = await step.judging(facts, played)
            kept = await step.selection(judgements, played)
    return step.write_report(facts, kept, played)
