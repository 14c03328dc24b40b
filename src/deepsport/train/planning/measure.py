"""The rates of this machine, by running the package's own engine, trainer and decoders for a short while on a model's shapes.

A deep model is measured with a few of its layers, which are all alike, and with random weights. Every rate is what the arithmetic
of `work` must be divided by to give the time that was taken, so a plan with these rates says what such work takes here.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch and transformers are only partly typed)

import asyncio
import copy
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.rollout import Limits, run_episode
from deepsport.errors import BadVideo
from deepsport.policy.base import Message, Sampling
from deepsport.policy.local.backbone import Backbone
from deepsport.policy.local.chat import Chat
from deepsport.policy.local.checkpoint import FAMILIES, model_config, side_files, use_our_attention
from deepsport.policy.local.engine import Engine
from deepsport.policy.local.policy import LocalPolicy, Recorded
from deepsport.policy.local.preprocess import Preprocessor
from deepsport.policy.scripted import Scripted
from deepsport.records import Episode, Question, TokenRecord
from deepsport.train.planning.hardware import this_machine
from deepsport.train.planning.rates import Rates
from deepsport.train.planning.shape import Shape, shape_by
from deepsport.train.planning.work import UPDATED
from deepsport.train.trainee import Portion, Trainee, TraineeConfig
from deepsport.video.sample import uniform, window
from deepsport.video.source import FrameSource

DEPTH = 4
"""Layers that are measured."""
ROWS, SHORT, LONG = 32, 64, 768
"""Conversations decoded together, and tokens in each, twice."""
FEW, MORE = 8, 40
"""Tokens decoded; what lies between them is passes alone."""
N_QUESTIONS = 8
WORDS = "the ball is played to the far side and "

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """The middle one of a few times that something took."""

    clock: Clock

    def __call__(self, do: Callable[[], object], times: int = 3) -> float:
        """Seconds; once before it counts."""
        do()
        return median(self._once(do) for _ in range(times))

    def _once(self, do: Callable[[], object]) -> float:
        _finish()
        start = self.clock()
        do()
        _finish()
        return self.clock() - start


def measure_rates(
    model: str,
    config: TraineeConfig,
    limits: Limits,
    asked: Sequence[Question],
    max_pixels: int | None = None,
    *,
    group: int = 1,
    clock: Clock = time.perf_counter,
) -> Rates:
    """Takes less than a minute. `group`: episodes that share their opening where gradients are measured.

    Raises PolicyError if the model's files cannot be had, BadVideo if no video can be opened."""
    took, machine = Stopwatch(clock), this_machine()
    policy = shallow(model, max_pixels)
    shape = shape_by(cut(model_config(model)), config)
    with FrameSource() as source:
        some = _openable(asked, source)
        found = _frames(some, source, policy.preprocessor, clock) | _turns(some, source, policy, limits, clock)
        found |= _reading(policy, shape, took)
        found |= _seeing(policy, shape, some[0], source, took)
        found |= _decoding(policy, shape, found, clock)
        found |= _learning(
            policy, shape, config, _episodes(some, source, policy, limits, group), source, took, found["vision_flops"]
        )
    return Rates(
        machine=f"{machine.title}, torch {torch.__version__}, Python {platform.python_version()}",
        model=model,
        measured=tuple(sorted(found)),
        memory_bytes=machine.memory_bytes,
        peer_bytes=found["bandwidth"],
        **found,
    )


def shallow(model: str, max_pixels: int | None) -> LocalPolicy:
    """A model's first layers with random weights, on the device that a policy would be on. Raises PolicyError."""
    known, folder = cut(model_config(model)), side_files(model)
    on_gpu = torch.cuda.is_available()
    with torch.device("cuda" if on_gpu else "cpu"):
        torch.manual_seed(0)
        network = FAMILIES[known.model_type](known)
    network = network.to(torch.bfloat16 if on_gpu else torch.float32).eval()
    use_our_attention(network)
    preprocessor = Preprocessor.load(folder, max_pixels=max_pixels)
    chat = Chat(folder, preprocessor)
    backbone = Backbone(network, chat.image_pad, chat.suppressed)
    return LocalPolicy(model, backbone, chat, preprocessor, context=10**6, brief=False, arena_only=False)


def cut(known: Any) -> Any:
    """A configuration with at most so many layers of each kind."""
    known = copy.deepcopy(known)
    text, vision = known.text_config, known.vision_config
    if text.num_hidden_layers > DEPTH:
        text.num_hidden_layers = DEPTH
        if getattr(text, "layer_types", None):
            text.layer_types = text.layer_types[:DEPTH]
    if vision.depth > DEPTH:
        vision.depth = DEPTH
        if hasattr(vision, "fullatt_block_indexes"):
            vision.fullatt_block_indexes = [DEPTH - 1]
        if hasattr(vision, "deepstack_visual_indexes"):
            vision.deepstack_visual_indexes = [0, 1]
    return known


