"""Any recipe -> its plan: which stage a recipe is of is told by its sections, as people tell it."""

import json
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from deepsport.bench.recipe import BenchConfig
from deepsport.bench.tasks import load_episodes, load_questions
from deepsport.config import Config, load
from deepsport.data.distill.recipe import DistillRecipe
from deepsport.errors import BadConfig
from deepsport.records import Question
from deepsport.train.planning.answering import plan_bench, plan_distill
from deepsport.train.planning.lengths import Habits
from deepsport.train.planning.measure import measure_rates
from deepsport.train.planning.plan import Asked, Plan, plan_rl, plan_sft
from deepsport.train.planning.rates import Rates
from deepsport.train.recipe import Recipe, RLRecipe, SFTRecipe
from deepsport.train.trainee import TraineeConfig

SIGNS: dict[type[Config], set[str]] = {
    RLRecipe: {"rl", "vllm"},
    SFTRecipe: {"sft", "episodes"},
    DistillRecipe: {"teacher", "writer", "hints", "samples", "keep", "bounds"},
    BenchConfig: {"endpoint", "protocol", "runs", "majority_of", "native_tools"},
}
"""Settings by which a recipe is known."""


def read_recipe(path: Path, overrides: Sequence[str]) -> Config:
    """The recipe of whichever stage. Raises BadConfig."""
    try:
        keys = set(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadConfig(f"{path} is no recipe: {error}") from error
    keys |= {text.partition("=")[0].partition(".")[0].strip() for text in overrides}
    for kind, signs in SIGNS.items():
        if keys & signs:
            return load(kind, path, overrides)
    raise BadConfig(f"{path} is of no stage that can be planned: a section [rl], [sft], [teacher] or [endpoint] tells which")


def plan_of(recipe: Config, asked: Asked) -> Plan:
    """What the recipe will need. Raises PolicyError if a model's files cannot be had, BadVideo if no video can be opened."""
    match recipe:
        case RLRecipe():
            return plan_rl(recipe, asked)
        case SFTRecipe():
            return plan_sft(recipe, asked)
        case DistillRecipe():
            return plan_distill(recipe, asked)
        case BenchConfig():
            return plan_bench(recipe, asked)
        case _:
            raise BadConfig(f"a {type(recipe).__name__} cannot be planned")


def measure_for(recipe: Config, clock: Callable[[], float]) -> Rates:
    """The rates of this machine with a training recipe's model, videos and settings. Raises BadConfig for another recipe."""
    if isinstance(recipe, RLRecipe):
        return _measured(recipe, recipe.rl, load_questions(Path(recipe.questions)), clock, group=4)
    if isinstance(recipe, SFTRecipe):
        asked = [episode.question for episode in load_episodes(Path(recipe.episodes))]
        return _measured(recipe, recipe.sft, asked, clock, group=1)
    raise BadConfig("rates are measured with a recipe of sft or rl; other plans can read them: --rates")


def _measured(
    recipe: Recipe, config: TraineeConfig, questions: Sequence[Question], clock: Callable[[], float], *, group: int
) -> Rates:
    return measure_rates(recipe.model, config, recipe.limits, questions, recipe.max_pixels, group=group, clock=clock)


def habits_of_run(folder: Path) -> Habits:
    """How the episodes of an RL run have behaved, by its last steps. Raises BadConfig if it has none."""
    path = folder / "metrics.jsonl"
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise BadConfig(f"{path} cannot be read ({error}). It must be the run directory of `deepsport rl`.") from error
    steps = [line for line in lines if line.get("episodes") and line.get("tokens_unique")][-20:]
    if not steps:
        raise BadConfig(f"{path} has no step of RL that was learnt from")

    def mean(name: str) -> float:
        return fmean(float(line[name]) for line in steps)

    turns, taught = 1 + mean("tool_calls"), 1 - mean("groups_flat")
    whole = fmean(line["tokens_unique"] / (line["tokens"] * max(1e-3, 1 - line["groups_flat"])) for line in steps)
    return Habits(turns=turns, reply_tokens=mean("reply_tokens") / turns, unique=min(1.0, whole), taught=taught)
