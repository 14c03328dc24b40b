"""The parts of the benchmark. Each takes the bench it runs on and returns its cases; seconds and bytes, so that less is better.

A floor is what the arithmetic alone would take at the peak that the datasheet promises.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import fmean
from typing import Any, cast

import torch
from clips import windows
from episodes import Forced, scored, written
from measure import Device, Laps, forget_peak, host, peak_gpu, peak_host, seconds_of
from shape import Size, configuration

from deepsport.agent.rollout import Limits
from deepsport.policy.base import Image
from deepsport.policy.local.engine import Engine, Request
from deepsport.policy.local.policy import LocalPolicy
from deepsport.policy.local.preprocess import on_all_cores
from deepsport.records import Episode, Question, TokenRecord
from deepsport.train.batches import waited
from deepsport.train.forward import lay_out
from deepsport.train.grpo import GRPOConfig, Learner, rollouts
from deepsport.train.optimiser import OptimiserConfig
from deepsport.train.planning.measure import pairs_of
from deepsport.train.planning.shape import Shape, shape_by
from deepsport.train.trainee import Portion, Trainee, TraineeConfig
from deepsport.video.sample import uniform, window
from deepsport.video.source import FrameSource

Case = dict[str, Any]
Cases = dict[str, Case]

TARGETS = {"rl step, s": 120.0, "sft mfu": 0.45, "tree over dense": 2.5, "host growth, MB": 64.0}
"""The first and the last are at most, the others at least. Growth: what the allocators of two libraries may still be settling."""


@dataclass(slots=True, kw_only=True)
class Bench:
    """What the parts share."""

    size: Size
    device: Device
    policy: LocalPolicy
    questions: Sequence[Question]
    source: FrameSource
    left: Callable[[], float]
    """Seconds before the end."""

    @property
    def limits(self) -> Limits:
        """8 + 8 frames."""
        return Limits(style=self.size.style)

    def config(self, *, again: bool = True, tokens: int = 0) -> GRPOConfig:
        """As recipes/rl_7b.toml trains. `again`: activations are computed again in the backward pass."""
        return GRPOConfig(
            questions_per_step=self.size.questions,
            group_size=self.size.group,
            max_reply_tokens=self.size.reply_tokens[1],
            train_embeddings=False,
            lora_rank=self.size.lora_rank,
            lora_alpha=2.0 * self.size.lora_rank,
            gradient_checkpointing=again,
            tokens_per_forward=tokens or self.size.tokens_per_forward,
            optimiser=OptimiserConfig(lr=1e-5),
        )

    def trainee(self, *, again: bool = True, tokens: int = 0) -> Trainee:
        """One that trains the policy's adapter."""
        model: Any = self.policy.backbone.model
        model.activation_checkpointing_disable()
        return Trainee(self.policy, self.source, self.config(again=again, tokens=tokens), n_steps=1000)

    def shape(self) -> Shape:
        """Of the model with its adapter."""
        return shape_by(configuration(self.size), TraineeConfig(lora_rank=self.size.lora_rank))


def case(ours: float, *, floor: float | None = None, rivals: dict[str, float] | None = None, **more: object) -> Case:
    """In the form of all our benchmarks."""
    best = min((rivals or {}).values(), default=None)
    return {
        "ours": ours,
        "rivals": rivals or {},
        "ratio_to_best_rival": ours / best if best else None,
        "ratio_to_floor": ours / floor if floor else None,
        **more,
    }


def video(bench: Bench) -> Cases:
    """Decoding the frames of a step, and making them patches, on the CPU: one video after another, and all cores at once."""
    wanted = [uniform(bench.size.clip_frames, 8), *(window(*gap, 8) for gap in windows(bench.size.clip_frames))]
    n_frames = sum(len(indices) for indices in wanted) * len(bench.questions)

    def decode(question: Question) -> list[Any]:
        return [pixels for indices in wanted for pixels in fresh.frames(question.video, indices)]

    with FrameSource() as fresh:
        cpu, start = time.process_time(), time.perf_counter()
        with ThreadPoolExecutor() as pool:
            shown = list(pool.map(decode, bench.questions))
        wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    some, made = shown[0], bench.policy.preprocessor.patches
    one_s = seconds_of(lambda: [made(pixels) for pixels in some]) / len(some)
    all_s = seconds_of(lambda: on_all_cores(made, some)) / len(some)
    return {
        "video: ms a frame, all cores": case(1e3 * wall_s / n_frames, frames=n_frames, seconds=wall_s),
        "video: CPU ms a frame": case(1e3 * cpu_s / n_frames),
        "patches: ms a frame, one core": case(1e3 * one_s),
        "patches: ms a frame, all cores": case(1e3 * all_s),
    }


