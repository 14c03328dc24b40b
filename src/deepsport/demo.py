"""The whole loop, small: rendered clips -> teacher -> SFT curriculum -> agentic GRPO -> the same policy measured three ways.

Each stage is a function of the run directory; a finished stage is skipped and a killed one goes on from its last checkpoint or
its last episode. The held-out clips come from another seed and are never trained on.
"""

import asyncio
import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepsport.agent.grammar import write_call
from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits
from deepsport.arena.generate import load_truths, make_set
from deepsport.arena.oracle import Oracle, answer_at_sight
from deepsport.arena.perception import describe, glimpses
from deepsport.arena.truth import ClipTruth
from deepsport.bench.evaluate import evaluate
from deepsport.bench.report import Report
from deepsport.bench.suite import write_report
from deepsport.config import Config
from deepsport.policy.base import Policy, Sampling
from deepsport.policy.local.checkpoint import load_policy, save_policy
from deepsport.policy.local.nano import NanoConfig, make_nano
from deepsport.policy.local.policy import LocalPolicy, Recorded
from deepsport.progress import track
from deepsport.records import Choice, Episode, Question
from deepsport.reward.gated import GatedReward, answer_accuracy
from deepsport.run import Run
from deepsport.train.grpo import GRPOConfig, reinforce
from deepsport.train.optimiser import OptimiserConfig
from deepsport.train.perception import ASK, Look, describe_frames, look_episodes
from deepsport.train.sft import SFTConfig, fit
from deepsport.video.source import FrameSource

PRACTICE_SEED, HELDOUT_SEED = 500_009, 1_000_003
"""Added to the seed, so that the sets have no clip in common."""

READING = (2, 4, 8)
"""Frames to be told apart in the parts of the reading stage. From one frame straight to eight, an index is not found for long."""

_CALL_HEAD = write_call("", 0, 0).partition("<tool_call>")[2].partition("0")[0]
"""What stands in every call before its first number."""

NANO_OPTIMISER = OptimiserConfig(lr=1e-3, muon_lr=0.01, schedule="cosine")
"""A model of 1.5 M parameters takes rates that would break a large one."""


class DemoConfig(Config):
    """Everything that determines the demo's figures."""

    seed: int = 0
    train_clips: int = 960
    practice_clips: int = 160
    """Clips that only RL asks about. On those of SFT it would reinforce what the policy remembers of them, not what it sees."""
    heldout_clips: int = 120
    looks_per_clip: int = 8
    """Samples to describe from every training clip in the perception and reading stages, half of them around the event."""
    haste: float = 0.85
    """Share of the rule questions that the teacher answers without a look; those it happens to get right are kept, as a filter on
    the answer keeps them. SFT learns this habit; RL is to find out that it does not pay."""
    no_tool_share: float = 0.15
    """Share of the questions that the teacher also answers without the tool, so that the policy knows what to do then."""
    nano: NanoConfig = NanoConfig()
    perception: SFTConfig = SFTConfig(steps=200, batch_size=64, optimiser=NANO_OPTIMISER)
    """Name what a single frame shows."""
    reading: SFTConfig = SFTConfig(steps=90, batch_size=12, train_vision=False, optimiser=OptimiserConfig(lr=1e-3, muon_lr=0.01))
    """Name what each of several frames shows, in turn, and answer about an event among them; with fewer frames, more samples."""
    sft: SFTConfig = SFTConfig(steps=200, batch_size=16, train_vision=False, optimiser=NANO_OPTIMISER)
    """Say what the teacher said in whole episodes."""
    rl: GRPOConfig = GRPOConfig(
        steps=24,
        questions_per_step=16,
        max_reply_tokens=96,
        tokens_per_forward=4096,
        kl_coefficient=0.1,
        train_embeddings=False,
        optimiser=OptimiserConfig(lr=1e-4, warmup_steps=5, schedule="cosine"),
    )
    limits: Limits = Limits(style=PromptStyle.BRIEF, max_turns=4)


@dataclass(frozen=True, slots=True)
class ArenaSet:
    """A rendered set: questions with usable paths, truths by the same paths."""

    questions: list[Question]
    truths: dict[str, ClipTruth]


