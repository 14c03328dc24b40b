"""Benchmarks and distillation before they are run: a model that acts in episodes and learns nothing, sampled by servers.

Only models of the families that this package runs have their arithmetic counted; others are planned by tokens and price, by the
dry runs of `bench run` and `distill`.
"""

from collections.abc import Sequence
from pathlib import Path

from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits
from deepsport.bench.recipe import BenchConfig
from deepsport.bench.tasks import load_questions
from deepsport.data.distill.recipe import DistillRecipe
from deepsport.errors import BadConfig
from deepsport.records import Question
from deepsport.train.planning.budget import Budget, width_of
from deepsport.train.planning.lengths import Habits, lengths_of
from deepsport.train.planning.plan import Asked, Plan
from deepsport.train.planning.shape import shape_of
from deepsport.train.planning.work import Work, added, looking, rolling_out
from deepsport.train.trainee import TraineeConfig


def plan_bench(config: BenchConfig, asked: Asked) -> Plan:
    """Of the answers; a judge is planned by `bench run --dry-run`. Raises PolicyError if the model's files cannot be had."""
    model = config.endpoint.model if config.endpoint else config.model
    questions = load_questions(Path(config.questions))[: config.limit]
    served = config.endpoint.max_concurrent if config.endpoint else None
    return _plan("bench", model, config.limits(PromptStyle.FULL), questions, config.runs, config.max_reply_tokens, served, asked)


def plan_distill(recipe: DistillRecipe, asked: Asked) -> Plan:
    """Of the teacher's trajectories. Raises BadConfig if the arena's oracle teaches, PolicyError if files are absent."""
    if recipe.teacher is None:
        raise BadConfig("the arena's oracle needs no GPU: there is nothing to plan. A recipe with a [teacher] has.")
    questions, teacher = load_questions(Path(recipe.questions))[: recipe.limit], recipe.teacher
    reply, served = teacher.max_reply_tokens, teacher.max_concurrent
    return _plan("distill", teacher.model, recipe.limits, questions, recipe.samples, reply, served, asked)


def _plan(
    stage: str,
    model: str,
    limits: Limits,
    questions: Sequence[Question],
    each: int,
    max_reply: int,
    served: int | None,
    asked: Asked,
) -> Plan:
    """Every question asked so often, on as many GPUs as there are; all of it is one step. `served`: replies that servers are
    asked for at once; None: no servers."""
    config = TraineeConfig(lora_rank=1)
    shape = shape_of(model, config)
    habits = asked.habits or Habits(turns=min(3.0, limits.max_turns), reply_tokens=min(120.0, max_reply))
    lengths = lengths_of(model, limits, questions, None, max_reply)
    work = Work(
        shape=shape,
        lengths=lengths,
        habits=habits,
        groups=-(-len(questions) // asked.gpus),
        group_size=each,
        width=width_of(shape),
    )
    at_once = asked.rows_served(work, served) if served else asked.rows_sampled(work)
    sampled = rolling_out(work, asked.rates, at_once=at_once, served=served is not None)
    answer = added(looking(work, asked.rates, asked.cores), sampled)
    held = min(at_once, round(work.episodes)) * (lengths.opening + work.after) * shape.cache_bytes(work.width)
    uses = {"weights": float(work.width * shape.parameters), "key-value cache": float(held), "activations": 0.0}
    n_all = len(questions) * each
    return Plan(
        stage=stage,
        asked=asked,
        config=config,
        servers=asked.gpus if served else 0,
        habits=habits,
        budget=Budget(shape.parameters, 0, lengths.per_frame, lengths.most, n_all, round(asked.gpus * work.unique), 1, uses),
        unique_tokens=asked.gpus * work.unique,
        frames=asked.gpus * work.frames,
        operations=0.0,
        phases={"answer": answer},
        overlapped=False,
    )