class Watched:
    """An engine's admissions, passes of decoding and embeddings under a clock."""

    def __init__(self, policy: LocalPolicy) -> None:
        self.laps, self._policy = Laps(), policy
        engine = policy.engine
        self._admit, self._decode = engine._admit, engine._decode
        engine._admit, engine._decode, engine._embed = self.admit, self.decode, self.embed
        self._engine: Engine = engine
        self.rows: list[int] = []

    def admit(self, newcomers: list[Request]) -> None:
        """Prefilling, the embedding of frames within it counted apart."""
        distinct = {request.key: len(request.ids) for request in newcomers}
        with self.laps.lap("prefill", sum(distinct.values())):
            self._admit(newcomers)

    def decode(self) -> None:
        """One token for each row."""
        self.rows.append(len(self._engine._active))
        with self.laps.lap("decode", self._engine._n_active):
            self._decode()

    def embed(self, images: Sequence[Image]) -> list[torch.Tensor]:
        """Patches and the vision tower."""
        known = len(self._policy.features.known((image.frame.video, image.frame.index) for image in images))
        with self.laps.lap("vision", len(images) - known):
            return self._policy.features(images)


def rl_step(bench: Bench) -> Cases:
    """A whole step, every frame new, after a small one that compiles what is compiled."""
    learner = Learner(bench.trainee(), bench.config())
    forced = Forced(bench.policy, bench.size)
    _learn(learner, waited(rollouts(forced, bench.questions[:1], bench.source, bench.config(), bench.limits, seed=99)), 0)
    bench.policy.features.forget()
    watched, episodes = Watched(bench.policy), list[list[Episode]]()
    forget_peak()
    rollout_s = seconds_of(
        lambda: episodes.extend(waited(rollouts(forced, bench.questions, bench.source, bench.config(), bench.limits, seed=1)))
    )
    rollout_peak = peak_gpu()
    forget_peak()
    learnt: dict[str, float] = {}
    learn_s = seconds_of(lambda: learnt.update(_learn(learner, episodes, 1)))
    return _told(bench, episodes, watched, rollout_s, learn_s, learnt) | {
        "peak GPU memory of rollouts, GB": case(rollout_peak / 1e9),
        "peak GPU memory of learning, GB": case(peak_gpu() / 1e9),
        "peak host memory, GB": case(peak_host() / 1e9),
    }


def _learn(learner: Learner, episodes_PG: list[list[Episode]], step: int) -> dict[str, float]:
    return learner.step([scored(episodes) for episodes in episodes_PG], step)


