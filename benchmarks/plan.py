"""Plan against measurement: seconds of a step of SFT and RL by phase, and peak memory, beside what `deepsport plan` says.

Rates are measured first, as `deepsport plan --measure` does; then real steps are run on fresh frames, and compared with what is
planned at these rates for episodes of the habits they turned out to have. All in CPU seconds of one thread, since the machine may
be shared; peak memory in a process of its own. The plan is to be within 25 % wherever measured, else the script fails.
Usage: python benchmarks/plan.py [--steps 3]
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch

from deepsport.agent.rollout import run_episode
from deepsport.arena.generate import load_truths, make_set
from deepsport.arena.oracle import Oracle
from deepsport.bench.tasks import load_episodes, load_questions
from deepsport.policy.base import Sampling
from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.nano import NanoConfig, make_nano
from deepsport.policy.local.policy import Recorded
from deepsport.records import Episode, Question
from deepsport.train.batches import waited
from deepsport.train.grpo import GRPOConfig, Learner, rollouts
from deepsport.train.planning.hardware import accelerator, this_machine
from deepsport.train.planning.lengths import Habits
from deepsport.train.planning.plan import Asked, Plan, plan_rl, plan_sft
from deepsport.train.planning.rates import Rates, assumed
from deepsport.train.planning.recipes import measure_for
from deepsport.train.recipe import RLRecipe, SFTRecipe
from deepsport.train.sft import SFTConfig
from deepsport.train.trainee import Trainee
from deepsport.train.tree import grow
from deepsport.video.source import FrameSource
from rl_step import GROUP, LIMITS, REPLY_TOKENS, Forced, gap, scored
from scale import fill, machine

WIDE = NanoConfig(hidden_size=256, n_layers=6, n_heads=8, intermediate_size=768, vision_hidden_size=128, vision_heads=4)
BOUND = 0.25
SOME_RATES = assumed(accelerator("h200"))
"""Memory does not depend on them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison; seconds, or bytes."""

    case: str
    planned: float
    measured: float

    @property
    def ratio(self) -> float:
        """Planned over measured."""
        return self.planned / self.measured


def habits_of_a_step(groups: Sequence[list[Episode]]) -> Habits:
    """What the episodes of a step turned out to be."""
    episodes = [episode for group in groups for episode in group]
    said = [sum(episode.tokens.sampled) for episode in episodes if episode.tokens]
    turns = fmean(len(episode.turns) for episode in episodes)
    records = [episode.tokens for episode in episodes if episode.tokens]
    openings = [record.sampled.index(True) for record in records]
    opening = sum(openings) / len(records) * len(groups)
    after = sum(len(record.ids) for record in records) - sum(openings)
    unique = (grow(records).n_tokens - opening) / after
    return Habits(turns=turns, reply_tokens=fmean(said) / turns, longest=max(said) / fmean(said), unique=min(1.0, unique))


def make_wide(folder: Path, questions: Sequence[Question]) -> str:
    """A wider Qwen2.5-VL with random weights."""
    make_nano(folder, [question.text for question in questions], WIDE, seed=0)
    policy = load_policy(str(folder))
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in policy.backbone.model.parameters():
            if weight.ndim > 1:
                weight.normal_(0.0, 0.02)
    policy.backbone.model.save_pretrained(folder)
    return str(folder)


def rl_rows(case: str, recipe: RLRecipe, questions: Sequence[Question], n_steps: int) -> list[Row]:
    """Real steps of RL on questions that no step before has asked."""
    rates = [measure(recipe)]
    policy, source, config = load_policy(recipe.model), FrameSource(), recipe.rl
    with FrameSource() as probe:
        gaps = {question.video: gap(probe.info(question.video).n_frames) for question in questions}
    forced = Forced(policy, gaps)
    learner = Learner(Trainee(policy, source, config, n_steps=100), config)
    seconds: list[tuple[float, float]] = []
    habits: list[Habits] = []
    for step in range(n_steps + 1):
        asked = questions[step * config.questions_per_step : (step + 1) * config.questions_per_step]
        start = time.process_time()
        groups = waited(rollouts(forced, asked, source, config, recipe.limits, seed=step))
        middle = time.process_time()
        learner.step([scored(group) for group in groups], step)
        seconds.append((middle - start, time.process_time() - middle))
        habits.append(habits_of_a_step(groups))
    rates.append(measure(recipe))
    plans = [plan(plan_rl, recipe, each, habits[-1]) for each in rates]
    measured = [median(each) for each in zip(*seconds[1:], strict=True)]  # the first step also fills caches
    phases = zip(("rollout", "learn"), measured, strict=True)
    rows = [Row(f"{case}: {phase}", fmean(each.phase_s[phase] for each in plans), took) for phase, took in phases]
    return shown([*rows, Row(f"{case}: step", fmean(each.step_s for each in plans), sum(measured))])


def sft_rows(case: str, recipe: SFTRecipe, episodes: Sequence[Episode], n_steps: int) -> list[Row]:
    """Real steps of SFT on episodes that no step before has read."""
    rates = [measure(recipe)]
    policy, config = load_policy(recipe.model), recipe.sft
    trainee = Trainee(policy, FrameSource(), config, n_steps=100)
    seconds: list[float] = []
    for step in range(n_steps + 1):
        batch = episodes[step * config.batch_size : (step + 1) * config.batch_size]
        start = time.process_time()
        records = [episode.tokens for episode in batch if episode.tokens]
        for portion in trainee.portions(records):
            share = -trainee.logprobs(portion).mean() * portion.counts
            trainee.backward(share, portion)
        trainee.step(step, [episode.id for episode in batch])
        seconds.append(time.process_time() - start)
    rates.append(measure(recipe))
    planned = fmean(plan(plan_sft, recipe, each, None).step_s for each in rates)
    return shown([Row(f"{case}: step", planned, median(seconds[1:]))])


def shown(rows: list[Row]) -> list[Row]:
    """The same, printed."""
    for row in rows:
        print(f"{row.case:<34}{row.planned:>12.3f}{row.measured:>12.3f}{row.ratio:>18.2f}", flush=True)
    return rows


def plan(make, recipe, rates: Rates, habits: Habits | None) -> Plan:
    """On one core of this machine."""
    return make(recipe, Asked(accelerator=this_machine(), rates=rates, cores=1, habits=habits))


def taught(model: str, folder: Path, questions: Sequence[Question]) -> list[Episode]:
    """Episodes of the oracle in the model's tokens."""
    policy = load_policy(model)
    oracle = Recorded(Oracle(load_truths(folder), questions), policy.chat)

    async def play() -> list[Episode]:
        with FrameSource() as source:
            return [
                await run_episode(q, oracle, source, limits=LIMITS, sampling=Sampling(seed=n)) for n, q in enumerate(questions)
            ]

    return asyncio.run(play())


