"""The whole loop, small: rendered clips -> teacher -> SFT curriculum -> agentic GRPO -> the same policy measured three ways.

Each stage is a function of the run directory; a finished stage is skipped and a killed one goes on from its last checkpoint or
its last episode. The held-out clips come from another seed and are never trained on.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits
from deepsport.arena.generate import load_truths, make_set
from deepsport.arena.oracle import Oracle
from deepsport.arena.perception import describe, glimpses
from deepsport.arena.truth import ClipTruth
from deepsport.bench.curves import read_curves
from deepsport.bench.evaluate import evaluate
from deepsport.bench.measure import compare
from deepsport.bench.report import Report
from deepsport.bench.report_html import report_page
from deepsport.config import Config
from deepsport.policy.base import Policy, Sampling
from deepsport.policy.local.checkpoint import load_policy, save_policy
from deepsport.policy.local.nano import NanoConfig, make_nano
from deepsport.policy.local.policy import LocalPolicy, Recorded
from deepsport.progress import track
from deepsport.records import Episode, Question
from deepsport.reward.gated import GatedReward
from deepsport.run import Run
from deepsport.train.grpo import GRPOConfig, reinforce
from deepsport.train.perception import ASK, Glimpse, glimpse_episodes
from deepsport.train.sft import SFTConfig, fit
from deepsport.video.source import FrameSource

HELDOUT_SEED = 1_000_003
"""Added to the seed for the held-out set, so that the two sets have no clip in common."""
SYSTEMS = ("no_tool", "sft", "sft_rl")


class DemoConfig(Config):
    """Everything that determines the demo's figures."""

    seed: int = 0
    train_clips: int = 400
    heldout_clips: int = 120
    glimpses_per_clip: int = 8
    """Looks of 8 frames at every training clip in the perception stage, half of them around the event."""
    no_tool_share: float = 0.15
    """Share of the questions that the teacher also answers without the tool, so that the policy knows what to do then."""
    nano: NanoConfig = NanoConfig()
    perception: SFTConfig = SFTConfig(steps=300, batch_size=64)
    sft: SFTConfig = SFTConfig(steps=150, batch_size=16)
    rl: GRPOConfig = GRPOConfig(steps=50)
    limits: Limits = Limits(style=PromptStyle.BRIEF, max_turns=4)


@dataclass(frozen=True, slots=True)
class ArenaSet:
    """A rendered set: questions with usable paths, truths by the same paths."""

    questions: list[Question]
    truths: dict[str, ClipTruth]


def run_demo(folder: Path, config: DemoConfig, *, fresh: bool = False) -> Report:
    """All stages in order; returns what `report.json` holds."""
    with Run.open(folder, config, fresh=fresh) as run, FrameSource(max_open=64) as source:
        train = render(run, "train", config.train_clips, config.seed)
        heldout = render(run, "heldout", config.heldout_clips, config.seed + HELDOUT_SEED)
        untrained = begin(run, config, train)
        policy = load_policy(str(untrained))
        taught = teach(run, config, train, policy, source)
        policy = learn_to_see(run, config, train, policy, source, untrained)
        policy = learn_to_act(run, config, taught, policy, source, untrained)
        systems = {"no_tool": ask_all(run, config, "no_tool", heldout, policy, source, with_tool=False)}
        systems["sft"] = ask_all(run, config, "sft", heldout, policy, source)
        policy = learn_by_trial(run, config, train, policy, source, untrained)
        systems["sft_rl"] = ask_all(run, config, "sft_rl", heldout, policy, source)
        return conclude(run, config, systems, source)


def render(run: Run, name: str, n_clips: int, seed: int) -> ArenaSet:
    """Renders one set of clips to mp4 files."""
    folder = run.path(f"arena/{name}")
    with run.stage(f"render_{name}"), track(f"render {name}", total=n_clips, unit="clips") as tick:
        finished = 0

        def progress(done: int, _total: int) -> None:
            nonlocal finished
            tick(done - finished)
            finished = done

        questions = make_set(folder, n_clips=n_clips, seed=seed, workers=2, progress=progress)
    return ArenaSet(
        [question.model_copy(update={"video": str(folder / question.video)}) for question in questions],
        {str(folder / video): truth for video, truth in load_truths(folder).items()},
    )


def begin(run: Run, config: DemoConfig, train: ArenaSet) -> Path:
    """An untrained nano whose tokenizer knows the texts it will meet."""
    folder = run.path("untrained")
    if not run.done("begin"):
        with run.stage("begin"):
            make_nano(folder, _texts(train), config.nano, seed=config.seed)
            policy = load_policy(str(folder))
            policy.brief = policy.arena_only = True
            save_policy(policy, folder, folder)
    return folder