def _openable(asked: Sequence[Question], source: FrameSource) -> list[Question]:
    """A few questions, of different videos where there are some. Raises BadVideo if no video can be opened."""
    by_video = {question.video: question for question in asked[:200]}
    found: list[Question] = []
    for question in by_video.values():
        try:
            source.info(question.video)
        except BadVideo:
            continue
        found.append(question)
        if len(found) == N_QUESTIONS:
            break
    if not found:
        raise BadVideo(f"none of the first {len(by_video)} videos can be opened, {asked[0].video} among them")
    return found


def _frames(some: Sequence[Question], source: FrameSource, preprocessor: Preprocessor, clock: Clock) -> dict[str, float]:
    """Seconds for a pixel of a frame, from open videos, spread out and out of a window."""
    seconds, pixels = {"uniform_pixel_s": 0.0, "window_pixel_s": 0.0}, {"uniform_pixel_s": 0, "window_pixel_s": 0}
    for question in some:
        n_frames = source.info(question.video).n_frames
        source.frames(question.video, [n_frames - 1])
        first = uniform(n_frames, 8)
        for name, indices in (("uniform_pixel_s", first), ("window_pixel_s", _gap(n_frames))):
            start = clock()
            shown = source.frames(question.video, indices)
            for each in shown:
                preprocessor.patches(each)
            seconds[name] += clock() - start
            pixels[name] += len(shown) * shown[0].shape[0] * shown[0].shape[1]
    return {name: seconds[name] / pixels[name] for name in seconds}