def measure(recipe: RLRecipe | SFTRecipe) -> Rates:
    """In CPU seconds."""
    return measure_for(recipe, time.process_time)


def memory_row(case: str, recipe: SFTRecipe) -> Row:
    """Most that a process held while it learnt one portion, over what it held before it loaded the model."""
    command = [sys.executable, __file__, "--grown", recipe.model_dump_json()]
    grown = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    planned = plan(plan_sft, recipe, SOME_RATES, None).budget.peak_bytes
    return Row(f"{case}: memory, MB", planned / 1e6, grown / 1e6)


def grown(recipe: SFTRecipe) -> float:
    """Bytes by which this process grows in a step of SFT, which is done twice: moments are made at its end."""
    episodes = load_episodes(Path(recipe.episodes))
    torch.set_num_threads(1)

    def learn(some: Sequence[Episode]) -> None:
        trainee = Trainee(load_policy(recipe.model), FrameSource(), recipe.sft, n_steps=100)
        for step in range(2):
            for portion in trainee.portions([episode.tokens for episode in some if episode.tokens]):
                trainee.backward(-trainee.logprobs(portion).mean() * portion.counts, portion)
            trainee.step(step, [])

    learn(episodes[:1])  # what a first use of the libraries leaves behind
    before = most_held()
    learn(episodes[: recipe.sft.batch_size])
    return most_held() - before


