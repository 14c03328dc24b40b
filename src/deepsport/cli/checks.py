"""What `deepsport doctor` looks at: one function per part of the machine, each with a finding and, if need be, a remedy."""

import asyncio
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

import av
import numpy as np
import PIL.Image

from deepsport.arena.canvas import HEIGHT, WIDTH
from deepsport.arena.encode import write_clip
from deepsport.errors import DeepSportError
from deepsport.policy.openai import OpenAIPolicy
from deepsport.versions import versions
from deepsport.video.source import FrameSource

CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4")
GIB = 2**30


class State(StrEnum):
    """How a part of the machine is."""

    OK = "ok"
    NOTE = "note"
    """Works, but something needs it or wants more of it."""
    FAULT = "fault"
    """Nothing works without it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    part: str
    state: State
    text: str


def check_python() -> Finding:
    """Python, the platform and this package."""
    return Finding(
        "deepsport", State.OK, f"{metadata.version('deepsport')} on Python {sys.version.split()[0]}, {platform.platform()}"
    )


def check_cores() -> Finding:
    """Cores this process may use: its affinity, or the container's share if that is less."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _cgroup("cpu.max").partition(" ")
    share = int(quota) / int(period) if quota.isdigit() and period.isdigit() else usable
    return Finding("cores", State.OK, f"{min(usable, share):g} usable of {os.cpu_count()}")


def check_memory() -> Finding:
    """Memory of the machine, or of the container if that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _cgroup("memory.max")
    n_bytes = min(machine, int(limit)) if limit.isdigit() else machine
    needs = "" if n_bytes >= 4 * GIB else ": training nano wants 4 GiB"
    return Finding("memory", State.NOTE if needs else State.OK, f"{n_bytes / GIB:.1f} GiB{needs}")


def check_disk() -> Finding:
    """Room where the command is run, which is where runs are written."""
    free = shutil.disk_usage(Path.cwd()).free
    needs = "" if free >= GIB else ": a run with checkpoints wants 1 GiB"
    return Finding("disk", State.NOTE if needs else State.OK, f"{free / GIB:.1f} GiB free here{needs}")


def check_torch() -> Finding:
    """torch and the GPUs it sees."""
    try:
        import torch
    except ImportError as error:
        advice = "local models and training need it: pip install 'deepsport[train]'"
        return Finding("torch", State.NOTE, f"not usable ({error}); {advice}")
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return Finding("torch", State.OK, f"{torch.__version__}, {', '.join(names) or 'no GPU: models run on the CPU'}")


def check_packages() -> Finding:
    """Versions of what can move a figure."""
    found = {name: version for name, version in versions().items() if name not in ("python", "platform", "deepsport", "torch")}
    return Finding("packages", State.OK, ", ".join(f"{name} {version}" for name, version in found.items()))


def check_codecs() -> Finding:
    """The FFmpeg libraries inside PyAV and the decoders they have."""
    libraries = ", ".join(f"{name} {'.'.join(map(str, number))}" for name, number in sorted(av.library_versions.items()))
    missing = [name for name in CODECS if name not in av.codecs_available]
    lacks = (
        f"; no decoder for {', '.join(missing)}: install PyAV's own wheel with `pip install --force-reinstall av`"
        if missing
        else ""
    )
    return Finding("ffmpeg", State.FAULT if missing else State.OK, libraries + lacks)


def check_decoding() -> Finding:
    """Writes a small clip, and reads a frame in its middle as an untrusted file would be read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "check.mp4"
        source = FrameSource(trusted=False)
        try:
            greys = (PIL.Image.new("RGB", (WIDTH, HEIGHT), (10 * n,) * 3) for n in range(25))
            write_clip(path, greys, cuts=(), comment="deepsport doctor")
            level = float(np.mean(source.frames(str(path), [12])[0]))
        except (DeepSportError, OSError, ValueError) as error:
            return Finding("decoding", State.FAULT, f"a clip written here cannot be read back: {error}")
        finally:
            source.close()
    if abs(level - 120) > 6:
        return Finding("decoding", State.FAULT, f"frame 12 of a clip written here has grey level {level:.0f} instead of 120")
    return Finding("decoding", State.OK, "a clip written here was read back, to the frame")


def check_endpoint(url: str) -> Finding:
    """Whether an OpenAI-compatible server answers, and what it serves."""
    try:
        names = asyncio.run(OpenAIPolicy("models", url, timeout_s=10).served_models())
    except DeepSportError as error:
        return Finding("endpoint", State.FAULT, str(error))
    return Finding("endpoint", State.OK if names else State.NOTE, f"serves {', '.join(names[:20]) or 'no model'}")


def all_checks(endpoint: str | None) -> list[Finding]:
    """Every finding, in the order they are printed."""
    checks = (check_python, check_cores, check_memory, check_disk, check_torch, check_packages, check_codecs, check_decoding)
    return [check() for check in checks] + ([check_endpoint(endpoint)] if endpoint is not None else [])


def _cgroup(name: str) -> str:
    """A limit of the container this runs in, as its file says it; empty outside of one."""
    try:
        return (Path("/sys/fs/cgroup") / name).read_text(encoding="ascii").strip()
    except OSError:
        return ""