def run_demo(folder: Path, config: DemoConfig, *, fresh: bool = False) -> Report:
    """All stages in order; returns what `report.json` holds."""
    with Run.open(folder, config, fresh=fresh) as run, FrameSource(max_open=64) as source:
        demo = Demo(run, config, source)
        train = demo.render("train", config.train_clips, config.seed)
        practice = demo.render("practice", config.practice_clips, config.seed + PRACTICE_SEED)
        heldout = demo.render("heldout", config.heldout_clips, config.seed + HELDOUT_SEED)
        policy = demo.begin(train)
        taught = demo.teach(train, policy)
        policy = demo.imitate("perception", config.perception, policy, lambda: demo.looks(train, policy, each=1))
        for each in READING:
            reading = config.reading.model_copy(update={"batch_size": config.reading.batch_size * READING[-1] // each})
            policy = demo.imitate(f"reading_{each}", reading, policy, functools.partial(demo.looks, train, policy, each=each))
        policy = demo.imitate("sft", config.sft, policy, lambda: taught)
        systems = {
            "no_tool": demo.measure("no_tool", heldout, policy, with_tool=False),
            "sft": demo.measure("sft", heldout, policy),
        }
        policy = demo.reinforce(practice, policy)
        systems["sft_rl"] = demo.measure("sft_rl", heldout, policy)
        return write_report(run, systems, source, seed=config.seed)


@dataclass(frozen=True, slots=True)
class Demo:
    """The stages; each skips what the run already holds."""

    run: Run
    config: DemoConfig
    source: FrameSource

    def render(self, name: str, n_clips: int, seed: int) -> ArenaSet:
        """Renders one set of clips to mp4 files."""
        folder = self.run.path(f"arena/{name}")
        with self.run.stage(f"render_{name}"), track(f"render {name}", total=n_clips, unit="clips") as tick:
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

    def begin(self, train: ArenaSet) -> LocalPolicy:
        """An untrained nano whose tokenizer knows the texts it will meet."""
        if not self.run.done("begin"):
            with self.run.stage("begin"):
                make_nano(self._origin, _texts(train), self.config.nano, phrases=[_CALL_HEAD], seed=self.config.seed)
                policy = load_policy(str(self._origin))
                policy.brief = policy.arena_only = True
                save_policy(policy, self._origin, self._origin)
        return load_policy(str(self._origin))

    def teach(self, train: ArenaSet, policy: LocalPolicy) -> list[Episode]:
        """The oracle answers all training questions through the agent loop, of which the right answers are kept; and some of them
        without the tool, where it can only guess."""
        teacher = Recorded(Oracle(train.truths, train.questions, haste=self.config.haste), policy.chat)
        n_without = int(self.config.no_tool_share * len(train.questions))
        without = random.Random(self.config.seed).sample(train.questions, n_without)
        with self.run.stage("teach"):
            answered = self._ask("teacher", train.questions, teacher)
            guessed = self._ask("teacher_no_tool", without, teacher, with_tool=False)
        return [episode for episode in answered if answer_accuracy(episode) == 1] + guessed

    def looks(self, train: ArenaSet, policy: LocalPolicy, *, each: int) -> list[Episode]:
        """Perception samples of `each` frames: some are to be described, some come with a question that they answer."""
        n, rng = self.config.looks_per_clip, random.Random(self.config.seed)
        described = [
            describe_frames(video, {index: describe(truth, index) for index in indices})
            for video, truth in train.truths.items()
            for indices in glimpses(truth, n, rng, each=each)
        ]
        asked = [
            Look(question.video, indices, f"Question: {question.text}", reply)
            for question in train.questions
            for truth in (train.truths[question.video],)
            for indices in glimpses(truth, 2 * n // 3, rng, each=each)
            if (reply := answer_at_sight(question, truth, indices))
        ]
        return look_episodes(described + asked, self.source, policy.chat)

    def imitate(
        self, stage: str, config: SFTConfig, policy: LocalPolicy, episodes: Callable[[], Sequence[Episode]]
    ) -> LocalPolicy:
        """One stage of supervised fine-tuning."""
        if not self.run.done(stage):
            with self.run.stage(stage):
                fit(policy, episodes(), self.source, config, self.run, stage=stage, origin=self._origin, seed=self.config.seed)
                save_policy(policy, self.run.path(f"policies/{stage}"), self._origin)
        return load_policy(str(self.run.path(f"policies/{stage}")))

    def reinforce(self, practice: ArenaSet, policy: LocalPolicy) -> LocalPolicy:
        """Agentic GRPO on questions about clips that SFT has not seen."""
        if not self.run.done("rl"):
            with self.run.stage("rl"):
                reinforce(
                    policy,
                    practice.questions,
                    self.source,
                    self.config.rl,
                    self.run,
                    limits=self.config.limits,
                    reward=GatedReward(),
                    origin=self._origin,
                    seed=self.config.seed,
                )
                save_policy(policy, self.run.path("policies/sft_rl"), self._origin)
        return load_policy(str(self.run.path("policies/sft_rl")))

    def measure(self, name: str, heldout: ArenaSet, policy: Policy, *, with_tool: bool = True) -> list[Episode]:
        """Greedy episodes over the held-out questions."""
        with self.run.stage(f"measure_{name}"):
            return self._ask(name, heldout.questions, policy, with_tool=with_tool)

    def _ask(self, name: str, questions: Sequence[Question], policy: Policy, *, with_tool: bool = True) -> list[Episode]:
        sampling = Sampling(temperature=0.0, max_tokens=self.config.rl.max_reply_tokens)
        with track(name.replace("_", " "), total=len(questions), unit="episodes") as tick:
            return asyncio.run(
                evaluate(
                    questions,
                    policy,
                    self.source,
                    self.run,
                    f"episodes/{name}.jsonl",
                    limits=self.config.limits,
                    sampling=sampling,
                    with_tool=with_tool,
                    seed=self.config.seed,
                    on_episode=lambda _: tick(),
                )
            )

    @property
    def _origin(self) -> Path:
        """The untrained checkpoint, whose tokenizer and settings every later one takes along."""
        return self.run.path("untrained")


def _texts(train: ArenaSet) -> list[str]:
    """What the tokenizer is trained on: the words of questions, captions, prompts and thoughts."""
    longest = max(truth.n_frames for truth in train.truths.values())
    numbers = [f"frame {index}" for index in range(longest)] * 50
    captions = [f"frame {i}: {describe(truth, i)}." for truth in train.truths.values() for i in range(0, truth.n_frames, 4)]
    prompts = [f"Video: {q.sport}, 97 frames, 3.88 s.\nframe 12 (0.48s):\nQuestion: {q.text}" for q in train.questions]
    calls = ["[40,52]}", "tool: choose_frames", "tool: none", ASK, " event not seen."]
    answers = [
        f"{opening}{option}"
        for q in train.questions
        if isinstance(q.gold, Choice)
        for option in q.gold.options
        for opening in ("", " ")
    ]
    return numbers + captions + prompts + answers + calls * 50 + ["system\n", "user\n", "assistant\n"] * 50