def most_held() -> float:
    """Bytes. Not `ru_maxrss`, which begins with that of the process this one was forked from."""
    return 1024.0 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


def compare(name: str, model: str, folder: Path, kinds: Sequence[Question], n_steps: int) -> list[Row]:
    """Everything about one model."""
    questions, path = folder / "set/questions.jsonl", folder / "episodes.jsonl"
    sizes = GRPOConfig(questions_per_step=8, group_size=GROUP, max_reply_tokens=REPLY_TOKENS)
    rl = RLRecipe(model=model, questions=str(questions), limits=LIMITS, rl=sizes)
    rows = rl_rows(f"rl, {name}", rl, kinds, n_steps)
    episodes = taught(model, folder / "set", kinds)
    path.write_text("".join(episode.model_dump_json() + "\n" for episode in episodes))
    sft = SFTRecipe(model=model, episodes=str(path), limits=LIMITS, sft=SFTConfig(batch_size=12))
    rows += sft_rows(f"sft, {name}", sft, episodes, n_steps)
    for again in (False, True):
        config = SFTConfig(batch_size=24, steps=1, tokens_per_forward=6000, train_vision=False, gradient_checkpointing=again)
        case = f"sft, {name}{', checkpointed' if again else ''}"
        rows += shown([memory_row(case, sft.model_copy(update={"sft": config}))])
    return rows


def section(rows: Sequence[Row]) -> Iterator[str]:
    """The table as Markdown."""
    yield f"`benchmarks/plan.py`, {time.strftime('%Y-%m-%d')}, {machine()}, torch {torch.__version__}."
    yield "CPU seconds of one thread, or MB; rates were measured before and after the steps."
    yield ""
    yield "| | planned | measured | planned / measured |"
    yield "|---|---|---|---|"
    for row in rows:
        yield f"| {row.case} | {row.planned:.2f} | {row.measured:.2f} | {row.ratio:.2f} |"


def main() -> None:
    """Measures, prints a table and one JSON line; fails if a plan is further off than it may be."""
    options = argparse.ArgumentParser()
    options.add_argument("--steps", type=int, default=3)
    options.add_argument("--only", choices=("nano", "wide"))
    options.add_argument("--fill", type=Path, help="a page to put the table into")
    options.add_argument("--grown", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.grown:
        return print(grown(SFTRecipe.model_validate_json(given.grown)))
    torch.set_num_threads(1)
    rows: list[Row] = []
    print(f"{'':<34}{'planned':>12}{'measured':>12}{'planned/measured':>18}")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        make_set(folder / "set", n_clips=64, seed=0)
        kinds = [q for q in load_questions(folder / "set/questions.jsonl") if q.id.endswith("-kind")]
        for name in (given.only,) if given.only else ("nano", "wide"):
            model = "nano" if name == "nano" else make_wide(folder / "wide", kinds)
            rows += compare(name, model, folder, kinds, given.steps)
    if given.fill:
        fill(given.fill, "plan", "\n".join(section(rows)))
    cases = {row.case: {"ours": row.planned, "rivals": {}, "measured": row.measured, "ratio": row.ratio} for row in rows}
    versions = {"python": platform.python_version(), "torch": torch.__version__, "load": os.getloadavg()[0]}
    print(json.dumps({"name": "plan against measurement", "cases": cases, "versions": versions}))
    sys.exit(any(abs(row.ratio - 1) > BOUND for row in rows))


if __name__ == "__main__":
    main()