def _gap(n_frames: int) -> list[int]:
    """The frames of a window between two sparse ones."""
    first = uniform(n_frames, 8)
    start, end = first[len(first) // 2 - 1], first[len(first) // 2]
    return list(window(start, max(end, start + 1), 8)) if n_frames > 8 else list(first)


def _episodes(
    some: Sequence[Question], source: FrameSource, policy: LocalPolicy, limits: Limits, group: int = 1
) -> list[Episode]:
    """A look and an answer, each behind a thought of its own: so many for each question."""

    async def play(number: int, question: Question) -> Episode:
        gap = _gap(source.info(question.video).n_frames)
        thought = f"{number} {WORDS * 8}"
        said = [write_call(thought, gap[0], gap[-1]), write_answer(thought, "one")]
        teacher = Recorded(Scripted(said if limits.max_turns > 1 else said[1:]), policy.chat)
        return await run_episode(question, teacher, source, limits=limits, sampling=Sampling(seed=number))

    async def play_all() -> list[Episode]:
        return [await play(group * number + each, question) for number, question in enumerate(some) for each in range(group)]

    return asyncio.run(play_all())


def _turns(some: Sequence[Question], source: FrameSource, policy: LocalPolicy, limits: Limits, clock: Clock) -> dict[str, float]:
    """What surrounds a reply when every frame is decoded already."""
    _episodes(some, source, policy, limits)
    start = clock()
    played = _episodes(some, source, policy, limits)
    return {"turn_s": (clock() - start) / sum(len(episode.turns) for episode in played)}


def _reading(policy: LocalPolicy, shape: Shape, took: Stopwatch) -> dict[str, float]:
    """Streams of memory, a pass with one token, a prompt."""
    backbone, device = policy.backbone, policy.backbone.device
    big = torch.ones(2**28 if device.type == "cuda" else 2**25, device=device)
    bandwidth = big.numel() * 4 / took(big.sum)
    word = policy.chat.encode("a")[0]

    @torch.inference_mode()
    def read(rows: int, length: int) -> None:
        places = torch.arange(length, device=device).expand(3, rows, length)
        backbone.hidden(torch.full((rows, length), word, device=device), None, places, None)

    width = torch.finfo(backbone.dtype).bits // 8
    layer_s = max(1e-7, (took(lambda: read(1, 1), 10) - shape.token_weights * width / bandwidth) / shape.layers)
    rows, length = 4, LONG
    seconds = took(lambda: read(rows, length)) - layer_s * shape.layers
    reads = shape.language(rows * length, rows * length**2 / 2)
    return {"bandwidth": bandwidth, "prefill_flops": reads / max(seconds, 1e-9)}


def _seeing(policy: LocalPolicy, shape: Shape, question: Question, source: FrameSource, took: Stopwatch) -> dict[str, float]:
    """Frames through the vision tower."""
    shown = source.frames(question.video, uniform(source.info(question.video).n_frames, 8))
    patches, grids = zip(*(policy.preprocessor.patches(each) for each in shown), strict=True)

    @torch.inference_mode()
    def see() -> None:
        policy.backbone.features(patches, grids)

    return {"vision_flops": shape.vision(len(shown), grids[0][0] * grids[0][1]) / took(see)}


def _decoding(policy: LocalPolicy, shape: Shape, known: dict[str, float], clock: Clock) -> dict[str, float]:
    """Passes of decoding by the engine: few and many rows, short and long conversations."""

    async def talk(rows: int, length: int, n_tokens: int) -> None:
        policy.engine = Engine(policy.backbone, policy.features, end=-1)

        async def one(row: int) -> None:
            text = f"{row} " + policy.chat.decode(policy.chat.encode(WORDS * (length // 4))[:length])
            session = policy.session(Sampling(temperature=1.0, max_tokens=n_tokens, seed=row))
            await session.reply([Message("user", (text,))])

        await asyncio.gather(*(one(row) for row in range(rows)))

    def seconds(rows: int, length: int, n_tokens: int) -> float:
        start = clock()
        asyncio.run(talk(rows, length, n_tokens))
        _finish()
        return clock() - start

    def a_pass(rows: int, length: int) -> float:
        spans = [(seconds(rows, length, MORE) - seconds(rows, length, FEW)) / (MORE - FEW) for _ in range(3)]
        return median(spans)

    seconds(ROWS, SHORT, FEW)
    width = torch.finfo(policy.backbone.dtype).bits // 8
    weights = shape.token_weights + shape.head_weights
    alone_s, short_s, long_s = a_pass(1, SHORT), a_pass(ROWS, SHORT), a_pass(ROWS, LONG)
    kept = ROWS * (LONG - SHORT) * shape.cache_bytes(width)
    cache_bandwidth = kept / max(long_s - short_s, 1e-7)
    least_s = weights * width / known["bandwidth"]
    layer_s = max(1e-7, (alone_s - least_s) / shape.layers)
    per_row_s = max(1e-7, (short_s - alone_s - (ROWS - 1) * SHORT * shape.cache_bytes(width) / cache_bandwidth) / (ROWS - 1))
    computed_s = min(2 * weights / known["prefill_flops"], 0.9 * per_row_s)
    return {
        "layer_s": layer_s,
        "cache_bandwidth": cache_bandwidth,
        "decode_flops": 2 * weights / computed_s,
        "draw_s": per_row_s - computed_s,
    }


def _learning(
    policy: LocalPolicy,
    shape: Shape,
    config: TraineeConfig,
    episodes: Sequence[Episode],
    source: FrameSource,
    took: Stopwatch,
    vision_flops: float,
) -> dict[str, float]:
    """Gradients of some episodes in one portion, and the step that they lead to."""
    trainee = Trainee(policy, source, config, n_steps=1000)
    records = [episode.tokens for episode in episodes if episode.tokens and any(episode.tokens.sampled)]
    fitting = _fitting(records, config.tokens_per_forward)
    portions = trainee.portions(fitting)
    again = config.gradient_checkpointing
    n_frames = len({(frame.video, frame.index) for frame in portions[0].part.tree.frames})
    n_patches = sum(slot.n_tokens for slot in records[0].images[:1]) * shape.patches_per_token
    seen_s = 3 * shape.vision(n_frames, n_patches) / vision_flops if shape.vision_trained else 0.0

    def learn() -> None:
        (portion,) = trainee.portions(fitting)
        trainee.backward(trainee.logprobs(portion).mean(), portion)

    seconds = took(learn) - seen_s
    learnt = shape.learning(portions[0].part.tree.n_tokens, pairs_of(portions[0]), len(portions[0].part.tokens_U), again=again)
    update_s = took(lambda: trainee.step(0, ()), 1)
    return {"learn_flops": learnt / seconds, "update_bytes": shape.trained * UPDATED / update_s}


def _fitting(records: Sequence[TokenRecord], most_tokens: int) -> list[TokenRecord]:
    """As many records as fit one forward pass, at least one."""
    fitting, n_tokens = list(records[:1]), len(records[0].ids)
    for record in records[1:]:
        n_tokens += len(record.ids)
        if n_tokens <= most_tokens:
            fitting.append(record)
    return fitting


def pairs_of(portion: Portion) -> float:
    """Of a token and one that it looks at, in a tree."""
    return sum(
        node.n_tokens * (sum(above.n_tokens for above in node.lineage()[:-1]) + node.n_tokens / 2)
        for node in portion.part.tree.nodes
    )


def _finish() -> None:
    """Waits until the GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
