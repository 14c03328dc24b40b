"""The whole loop, small: rendered clips -> teacher -> SFT curriculum -> agentic GRPO -> the same policy measured three ways.

Each stage is a function of the run directory; a finished stage is skipped and a killed one goes on from its last checkpoint or
its last episode. The held-out clips come from another seed and are never trained on.
"""

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
from deepsport.arena.questions import ask as ask_about
from deepsport.arena.script import Dials, write_script
from deepsport.arena.sports import SPORTS, TRAINED
from deepsport.arena.truth import ClipTruth
from deepsport.bench.evaluate import ask
from deepsport.bench.report import Report
from deepsport.bench.suite import write_report
from deepsport.bench.tasks import load_questions
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

STUDY_SEED, LONG_SEED, PRACTICE_SEED, HELDOUT_SEED = 125_003, 250_007, 500_009, 1_000_003
"""Added to the seed, so that the sets have no clip in common."""

READING = (2, 4, 8)
"""Frames to be told apart in the parts of the reading stage. From one frame straight to eight, an index is not found for long."""

_CALL_HEAD = write_call("", 0, 0).partition("<tool_call>")[2].partition("0")[0]
"""What stands in every call before its first number."""

FROM_SCRATCH = OptimiserConfig(lr=1e-3, muon_lr=0.01, schedule="cosine")
"""A model of 1.7 M parameters takes rates that would break a large one."""

ONWARD = OptimiserConfig(lr=1e-3, muon_lr=0.005)
"""Half of that for matrices that have learnt to see: with all of it, what one frame shows is half forgotten for eight."""


class DemoConfig(Config):
    """Everything that determines the demo's figures."""

    seed: int = 0
    dials: Dials = Dials()
    """Of all clips but the long ones."""
    train_clips: int = 960
    long_share: float = 0.0
    """Long clips, in which one look is not enough, to be learnt from for every other clip."""
    long_dials: Dials = Dials(shortest=128, longest=2048, event_shortest=2, event_longest=8)
    practice_clips: int = 160
    """Clips that only RL asks about. On those of SFT it would reinforce what the policy remembers of them, not what it sees."""
    heldout_clips: int = 96
    looks_per_clip: int = 8
    """Samples to describe from every training clip in the perception and reading stages, half of them around the event."""
    haste: float = 0.85
    """Share of the rule questions that the teacher answers without a look; those it happens to get right are kept, as a filter on
    the answer keeps them. SFT learns this habit; RL is to find out that it does not pay."""
    no_tool_share: float = 0.15
    """Share of the questions that the teacher also answers without the tool, so that the policy knows what to do then."""
    nano: NanoConfig = NanoConfig()
    study_scripts: int = 2000
    """Scripts whose questions are studied as text; nothing of them is rendered."""
    study: SFTConfig = SFTConfig(steps=150, batch_size=64, train_vision=False, checkpoint_every=10, optimiser=FROM_SCRATCH)
    """Answer questions when all that can be seen has been said: the rules, and which word answers which question."""
    perception: SFTConfig = SFTConfig(steps=160, batch_size=64, checkpoint_every=10, optimiser=FROM_SCRATCH)
    """Name what a single frame shows."""
    reading: SFTConfig = SFTConfig(steps=60, batch_size=12, train_vision=False, checkpoint_every=10, optimiser=ONWARD)
    """Name what each of several frames shows, in turn, and answer about an event among them; with fewer frames, more samples."""
    sft: SFTConfig = SFTConfig(
        steps=270,
        batch_size=32,
        train_vision=False,
        checkpoint_every=10,
        optimiser=ONWARD.model_copy(update={"schedule": "cosine"}),
    )
    """Say what the teacher said in whole episodes."""
    rl: GRPOConfig = GRPOConfig(
        steps=24,
        questions_per_step=16,
        max_reply_tokens=96,
        tokens_per_forward=4096,
        kl_coefficient=0.1,
        train_embeddings=False,
        temperature=0.6,
        optimiser=OptimiserConfig(lr=1e-4, muon_lr=0.001, warmup_steps=5, schedule="cosine"),
    )
    """Cooler than 1, where most of what goes wrong is a slip of the dice, and all that RL learns from it is not to slip."""
    reward: GatedReward = GatedReward()
    limits: Limits = Limits(style=PromptStyle.BRIEF, max_turns=5)


@dataclass(frozen=True, slots=True)
class ArenaSet:
    """A rendered set: questions with usable paths, truths by the same paths."""

    questions: list[Question]
    truths: dict[str, ClipTruth]