def _told(
    bench: Bench,
    episodes: list[list[Episode]],
    watched: Watched,
    rollout_s: float,
    learn_s: float,
    learnt: dict[str, float],
) -> Cases:
    """Seconds by phase; floors from the arithmetic, recomputation not counted."""
    records = [episode.tokens for group in episodes for episode in group if episode.tokens]
    assert len(records) == bench.size.questions * bench.size.group
    assert all(len(record.images) == 16 for record in records)
    shape, laps = bench.shape(), watched.laps
    parts = [
        lay_out(records[at : at + bench.size.group], bench.policy.backbone) for at in range(0, len(records), bench.size.group)
    ]
    portions = [Portion(part, torch.empty(0)) for part in parts]
    n_unique, n_pairs = sum(p.part.tree.n_tokens for p in portions), sum(map(pairs_of, portions))
    n_spoken = sum(sum(record.sampled) for record in records)
    n_frames = laps.counts["vision"]
    patches = records[0].images[0].n_tokens * shape.patches_per_token
    prefill_s = laps.seconds["prefill"] - laps.seconds["vision"]
    peak = bench.device.peak_flops
    read = shape.language(n_unique - n_spoken, n_pairs * (n_unique - n_spoken) / n_unique)
    floors = {
        "learn": shape.learning(n_unique, n_pairs, n_spoken, again=False) / peak,
        "prefill": read / peak,
        "vision": shape.vision(n_frames, patches) / peak,
    }
    weights_s = 2.0 * (shape.token_weights + shape.head_weights) / bench.device.copy_bytes  # as a copy would only read
    n_passes, n_decoded = len(watched.rows), laps.counts["decode"]
    seconds = rollout_s + learn_s
    return {
        "rl step, s": case(
            seconds,
            floor=sum(floors.values()) + n_passes * weights_s,
            target=TARGETS["rl step, s"],
            met=seconds <= TARGETS["rl step, s"],
            episodes=len(records),
            tokens=sum(len(record.ids) for record in records),
            unique_tokens=n_unique,
            mismatch=learnt["mismatch"],
        ),
        "rl step: rollouts, s": case(rollout_s),
        "rl step: prefill, s": case(prefill_s, floor=floors["prefill"], tokens_per_s=laps.counts["prefill"] / prefill_s),
        "rl step: decode, s": case(
            laps.seconds["decode"],
            floor=n_passes * weights_s,
            tokens_per_s=n_decoded / laps.seconds["decode"],
            ms_a_pass=1e3 * laps.seconds["decode"] / n_passes,
            rows_a_pass=fmean(watched.rows),
        ),
        "rl step: vision, s": case(laps.seconds["vision"], floor=floors["vision"], frames=n_frames),
        "rl step: learn, s": case(learn_s, floor=floors["learn"], mfu=floors["learn"] / learn_s),
    }


