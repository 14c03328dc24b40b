"""What each part of the method is good for: the demo's pipeline with one thing changed at a time, over several seeds.

Per seed, everything up to SFT is done once; each variant then goes on from there, on the same practice clips, and answers the
same held-out questions, so that differences are paired. A killed run goes on where it was; a variant added later is run alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

from pydantic import BaseModel, Field, JsonValue

from deepsport.bench.measure import measure, paired
from deepsport.bench.report import PairedReport, SystemReport
from deepsport.bench.score import scores
from deepsport.config import Config
from deepsport.demo import ArenaSet, Demo, DemoConfig
from deepsport.errors import BadConfig
from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Episode, Record
from deepsport.reward.gated import GatedReward
from deepsport.run import Run
from deepsport.train.grpo import GRPOConfig
from deepsport.video.source import FrameSource

EARLY = 5
"""Steps of RL at whose mean "early" looks."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One thing that is different."""

    name: str
    what: str
    rl: Mapping[str, JsonValue] | None = None
    """Settings of RL that differ; None: no RL at all."""
    reward: Mapping[str, JsonValue] | None = None
    """Settings of the reward that differ."""
    begins: Literal["sft", "seeing", "untrained"] = "sft"
    """With what RL, or SFT where there is no RL, begins."""

    @property
    def stage(self) -> str:
        """Under which name the run keeps its RL."""
        return "rl" if self.name == "sft_rl" else f"rl_{self.name}"


VARIANTS = (
    Variant("sft", "SFT only"),
    Variant("sft_rl", "SFT, then RL", rl={}),
    Variant("rl_only", "RL without SFT", rl={}, begins="seeing"),
    Variant("no_format_gate", "RL, format gate open", rl={}, reward={"format_gate": False}),
    Variant("no_tool_gate", "RL, tool gate open", rl={}, reward={"tool_gate": False}),
    Variant("no_accuracy_gate", "RL, accuracy gate open", rl={}, reward={"accuracy_gate": False}),
    Variant("std", "RL, advantages over the group's std", rl={"divide_by_std": True}),
    Variant("no_filter", "RL, groups of equal accuracy kept", rl={"filter_by_accuracy": False}),
    Variant("vision", "RL, vision tower trained too", rl={"train_vision": True}),
    Variant("temporal", "RL, temporal IoU rewarded too", rl={}, reward={"temporal_weight": 0.3}),
    Variant("no_perception", "SFT without perception and reading", begins="untrained"),
)


class AblationConfig(Config):
    """What is varied, on what."""

    seeds: tuple[int, ...] = (0, 1, 2)
    variants: tuple[str, ...] = tuple(variant.name for variant in VARIANTS)
    demo: DemoConfig = DemoConfig()
    """The pipeline; its seed is set by `seeds`."""


class Outcome(Record):
    """One variant under one seed."""

    variant: str
    seed: int
    measured: SystemReport
    against_sft: PairedReport | None = None
    """This variant minus SFT only, on the same questions."""
    against_rl: PairedReport | None = None
    """This variant minus SFT then RL."""
    early: dict[str, float] = Field(default_factory=dict)
    """Means over the first steps of RL."""
    late: dict[str, float] = Field(default_factory=dict)
    """Means over the last steps of RL."""


def run_ablation(folder: Path, config: AblationConfig) -> list[Outcome]:
    """All variants under all seeds; writes `ablation.json`. Raises BadConfig for a variant that does not exist."""
    chosen = _chosen(config.variants)
    outcomes = [outcome for seed in config.seeds for outcome in _under_seed(folder / f"seed{seed}", config.demo, seed, chosen)]
    with Run.open(folder, None) as run:
        run.write("ablation.json", "[\n" + ",\n".join(outcome.model_dump_json() for outcome in outcomes) + "\n]\n")
    return outcomes


def _chosen(names: Sequence[str]) -> list[Variant]:
    known = {variant.name: variant for variant in VARIANTS}
    if unknown := [name for name in names if name not in known]:
        raise BadConfig(f"there is no variant {unknown[0]!r}; there are {', '.join(known)}")
    wanted = {*names, "sft", "sft_rl"}  # what all others are compared with
    return [variant for variant in VARIANTS if variant.name in wanted]


