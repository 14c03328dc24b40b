"""The work of one step, and how long each kind of it takes at given rates.

Kinds of work follow one another within rollouts and within learning, so their seconds add up; what takes the largest share of a
step is what binds. P groups of G episodes share their openings; what comes after is shared as far as the habits say.
"""

from dataclasses import dataclass
from enum import StrEnum

from deepsport.train.planning.lengths import Habits, Lengths
from deepsport.train.planning.rates import Rates
from deepsport.train.planning.shape import Shape

UPDATED = 7 * 4
"""Bytes that AdamW moves for each weight: reads weight, gradient and two moments, writes three of them back, in fp32."""


class Limit(StrEnum):
    """What a step can be short of."""

    MEMORY = "memory"
    VIDEO = "video decoding"
    VISION = "vision tower"
    PREFILL = "prefill compute"
    DECODE = "decode bandwidth"
    PASSES = "passes of decoding"
    """A pass through the layers takes its time however little is decoded in it."""
    PYTHON = "work between passes"
    """Drawing tokens, grammar, records: one core's."""
    LEARN = "learn compute"
    UPDATE = "optimiser"
    NETWORK = "network"


Seconds = dict[Limit, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one process has to do in a step."""

    shape: Shape
    lengths: Lengths
    habits: Habits
    groups: float
    """P."""
    group_size: float
    """G."""
    width: int
    """Bytes of a weight, a key, a value."""

    @property
    def episodes(self) -> float:
        """Of all groups."""
        return self.groups * self.group_size

    @property
    def branches(self) -> float:
        """Episodes' worth of what follows on the openings, shared stretches once."""
        return max(self.groups, self.habits.unique * self.episodes)

    @property
    def after(self) -> float:
        """Tokens that follow on the opening of one episode."""
        return self.lengths.after(self.habits)

    @property
    def unique(self) -> float:
        """Tokens of all groups, shared stretches once."""
        return self.groups * self.lengths.opening + self.branches * self.after

    @property
    def spoken(self) -> float:
        """Of them, the policy's own."""
        return self.branches * self.habits.turns * self.habits.reply_tokens

    @property
    def window_frames(self) -> float:
        """That calls bring."""
        return self.branches * (self.habits.turns - 1) * self.lengths.frames_per_call

    @property
    def frames(self) -> float:
        """Distinct ones."""
        return self.groups * self.lengths.first_frames + self.window_frames

    def pairs(self) -> float:
        """Of a token and one that it looks at, itself included."""
        opening = self.lengths.opening
        return self.groups * opening**2 / 2 + self.branches * self.after * (opening + self.after / 2)


def looking(work: Work, rates: Rates, cores: float) -> Seconds:
    """Frames decoded on the processor, and through the vision tower."""
    n_pixels = work.lengths.frame_wh[0] * work.lengths.frame_wh[1]
    first = work.groups * work.lengths.first_frames
    decoded_s = n_pixels * (first * rates.uniform_pixel_s + work.window_frames * rates.window_pixel_s)
    return {
        Limit.VIDEO: decoded_s / cores,
        Limit.VISION: work.shape.vision(work.frames, work.lengths.patches) / rates.vision_flops,
    }


def rolling_out(work: Work, rates: Rates, *, at_once: int, served: bool = False) -> Seconds:
    """Episodes sampled, so many of them at once, their frames aside."""
    shape, habits = work.shape, work.habits
    layer_s = rates.served_layer_s if served else rates.layer_s
    batch = min(work.episodes, at_once)
    waves = work.episodes / batch
    read = work.unique - work.spoken
    context = work.lengths.opening + work.after / 2
    rows = work.branches / waves  # that are in a batch, alike ones once
    mean_passes = waves * habits.turns * habits.reply_tokens
    weights = shape.token_weights + shape.head_weights
    computed_s = 2 * mean_passes * rows * weights / rates.decode_flops
    read_s = habits.longest * mean_passes * weights * work.width / rates.bandwidth
    kept_s = mean_passes * rows * context * shape.cache_bytes(work.width) / rates.cache_bandwidth
    drawn = work.episodes * habits.turns * habits.reply_tokens
    return {
        Limit.PREFILL: shape.language(read, work.pairs() * read / work.unique) / rates.prefill_flops,
        Limit.DECODE: max(computed_s, read_s) + kept_s,
        Limit.PASSES: (habits.longest * mean_passes + 2 * waves * habits.turns) * shape.layers * layer_s,
        Limit.PYTHON: drawn * rates.draw_s * (not served) + work.episodes * habits.turns * rates.turn_s,
    }


def learning(work: Work, rates: Rates, *, again: bool, passes: float = 1, reference: bool = False) -> Seconds:
    """Gradients, `passes` times over the same episodes. `reference`: another model's forward pass comes on top of the first."""
    shape, share = work.shape, work.habits.taught
    pairs = work.pairs()
    operations = passes * shape.learning(work.unique, pairs, work.spoken, again=again)
    if reference:
        operations += shape.language(work.unique, pairs) + shape.head(work.spoken)
    seen = 3 * passes * shape.vision(work.frames, work.lengths.patches) if shape.vision_trained else 0.0
    return {
        Limit.LEARN: share * operations / rates.learn_flops,
        Limit.VISION: share * seen / rates.vision_flops,
        Limit.UPDATE: passes * shape.trained * UPDATED / rates.update_bytes,
    }


def added(*parts: Seconds) -> Seconds:
    """Seconds of every kind, added up."""
    return {limit: total for limit in Limit if (total := sum(part.get(limit, 0.0) for part in parts))}