def teach(run: Run, config: DemoConfig, train: ArenaSet, policy: LocalPolicy, source: FrameSource) -> list[Episode]:
    """The oracle answers all training questions through the agent loop, and some of them without the tool."""
    teacher = Recorded(Oracle(train.truths, train.questions), policy.chat)
    rng = random.Random(config.seed)
    without = rng.sample(train.questions, int(config.no_tool_share * len(train.questions)))
    with run.stage("teach"):
        return [
            *_ask(run, config, "teacher", train.questions, teacher, source, with_tool=True),
            *_ask(run, config, "teacher_no_tool", without, teacher, source, with_tool=False),
        ]


def learn_to_see(
    run: Run, config: DemoConfig, train: ArenaSet, policy: LocalPolicy, source: FrameSource, origin: Path
) -> LocalPolicy:
    """SFT, first part: name what frames show."""
    if run.done("perception"):
        return load_policy(str(run.path("policies/perception")))
    with run.stage("perception"):
        episodes = glimpse_episodes(_glimpses(train.truths, config.glimpses_per_clip, config.seed), source, policy.chat)
        fit(
            policy,
            episodes,
            source,
            config.perception,
            run,
            stage="perception",
            origin=origin,
            seed=config.seed,
        )
        return _keep(run, policy, "perception", origin)


def learn_to_act(
    run: Run, config: DemoConfig, taught: Sequence[Episode], policy: LocalPolicy, source: FrameSource, origin: Path
) -> LocalPolicy:
    """SFT, second part: whole episodes of the teacher."""
    if run.done("sft"):
        return load_policy(str(run.path("policies/sft")))
    with run.stage("sft"):
        fit(policy, taught, source, config.sft, run, stage="sft", origin=origin, seed=config.seed)
        return _keep(run, policy, "sft", origin)


def learn_by_trial(
    run: Run, config: DemoConfig, train: ArenaSet, policy: LocalPolicy, source: FrameSource, origin: Path
) -> LocalPolicy:
    """Agentic GRPO on the training questions."""
    if run.done("rl"):
        return load_policy(str(run.path("policies/sft_rl")))
    with run.stage("rl"):
        reinforce(
            policy,
            train.questions,
            source,
            config.rl,
            run,
            limits=config.limits,
            reward=GatedReward(),
            origin=origin,
            seed=config.seed,
        )
        return _keep(run, policy, "sft_rl", origin)


def ask_all(
    run: Run, config: DemoConfig, name: str, heldout: ArenaSet, policy: Policy, source: FrameSource, *, with_tool: bool = True
) -> list[Episode]:
    """Greedy episodes over the held-out questions."""
    with run.stage(f"measure_{name}"):
        return _ask(run, config, name, heldout.questions, policy, source, with_tool=with_tool)


def conclude(run: Run, config: DemoConfig, systems: Mapping[str, Sequence[Episode]], source: FrameSource) -> Report:
    """`report.json`: every figure, and each system against the one before it; `report.html`: the same to look at."""
    report = compare(systems, GatedReward(), seed=config.seed, seconds_per_stage=run.seconds_per_stage(), versions=run.versions)
    run.write("report.json", report.model_dump_json(indent=1))
    run.write("report.html", report_page(report, read_curves(run), systems, source))
    return report


def _ask(
    run: Run,
    config: DemoConfig,
    name: str,
    questions: Sequence[Question],
    policy: Policy,
    source: FrameSource,
    *,
    with_tool: bool,
) -> list[Episode]:
    sampling = Sampling(temperature=0.0, max_tokens=config.rl.max_reply_tokens)
    with track(name.replace("_", " "), total=len(questions), unit="episodes") as tick:
        return asyncio.run(
            evaluate(
                questions,
                policy,
                source,
                run,
                f"episodes/{name}.jsonl",
                limits=config.limits,
                sampling=sampling,
                with_tool=with_tool,
                seed=config.seed,
                on_episode=lambda _: tick(),
            )
        )


def _keep(run: Run, policy: LocalPolicy, name: str, origin: Path) -> LocalPolicy:
    save_policy(policy, run.path(f"policies/{name}"), origin)
    return policy


def _glimpses(truths: Mapping[str, ClipTruth], n: int, seed: int) -> list[Glimpse]:
    """`n` looks at every clip, captioned."""
    rng = random.Random(seed)
    return [
        Glimpse(video, tuple((index, describe(truth, index)) for index in indices))
        for video, truth in truths.items()
        for indices in glimpses(truth, n, rng)
    ]


def _texts(train: ArenaSet) -> list[str]:
    """What the tokenizer is trained on: the words of questions, captions, prompts and thoughts."""
    captions = [f"frame {i}: {describe(truth, i)}." for truth in train.truths.values() for i in range(0, truth.n_frames, 4)]
    prompts = [f"Video: {q.sport}, 97 frames, 3.88 s.\nframe 12 (0.48s):\nQuestion: {q.text}" for q in train.questions]
    calls = ['{"action":"choose_frames","frame_range":[40,52]}', "tool: choose_frames", "tool: none", ASK, " event not seen."]
    return captions + prompts + calls * 50 + ["system\n", "user\n", "assistant\n"] * 50
