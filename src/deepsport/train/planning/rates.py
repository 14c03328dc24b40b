"""How fast the work of a plan is done: measured on a machine, or assumed as a share of what a vendor promises.

A rate that was not measured is called assumed wherever a plan prints it. Seconds of video are CPU seconds of one core.
"""

from pathlib import Path

from pydantic import Field, ValidationError

from deepsport.durable import write_atomic
from deepsport.errors import BadConfig
from deepsport.records import Record
from deepsport.train.planning.hardware import Accelerator

LEARN_SHARE, PREFILL_SHARE, VISION_SHARE, READ_SHARE, LINK_SHARE = 0.40, 0.50, 0.35, 0.70, 0.70
"""Of the peaks, where nothing was measured. Guesses, and marked as such."""

UNIFORM_S, WINDOW_S, PIXELS = 0.2782 / 8, 0.0593 / 8, 640 * 360
"""docs/performance.md, Video: a frame of a clip of 640x360 with a keyframe in 250, spread over the clip and out of one second."""


class Rates(Record):
    """Rates of one accelerator and one core. F: floating-point operations."""

    machine: str
    model: str = ""
    """With whose shapes they were measured."""
    measured: tuple[str, ...] = ()
    """Names of the fields below that were measured; the others are assumed."""
    memory_bytes: float = 0
    """Of the machine that was measured."""
    learn_flops: float = Field(gt=0)
    """F a second, forward and backward."""
    prefill_flops: float = Field(gt=0)
    """F a second of a language model that reads."""
    decode_flops: float = Field(gt=0)
    """F a second where every row has one new token."""
    vision_flops: float = Field(gt=0)
    bandwidth: float = Field(gt=0)
    """Bytes a second by which decoding reads weights."""
    cache_bandwidth: float = Field(gt=0)
    """Bytes a second by which it reads keys and values."""
    update_bytes: float = Field(gt=0)
    """Bytes a second by which the optimiser reads and writes."""
    layer_s: float = Field(ge=0)
    """What a layer takes in a pass, however little there is to do."""
    served_layer_s: float = Field(default=0.00002, ge=0)
    """The same in a server that replays recorded launches."""
    draw_s: float = Field(default=0.00002, ge=0)
    """To draw a token for one episode."""
    turn_s: float = Field(default=0.004, ge=0)
    """Around a turn: grammar, tokens, records."""
    uniform_pixel_s: float = Field(default=UNIFORM_S / PIXELS, ge=0)
    """Of one core, for a pixel of a frame out of frames spread over a clip: decoded, resized, cut into patches."""
    window_pixel_s: float = Field(default=WINDOW_S / PIXELS, ge=0)
    """The same out of a window."""
    peer_bytes: float = Field(gt=0)
    """Bytes a second between accelerators of one host, in one direction."""
    network_bytes: float = Field(default=12.5e9 * LINK_SHARE, gt=0)
    """Bytes a second between hosts: of 100 Gbit/s."""

    def is_measured(self, name: str) -> bool:
        """Whether a field was."""
        return name in self.measured


def assumed(found: Accelerator) -> Rates:
    """Shares of the peaks. Raises BadConfig for a machine whose peaks nobody knows."""
    if not found.flops:
        raise BadConfig(f"no rates are known of {found.title}: measure them (--measure), or name an accelerator (--gpu h200)")
    return Rates(
        machine=found.title,
        learn_flops=LEARN_SHARE * found.flops,
        prefill_flops=PREFILL_SHARE * found.flops,
        decode_flops=PREFILL_SHARE * found.flops,
        vision_flops=VISION_SHARE * found.flops,
        bandwidth=READ_SHARE * found.bandwidth,
        cache_bandwidth=READ_SHARE * found.bandwidth,
        update_bytes=READ_SHARE * found.bandwidth,
        layer_s=0.0008,
        peer_bytes=LINK_SHARE * found.peer,
    )


def load_rates(path: Path) -> Rates:
    """Reads what a measurement wrote. Raises BadConfig."""
    try:
        return Rates.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadConfig(f"{path} holds no rates ({error}). `deepsport plan RECIPE --measure {path}` writes them.") from error


def save_rates(path: Path, rates: Rates) -> None:
    """Writes them for later plans."""
    write_atomic(path, rates.model_dump_json(indent=2) + "\n")