def sft_step(bench: Bench) -> Cases:
    """Separate episodes, as the recipe trains and, where memory allows, without computing activations again."""
    records = _separate(bench)
    cases = {"sft step, s": _sft(bench, records, again=True, tokens=bench.size.tokens_per_forward // 2)}
    longest = max(len(record.ids) for record in records)
    if (tokens := _kept_tokens(bench)) >= longest and bench.left() > 3 * cases["sft step, s"]["ours"]:
        cases["sft step, nothing computed again, s"] = _sft(bench, records, again=False, tokens=tokens)
    best = max(each["mfu"] for each in cases.values())
    cases["sft mfu, reciprocal"] = case(1 / best, mfu=best, target=1 / TARGETS["sft mfu"], met=best >= TARGETS["sft mfu"])
    return cases


def compiled(bench: Bench) -> Cases:
    """The same with the layers of the language model compiled, which our trainer does not do: does it hold, does it pay?"""
    records, layers = _separate(bench), cast(Any, bench.policy.backbone.model).model.language_model.layers
    backend = "inductor" if bench.device.kind == "cuda" else "aot_eager"
    for layer in layers:
        layer.compile(dynamic=True, backend=backend)
    start = time.perf_counter()
    cases = {"sft step, layers compiled, s": _sft(bench, records, again=True, tokens=bench.size.tokens_per_forward // 2)}
    tokens = _kept_tokens(bench)
    longest = max(len(record.ids) for record in records)
    if tokens >= longest and bench.left() > time.perf_counter() - start:
        cases["sft step, layers compiled, nothing computed again, s"] = _sft(bench, records, again=False, tokens=tokens)
    for layer in layers:
        layer._compiled_call_impl = None
    return cases


def _separate(bench: Bench) -> list[TokenRecord]:
    asked = [(bench.questions[number % len(bench.questions)], number) for number in range(bench.size.sft_episodes)]
    return written(bench.policy, bench.source, asked, bench.size)


def _kept_tokens(bench: Bench) -> int:
    """So many tokens' activations the GPU can hold: what all matrices, norms and products of a layer were applied to, in bytes
    some 64 times the hidden size and 8 times the inner one of the MLP, with a fifth of the memory for all else."""
    if bench.device.kind != "cuda":
        return bench.size.tokens_per_forward
    text = bench.size.text
    held = text["num_hidden_layers"] * (32 * text["hidden_size"] + 8 * text["intermediate_size"])
    free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return int(0.8 * free / held)


def _sft(bench: Bench, records: Sequence[TokenRecord], *, again: bool, tokens: int) -> Case:
    trainee = bench.trainee(again=again, tokens=tokens)
    portions = trainee.portions(records)
    n_spoken = sum(sum(record.sampled) for record in records)
    forget_peak()

    def step(some: Iterable[Portion]) -> None:
        for portion in some:
            trainee.backward(-trainee.logprobs(portion).sum() / n_spoken, portion)
        trainee.step(0, ())

    step(portions[:2])
    seconds = seconds_of(lambda: step(portions))
    shape, n_unique = bench.shape(), sum(portion.part.tree.n_tokens for portion in portions)
    floor = shape.learning(n_unique, sum(map(pairs_of, portions)), n_spoken, again=False) / bench.device.peak_flops
    return case(
        seconds,
        floor=floor,
        mfu=floor / seconds,
        tokens_per_s=n_unique / seconds,
        tokens_per_forward=tokens,
        peak_gpu_gb=peak_gpu() / 1e9,
    )


def tree(bench: Bench) -> Cases:
    """Forward and backward pass of one group as a tree by FlexAttention, and of its episodes one by one, all else equal."""
    cases: Cases = {}
    asked = [(bench.questions[0], number) for number in range(bench.size.group)]
    for name, n_looks in (("every episode looks elsewhere", bench.size.group), ("two looks in a group", 2)):
        records = written(bench.policy, bench.source, asked, bench.size, lambda number, n=n_looks: number % n)
        trainee = bench.trainee(tokens=10**9)
        (packed,) = trainee.portions(records)
        alone = [portion for record in records for portion in trainee.portions([record])]
        ours, dense = (_gradients(trainee, portions, bench.size.repeats) for portions in ([packed], alone))
        shared = sum(len(record.ids) for record in records) / packed.part.tree.n_tokens
        met = dense / ours >= TARGETS["tree over dense"]
        cases[f"tree, {name}, s"] = case(
            ours,
            rivals={"dense": dense},
            dense_over_tree=dense / ours,
            most_that_can_be=shared,
            target=TARGETS["tree over dense"],
            met=met,
        )
        trainee.step(0, ())
    return cases


def _gradients(trainee: Trainee, portions: Sequence[Portion], repeats: int) -> float:
    def both() -> None:
        for portion in portions:
            trainee.backward(trainee.logprobs(portion).mean(), portion)

    both()
    return min(seconds_of(both) for _ in range(repeats))


def memory(bench: Bench) -> Cases:
    """Host memory over small steps of RL, each on other videos."""
    config = bench.config().model_copy(update={"group_size": 2, "questions_per_step": 2})
    learner = Learner(bench.trainee(), config)
    forced = Forced(bench.policy, bench.size, (4, 12))
    taken: list[float] = []
    started = time.perf_counter()
    for step in range(bench.size.steps_of_memory):
        if step > 4 and bench.left() < 2 * (time.perf_counter() - started) / step:
            break
        some = [bench.questions[(2 * step + place) % len(bench.questions)] for place in range(2)]
        _learn(learner, waited(rollouts(forced, some, bench.source, config, bench.limits, seed=1000 + step)), step)
        taken.append(host())
    quarter = len(taken) // 4
    growth = (fmean(taken[-quarter:]) - fmean(taken[quarter : 2 * quarter])) / 1e6
    most = TARGETS["host growth, MB"]
    return {
        "host memory: last quarter of the steps over the second, MB": case(
            growth, steps=len(taken), target=most, met=growth <= most and len(taken) == bench.size.steps_of_memory
        ),
        "host memory, GB": case(taken[-1] / 1e9),
    }


PARTS: tuple[tuple[str, Callable[[Bench], Cases], float], ...] = (
    ("rl step", rl_step, 150.0),
    ("sft step", sft_step, 40.0),
    ("tree against dense", tree, 35.0),
    ("host memory over 20 steps", memory, 40.0),
    ("video", video, 10.0),
    ("sft step, layers compiled", compiled, 75.0),
)
"""Name, part, and seconds that must be left for it to begin."""
