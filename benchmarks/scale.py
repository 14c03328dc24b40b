"""The way to a million hours of video, on paper: what is measured here, what is assumed, and what follows from both.

Measured, in CPU seconds of one core: the same seconds as 1080p source and as 640x360 proxies with a keyframe in 250, in 12 and in
every frame; their bytes, what it takes to decode them, to look into them, and to make one from the source. All else is arithmetic
over options whose defaults are assumptions, and the table says which. Prices are yours: without one there are tokens and hours.

    python benchmarks/scale.py --hours 1e6 --days 30 --teacher-usd 0.5 4 --judge-usd 0.2 1
    python benchmarks/scale.py --fill docs/scale.md        # puts the table into the page
"""

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import av
import numpy as np

import video
from deepsport.agent.rollout import Limits
from deepsport.bench.load import JUDGE_TOKENS, JUDGED, LOOKED, SAID, episode_load, image_tokens
from deepsport.durable import write_atomic
from deepsport.video.sample import uniform, window
from deepsport.video.source import FrameSource

SOURCE_WH, PROXY_WH = (1920, 1080), (640, 360)
SECONDS, FPS = 12, 25
GOPS = {"long": 250, "short": 12, "every": 1}
QUESTION_TOKENS = 40


@dataclass(frozen=True, slots=True)
class Options:
    """What is assumed; every one can be set."""

    hours: float = 1e6
    days: float = 30.0
    """In which it is to be done."""
    source_mbit: float = 5.0
    """Of a second of the source video."""
    questions_per_hour: float = 4.0
    samples: int = 4
    """Trajectories of the teacher for each question."""
    kept: float = 0.25
    """Share of the trajectories that the judge keeps."""
    teacher_usd: Sequence[float] = ()
    """For a million prompt and reply tokens."""
    judge_usd: Sequence[float] = ()
    usd_per_core_hour: float | None = None
    usd_per_tb_month: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One way to keep a video; CPU seconds of one core."""

    title: str
    bytes_per_s: float
    decode_fps: float
    """One frame after the other."""
    uniform_s: float
    """Eight frames spread over the clip."""
    window_s: float
    """Eight frames out of a second."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What this machine was found to do."""

    kinds: dict[str, Kind]
    transcode_s: float
    """CPU seconds to make a second of the short-GOP proxy from the source."""


Row = tuple[str, str, str]
"""What, the figure, and where it comes from."""


def transcode(source: Path, path: Path, gop: int, size_wh: tuple[int, int]) -> float:
    """Decodes, shrinks, encodes with x264's `veryfast`; returns CPU seconds."""
    start = time.process_time()
    with av.open(str(source)) as read, av.open(str(path), "w") as written:
        read.streams.video[0].thread_type = "NONE"
        stream = written.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = *size_wh, "yuv420p"
        params = f"keyint={gop}:min-keyint={min(gop, 12)}:scenecut=0:threads=1:lookahead-threads=1"
        stream.options = {"preset": "veryfast", "crf": "23", "x264-params": params}
        for frame in read.decode(video=0):
            written.mux(stream.encode(frame.reformat(width=size_wh[0], height=size_wh[1], format="yuv420p")))
        written.mux(stream.encode(None))
    return time.process_time() - start