def _under_seed(folder: Path, demo_config: DemoConfig, seed: int, variants: Sequence[Variant]) -> list[Outcome]:
    config = demo_config.model_copy(update={"seed": seed})
    with Run.open(folder, config) as run, FrameSource(max_open=64) as source:
        demo = Demo(run, config, source)
        train, practice, heldout = demo.train_set(), demo.practice_set(), demo.heldout_set()
        demo.imitate("sft", config.sft, demo.teach_to_see(train), lambda: demo.lessons(train, demo.begin(train)))
        episodes = {variant.name: _episodes(demo, variant, train, practice, heldout) for variant in variants}
        return [_outcome(run, variant, seed, episodes) for variant in variants]


def _episodes(demo: Demo, variant: Variant, train: ArenaSet, practice: ArenaSet, heldout: ArenaSet) -> list[Episode]:
    """What the variant's policy does on the held-out questions; trained first, if that has not been done."""
    policy = _beginning(demo, variant, train)
    if variant.rl is not None:
        settings = GRPOConfig.model_validate({**demo.config.rl.model_dump(), **variant.rl})
        reward = GatedReward.model_validate({**demo.config.reward.model_dump(), **(variant.reward or {})})
        policy = demo.reinforce(variant.stage, practice, policy, settings, reward, saved_as=variant.name)
    return demo.measure(variant.name, heldout, policy)


def _beginning(demo: Demo, variant: Variant, train: ArenaSet) -> LocalPolicy:
    match variant.begins:
        case "sft":
            return load_policy(str(demo.run.path("policies/sft")))
        case "seeing":
            return demo.teach_to_see(train)
        case "untrained":
            policy = demo.begin(train)
            settings = demo.config.sft.model_copy(update={"train_vision": True})
            return demo.imitate("sft_unseeing", settings, policy, lambda: demo.lessons(train, policy))


def _outcome(run: Run, variant: Variant, seed: int, episodes: Mapping[str, Sequence[Episode]]) -> Outcome:
    made = {name: scores(played) for name, played in episodes.items()}
    own = made[variant.name]
    steps = [step for step in run.read("metrics.jsonl", _Step) if step.stage == variant.stage]
    return Outcome(
        variant=variant.name,
        seed=seed,
        measured=measure(own, seed=seed),
        against_sft=None if variant.name == "sft" else paired(own, made["sft"], seed=seed),
        against_rl=None if variant.name == "sft_rl" else paired(own, made["sft_rl"], seed=seed),
        early=_means(steps[:EARLY]),
        late=_means(steps[-EARLY:]),
    )


class _Step(BaseModel):
    """What is looked at of a logged step; other numbers are passed over."""

    stage: str
    valid_action_rate: float | None = None
    tool_calls: float | None = None
    reward: float | None = None
    groups_phantom: float | None = None
    stop_format_error: float | None = None


def _means(steps: Sequence[_Step]) -> dict[str, float]:
    logged = [step.model_dump(exclude={"stage"}, exclude_none=True) for step in steps]
    return {name: fmean(step[name] for step in logged if name in step) for name in set[str]().union(*logged)}


def table(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Rows of text, the heading first: means over seeds, and each seed's own difference to SFT then RL."""
    heading = [
        "",
        "score",
        "minus SFT + RL, by seed",
        "valid early",
        "valid late",
        "format errors late",
        "calls late",
        "window met",
        "frames",
    ]
    rows = [heading]
    for variant in VARIANTS:
        own = [outcome for outcome in outcomes if outcome.variant == variant.name]
        if own:
            rows.append([variant.what, *_cells(own)])
    return rows


def _cells(own: Sequence[Outcome]) -> list[str]:
    reports = [outcome.measured for outcome in own]
    differences = [_signed(outcome.against_rl) for outcome in own if outcome.against_rl]
    return [
        _mean(report.score for report in reports),
        "; ".join(differences) or "-",
        _mean((100 * outcome.early["valid_action_rate"] for outcome in own if outcome.early), unit=" %"),
        _mean((100 * outcome.late["valid_action_rate"] for outcome in own if outcome.late), unit=" %"),
        _mean((100 * outcome.late["stop_format_error"] for outcome in own if outcome.late), unit=" %"),
        _mean((outcome.late["tool_calls"] for outcome in own if outcome.late), digits=2),
        _mean((100 * report.grounding_hit_rate for report in reports if report.grounding_hit_rate is not None), unit=" %"),
        _mean(report.frames_per_question for report in reports),
    ]


def _mean(values: Iterable[float | None], unit: str = "", digits: int = 1) -> str:
    known = [value for value in values if value is not None]
    return f"{fmean(known):.{digits}f}{unit}" if known else "-"


def _signed(pair: PairedReport) -> str:
    low, high = pair.ci95 or (float("nan"), float("nan"))
    return f"{pair.difference:+.1f} ({low:+.1f} to {high:+.1f})"
