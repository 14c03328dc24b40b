"""`deepsport data export` and `deepsport data restore`: trajectories to other trainers, and back."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deepsport.cli.plain import plain, plain_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepsport.data.source import Dropped


class Layout(StrEnum):
    """What can be written; spelt out here, so that the command line starts without the formats."""

    OPENAI = "openai"
    TRL = "trl"
    SHAREGPT = "sharegpt"
    LLAVA = "llava"
    VERL_SFT = "verl-sft"
    VERL = "verl"
    PARQUET = "parquet"
    JSONL = "jsonl"


class Spelling(StrEnum):
    """How calls are written."""

    NATIVE = "native"
    TEXT = "text"


class Style(StrEnum):
    """How much the opening explains."""

    FULL = "full"
    BRIEF = "brief"


def export(
    source: Annotated[
        Path,
        typer.Argument(
            help="A .jsonl file of episodes, or of questions; for parquet and jsonl also a dataset.", show_default=False
        ),
    ],
    layout: Annotated[Layout, typer.Option("--as", help="The layout to write.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The file to write; of parquet and jsonl the folder.", show_default=False)
    ],
    frames: Annotated[
        Path | None,
        typer.Option(help="Write the frames as PNG files into this folder, beside the output. Default: references only."),
    ] = None,
    videos: Annotated[Path | None, typer.Option(help="Name videos by their path under this folder.")] = None,
    calls: Annotated[
        Spelling, typer.Option(help="Tool calls as function calls, or in the text, for templates that know none.")
    ] = Spelling.NATIVE,
    style: Annotated[Style, typer.Option(help="The prompt style that the episodes were played with.")] = Style.FULL,
    first_frames: Annotated[int, typer.Option(min=1, help="Sparse frames at the start of the episodes.")] = 8,
    frames_per_call: Annotated[int, typer.Option(min=2, help="Frames that a call brought at most.")] = 8,
    max_turns: Annotated[int, typer.Option(min=1, help="Replies that were allowed.")] = 5,
) -> None:
    """Write episodes in the layout of another trainer, or questions as a data set; what is left out is counted.

    \b
    deepsport data export runs/demo/episodes/teacher.jsonl --as trl --style brief -o train.jsonl --frames frames
    deepsport data export runs/qwen/episodes.jsonl --as openai --videos footage -o chat.jsonl
    deepsport data export sets/tennis/questions.jsonl --as verl -o rl.parquet
    deepsport data export sets/tennis/questions.jsonl --as parquet -o published/tennis
    """
    from deepsport.agent.prompt import PromptStyle
    from deepsport.agent.rollout import Limits
    from deepsport.data.exporting import export_episodes
    from deepsport.data.formats.line import Calls
    from deepsport.data.formats.table import Form
    from deepsport.progress import track

    with plain_errors():
        if layout in (Layout.PARQUET, Layout.JSONL):
            _publish(source, out, "parquet" if layout is Layout.PARQUET else "jsonl")
            return
        limits = Limits(
            first_frames=first_frames, frames_per_call=frames_per_call, max_turns=max_turns, style=PromptStyle(style.value)
        )
        with track("export", unit="records") as tick:
            report = export_episodes(
                source,
                out,
                Form(layout.value),
                limits=limits,
                frames=frames,
                videos=videos,
                calls=Calls(calls.value),
                on_sample=tick,
            )
        files = f", {report.n_frame_files} files written" if frames else ""
        typer.echo(f"{out}: {report.n_exported} of {report.n_read} records, {report.n_images} images{files}")
        _say_dropped(report.dropped)


def restore(
    source: Annotated[Path, typer.Argument(help="A file in one of the layouts; which one is seen.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .jsonl file of episodes to write.", show_default=False)],
    videos: Annotated[Path | None, typer.Option(help="The folder to look for the videos in, by path or by name.")] = None,
) -> None:
    """Turn an exported file back into episodes. Of a file that others wrote is kept what can be told for certain.

    \b
    deepsport data restore chat.jsonl -o episodes.jsonl --videos footage
    """
    from deepsport.data.formats.restoring import restore_episodes
    from deepsport.progress import track

    with plain_errors():
        with track("restore", unit="rows") as tick:
            report = restore_episodes(source, out, videos=videos, on_row=tick)
        typer.echo(f"{out}: {report.n_restored} of {report.n_read} rows, {report.n_ours} of them whole")
        _say_dropped(report.dropped)


def _publish(source: Path, out: Path, form: Literal["parquet", "jsonl"]) -> None:
    from deepsport.data.dataset.making import watched
    from deepsport.data.dataset.publish import publish

    report = publish(source, out, form, watch=watched)
    typer.echo(f"{out}: {report.n_questions} questions")
    for reason, n_times in report.left_out.items():
        typer.echo(plain(f"  left out {n_times} x {reason}"))


def _say_dropped(dropped: "Sequence[Dropped]") -> None:
    for left_out in dropped:
        typer.echo(plain(f"  left out {left_out.n_times} x {left_out.reason}, such as {left_out.examples[0]}"))