def make_source(path: Path) -> None:
    """The clip of `video.py` at 1080p: drawn at 640x360 and enlarged, with fresh grain, so that it does not compress too well."""
    draw = np.random.default_rng(0)
    height, width = video.HEIGHT, video.WIDTH
    shape = ((height + 80) // 4, (width + SECONDS * FPS + 80) // 4, 3)
    ground = draw.integers(60, 180, shape, dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    noise = draw.integers(-6, 7, (height + 40, width + 40, 3), dtype=np.int16)
    players = draw.uniform(0, 1, (22, 4))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *SOURCE_WH, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23", "x264-params": "keyint=50:scenecut=0"}
        for index in range(SECONDS * FPS):
            picture = video.scene(index, ground, noise, players)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(width=SOURCE_WH[0], height=SOURCE_WH[1])
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def look_into(path: Path, title: str, times: int = 6) -> Kind:
    """Size and CPU seconds of one file."""
    n_frames, draw = SECONDS * FPS, random.Random(0)
    requests = {"uniform": [uniform(n_frames, 8)] * times, "window": []}
    for _ in range(times):
        first = draw.randrange(n_frames - FPS)
        requests["window"].append(window(first, first + FPS - 1, 8))
    took: dict[str, float] = {}
    for name, wanted in requests.items():
        took[name] = 0.0
        for indices in wanted:
            with FrameSource() as source:  # no picture is known from the request before
                source.frames(str(path), [0])
                start = time.process_time()
                source.frames(str(path), indices)
                took[name] += (time.process_time() - start) / times
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        start = time.process_time()
        decoded = sum(1 for _ in container.decode(video=0))
        decode_s = time.process_time() - start
    return Kind(
        title=title,
        bytes_per_s=path.stat().st_size / SECONDS,
        decode_fps=decoded / decode_s,
        uniform_s=took["uniform"],
        window_s=took["window"],
    )


def measure(folder: Path) -> Measured:
    """Makes the clips and looks into them."""
    source = folder / "source.mp4"
    make_source(source)
    kinds = {"source": look_into(source, "source, 1920x1080, a keyframe in 50")}
    took = {}
    for name, gop in GOPS.items():
        path = folder / f"{name}.mp4"
        took[name] = transcode(source, path, gop, PROXY_WH)
        often = "every frame a keyframe" if gop == 1 else f"a keyframe in {gop}"
        kinds[name] = look_into(path, f"proxy, 640x360, {often}")
    return Measured(kinds, transcode_s=took["short"] / SECONDS)


def bytes_text(n: float) -> str:
    """`2.25 PB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:,.2f} PB"


def many(n: float) -> str:
    """`1.2 billion`."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if n >= size:
            return f"{n / size:.3g} {word}"
    return f"{n:,.0f}"


def rows(found: Measured, given: Options) -> Iterator[Row]:
    """The whole table."""
    yield from storage(found, given)
    yield from looking(found, given)
    yield from words(given)


def storage(found: Measured, given: Options) -> Iterator[Row]:
    """Bytes, the cores that make proxies, the network that brings the sources."""
    seconds = given.hours * 3600
    source = seconds * given.source_mbit * 1e6 / 8
    yield "source video", bytes_text(source), f"assumed: {given.source_mbit:g} Mbit/s"
    for name in GOPS:
        kind = found.kinds[name]
        size = seconds * kind.bytes_per_s
        price = f", ${size / 1e12 * given.usd_per_tb_month:,.0f} a month" if given.usd_per_tb_month is not None else ""
        yield kind.title, bytes_text(size) + price, f"measured: {8 * kind.bytes_per_s / 1e6:.2f} Mbit/s"
    gbit = source * 8 / (given.days * 86400) / 1e9
    yield f"network, to read all sources once in {given.days:g} days", f"{gbit:,.1f} Gbit/s", "source bytes / time"
    core_hours = given.hours * found.transcode_s
    yield (
        f"cores, to make all proxies in {given.days:g} days",
        f"{core_hours / (24 * given.days):,.0f} ({many(core_hours)} core-hours{_usd(core_hours, given)})",
        f"measured: {found.transcode_s:.3f} CPU s for a second of 1080p",
    )


def looking(found: Measured, given: Options) -> Iterator[Row]:
    """Cores that decode what teachers are shown."""
    episodes = given.hours * given.questions_per_hour * given.samples
    yield "questions", many(given.hours * given.questions_per_hour), f"assumed: {given.questions_per_hour:g} an hour"
    calls = LOOKED - 1
    for name in ("source", *GOPS):
        kind = found.kinds[name]
        each = kind.uniform_s / given.samples + calls * kind.window_s  # the sparse frames of a question are decoded once
        hours = episodes * each / 3600
        yield (
            f"cores for the looks of the teacher, {kind.title}",
            f"{hours / (24 * given.days):,.1f} ({many(hours)} core-hours{_usd(hours, given)})",
            f"measured: {1000 * kind.uniform_s:.0f} ms spread, {1000 * kind.window_s:.0f} ms of a second",
        )


def words(given: Options) -> Iterator[Row]:
    """Tokens of teacher, judge and training."""
    n_questions = given.hours * given.questions_per_hour
    n_episodes = n_questions * given.samples
    frame = image_tokens(PROXY_WH, None)
    each = episode_load(Limits(), frame, QUESTION_TOKENS, LOOKED, SAID)
    prompt, reply = n_episodes * each.prompt_tokens, n_episodes * each.reply_tokens
    basis = f"assumed: {given.samples} trajectories of {LOOKED} turns, {frame} tokens a frame, {SAID} a reply"
    yield "teacher, prompt tokens", many(prompt) + _tokens_usd(prompt, given.teacher_usd, 0), basis
    yield "teacher, reply tokens", many(reply) + _tokens_usd(reply, given.teacher_usd, 1), basis
    judged = n_episodes * (JUDGE_TOKENS + LOOKED * 250)
    yield "judge, prompt tokens", many(judged) + _tokens_usd(judged, given.judge_usd, 0), "each trajectory once"
    verdicts = n_episodes * JUDGED
    yield "judge, reply tokens", many(verdicts) + _tokens_usd(verdicts, given.judge_usd, 1), f"{JUDGED} a verdict (assumed)"
    limits = Limits()
    length = QUESTION_TOKENS + 350 + (limits.first_frames + (LOOKED - 1) * limits.frames_per_call) * (frame + 16) + LOOKED * SAID
    trained = n_episodes * given.kept * length
    yield "trajectories kept", many(n_episodes * given.kept), f"assumed: {given.kept:.0%} of them"
    yield (
        "training tokens, one epoch of SFT",
        many(trained),
        f"{length:,} tokens a trajectory; `deepsport plan` tells the GPU-hours",
    )


def _usd(core_hours: float, given: Options) -> str:
    return "" if given.usd_per_core_hour is None else f", ${core_hours * given.usd_per_core_hour:,.0f}"


def _tokens_usd(n_tokens: float, usd: Sequence[float], place: int) -> str:
    return f", ${n_tokens / 1e6 * usd[place]:,.0f}" if usd else ""


def proxies(found: Measured) -> Iterator[str]:
    """The clips themselves, as Markdown."""
    yield "| kept as | Mbit/s | frames a core decodes in a second | 8 spread frames, ms | 8 frames of a second, ms |"
    yield "|---|---|---|---|---|"
    for kind in found.kinds.values():
        yield (
            f"| {kind.title} | {8 * kind.bytes_per_s / 1e6:.2f} | {kind.decode_fps:,.0f} | {1000 * kind.uniform_s:.0f} | "
            f"{1000 * kind.window_s:.1f} |"
        )


def section(found: Measured, given: Options) -> str:
    """Everything between the markers."""
    table = [f"| {what} | {figure} | {origin} |" for what, figure, origin in rows(found, given)]
    made = f"`benchmarks/scale.py`, {time.strftime('%Y-%m-%d')}, {machine()}. "
    made += f"CPU time of one core; clips of {SECONDS} s, x264 `veryfast`, crf 23."
    head = f"| for {given.hours:,.0f} hours of video | figure | from |"
    return "\n".join([made, "", *proxies(found), "", head, "|---|---|---|", *table])


def machine() -> str:
    """What it was measured on."""
    cores = f"{os.cpu_count()} cores ({platform.machine()}; load {os.getloadavg()[0]:.1f})"
    return f"{cores}, Python {platform.python_version()}, PyAV {av.__version__}"


def fill(page: Path, name: str, text: str) -> None:
    """Replaces what stands between two markers of a page. Raises ValueError if they are not there once each, in order."""
    begin, end, whole = f"<!-- {name}:begin -->", f"<!-- {name}:end -->", page.read_text(encoding="utf-8")
    if whole.count(begin) != 1 or whole.count(end) != 1 or whole.index(begin) > whole.index(end):
        raise ValueError(f"the page must hold {begin} and then {end}, each once")
    before, rest = whole.split(begin)
    write_atomic(page, f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")


def parse() -> tuple[Options, Path | None]:
    """The command line."""
    usual, parser = Options(), argparse.ArgumentParser()
    for name in ("hours", "days", "source_mbit", "questions_per_hour", "kept"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(usual, name))
    parser.add_argument("--samples", type=int, default=usual.samples)
    for name in ("teacher_usd", "judge_usd"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, nargs=2, default=(), help="a million prompt, reply tokens")
    for name in ("usd_per_core_hour", "usd_per_tb_month"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float)
    parser.add_argument("--fill", type=Path, help="a page to put the tables into")
    given = vars(parser.parse_args())
    page = given.pop("fill")
    return Options(**given), page


def main() -> None:
    """Measures, prints the tables and one JSON line."""
    given, page = parse()
    with tempfile.TemporaryDirectory() as made:
        found = measure(Path(made))
    text = section(found, given)
    print(text)
    if page:
        fill(page, "scale", text)
    cases = {
        kind.title: {
            "ours": kind.window_s,
            "rivals": {},
            "ratio_to_best_rival": None,
            "ratio_to_floor": None,
            "mbit": 8 * kind.bytes_per_s / 1e6,
            "decode_fps": kind.decode_fps,
            "uniform_s": kind.uniform_s,
        }
        for kind in found.kinds.values()
    }
    print(json.dumps({"name": "scale", "cases": cases, "versions": {"python": sys.version.split()[0], "av": av.__version__}}))


if __name__ == "__main__":
    main()