def run_demo(folder: Path, config: DemoConfig, *, fresh: bool = False) -> Report:
    """All stages in order; returns what `report.json` holds."""
    with Run.open(folder, config, fresh=fresh) as run, FrameSource(max_open=64) as source:
        demo = Demo(run, config, source)
        train, practice, heldout = demo.train_set(), demo.practice_set(), demo.heldout_set()
        policy = demo.teach_to_see(train)
        policy = demo.imitate("sft", config.sft, policy, lambda: demo.lessons(train, policy))
        systems = {
            "no_tool": demo.measure("no_tool", heldout, policy, with_tool=False),
            "sft": demo.measure("sft", heldout, policy),
        }
        policy = demo.reinforce("rl", practice, policy, config.rl, config.reward, saved_as="sft_rl")
        systems["sft_rl"] = demo.measure("sft_rl", heldout, policy)
        return write_report(run, systems, source, seed=config.seed)


@dataclass(frozen=True, slots=True)
class Demo:
    """The stages; each skips what the run already holds."""

    run: Run
    config: DemoConfig
    source: FrameSource

    def train_set(self) -> ArenaSet:
        """What perception, reading and SFT learn from."""
        return self._mixed("train", self.config.train_clips, self.config.seed)

    def practice_set(self) -> ArenaSet:
        """What RL asks about."""
        return self._mixed("practice", self.config.practice_clips, self.config.seed + PRACTICE_SEED)

    def _mixed(self, name: str, n_clips: int, seed: int) -> ArenaSet:
        """So many clips, and the share of long ones that goes with them."""
        short, n_long = self.render(name, n_clips, seed, self.config.dials), round(self.config.long_share * n_clips)
        if not n_long:
            return short
        long = self.render(f"{name}_long", n_long, seed + LONG_SEED, self.config.long_dials)
        return ArenaSet(short.questions + long.questions, short.truths | long.truths)

    def heldout_set(self) -> ArenaSet:
        """What is measured."""
        return self.render("heldout", self.config.heldout_clips, self.config.seed + HELDOUT_SEED, self.config.dials)

    def render(self, name: str, n_clips: int, seed: int, dials: Dials) -> ArenaSet:
        """Renders one set of clips to mp4 files."""
        folder = self.run.path(f"arena/{name}")
        with self.run.stage(f"render_{name}"), track(f"render {name}", total=n_clips, unit="clips") as tick:
            finished = 0

            def progress(done: int, _total: int) -> None:
                nonlocal finished
                tick(done - finished)
                finished = done

            make_set(folder, n_clips=n_clips, seed=seed, dials=dials, workers=2, progress=progress)
        return ArenaSet(
            load_questions(folder / "questions.jsonl"),
            {str(folder / video): truth for video, truth in load_truths(folder).items()},
        )

    def teach_to_see(self, train: ArenaSet) -> LocalPolicy:
        """A fresh nano that has learnt the rules from text, to name what one frame shows, then several in turn."""
        config, policy = self.config, self.begin(train)
        policy = self.imitate("study", config.study, policy, lambda: self.studies(policy, most=_places(config.study)))
        policy = self.imitate(
            "perception", config.perception, policy, lambda: self.looks(train, policy, each=1, most=_places(config.perception))
        )
        for each in READING:
            reading = config.reading.model_copy(update={"batch_size": config.reading.batch_size * READING[-1] // each})
            policy = self.imitate(
                f"reading_{each}", reading, policy, functools.partial(self.looks, train, policy, each=each, most=_places(reading))
            )
        return policy

    def begin(self, train: ArenaSet) -> LocalPolicy:
        """An untrained nano whose tokenizer knows the texts it will meet."""
        if not self.run.done("begin"):
            with self.run.stage("begin"):
                make_nano(self._origin, _texts(train), self.config.nano, phrases=[_CALL_HEAD], seed=self.config.seed)
                policy = load_policy(str(self._origin))
                policy.brief = policy.arena_only = True
                save_policy(policy, self._origin, self._origin)
        return load_policy(str(self._origin))

    def lessons(self, train: ArenaSet, policy: LocalPolicy) -> list[Episode]:
        """What SFT learns from: the teacher's episodes and, lest the rules be forgotten, as many studies."""
        taught = self.teach(train, policy)
        return taught + self.studies(policy, most=len(taught))

    def teach(self, train: ArenaSet, policy: LocalPolicy) -> list[Episode]:
        """The oracle answers half as many training questions through the agent loop as SFT has places, of which the right
        answers are kept; and some of them without the tool, where it can only guess."""
        teacher = Recorded(Oracle(train.truths, train.questions, haste=self.config.haste), policy.chat)
        drawn, room = random.Random(self.config.seed), _places(self.config.sft) // 2
        asked = drawn.sample(train.questions, min(room, len(train.questions)))
        without = drawn.sample(asked, int(self.config.no_tool_share * len(asked)))
        with self.run.stage("teach"):
            answered = self._ask("teacher", asked, teacher)
            guessed = self._ask("teacher_no_tool", without, teacher, with_tool=False)
        return [episode for episode in answered if answer_accuracy(episode) == 1] + guessed

    def studies(self, policy: LocalPolicy, *, most: int) -> list[Episode]:
        """Questions about scripts that were never rendered, at `most` so many: what is asked, what one who looked would have
        seen, the answer."""
        rng, per_sport = random.Random(self.config.seed), self.config.study_scripts // len(TRAINED)
        read: list[Look] = []
        for sport in TRAINED:
            for number in range(per_sport):
                truth = write_script(SPORTS[sport], self.config.seed + STUDY_SEED, number, self.config.dials)
                index = rng.randint(truth.event.first_index, truth.event.last_index)
                read += [
                    Look(question.video, (), f"Question: {question.text}", reply, thought_given=True)
                    for question in ask_about(truth, number)
                    if (reply := answer_at_sight(question, truth, [index]))
                ]
        return look_episodes(rng.sample(read, min(most, len(read))), self.source, policy.chat)

    def looks(self, train: ArenaSet, policy: LocalPolicy, *, each: int, most: int) -> list[Episode]:
        """Perception samples of `each` frames, at `most` so many: some are to be described, some come with a question that they
        answer."""
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
        return look_episodes(rng.sample(described + asked, min(most, len(described + asked))), self.source, policy.chat)

    def imitate(
        self, stage: str, config: SFTConfig, policy: LocalPolicy, episodes: Callable[[], Sequence[Episode]]
    ) -> LocalPolicy:
        """One stage of supervised fine-tuning."""
        if not self.run.done(stage):
            with self.run.stage(stage):
                fit(policy, episodes(), self.source, config, self.run, stage=stage, origin=self._origin, seed=self.config.seed)
                save_policy(policy, self.run.path(f"policies/{stage}"), self._origin)
        return load_policy(str(self.run.path(f"policies/{stage}")))

    def reinforce(
        self, stage: str, practice: ArenaSet, policy: LocalPolicy, config: GRPOConfig, reward: GatedReward, *, saved_as: str
    ) -> LocalPolicy:
        """Agentic GRPO on questions about clips that SFT has not seen."""
        if not self.run.done(stage):
            with self.run.stage(stage):
                reinforce(
                    policy,
                    practice.questions,
                    self.source,
                    config,
                    self.run,
                    stage=stage,
                    limits=self.config.limits,
                    reward=reward,
                    origin=self._origin,
                    seed=self.config.seed,
                )
                save_policy(policy, self.run.path(f"policies/{saved_as}"), self._origin)
        return load_policy(str(self.run.path(f"policies/{saved_as}")))

    def measure(self, name: str, heldout: ArenaSet, policy: Policy, *, with_tool: bool = True) -> list[Episode]:
        """Greedy episodes over the held-out questions."""
        with self.run.stage(f"measure_{name}"):
            return self._ask(name, heldout.questions, policy, with_tool=with_tool)

    def _ask(self, name: str, questions: Sequence[Question], policy: Policy, *, with_tool: bool = True) -> list[Episode]:
        sampling = Sampling(temperature=0.0, max_tokens=self.config.rl.max_reply_tokens)
        return ask(
            questions,
            policy,
            self.source,
            self.run,
            f"episodes/{name}.jsonl",
            shown_as=name.replace("_", " "),
            limits=self.config.limits,
            sampling=sampling,
            with_tool=with_tool,
            seed=self.config.seed,
        )

    @property
    def _origin(self) -> Path:
        """The untrained checkpoint, whose tokenizer and settings every later one takes along."""
        return self.run.path("untrained")


def _places(config: SFTConfig) -> int:
    """Samples that a stage draws."""
    return config.steps * config.batch_size


def _texts(train: ArenaSet) -> list[str]:
    """What the tokenizer is trained on: the words of questions, captions, prompts and thoughts."""
    captions = [f"frame {i}: {describe(truth, i)}." for truth in train.truths.values() for i in range(0, truth.n_frames, 4)]
    prompts = [f"Video: {q.sport}, 97 frames, 3.88 s.\nframe 12 (0.48s):\nQuestion: {q.text}" for q in train.questions]
    calls = ["[40,52]}", "tool: choose_frames", "tool: none", ASK, " event not seen."]
    answers = [f" {option}" for q in train.questions if isinstance(q.gold, Choice) for option in q.gold.options]
    return captions + prompts + answers + calls * 50 + ["system\n", "user\n", "assistant\n"] * 50
