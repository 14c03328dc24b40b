"""`deepsport data export` and `deepsport data restore`: trajectories to other trainers, and back."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deepsport.cli.plain import plain, plain_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepsport.agent.rollout import Limits
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
    style: Annotated[
        Style | None,
        typer.Option(
            help="The prompt style that the episodes were played with. "
            "Default of this and the next three: as the config.toml beside the file says, else full, 8, 8 and 5."
        ),
    ] = None,
    first_frames: Annotated[int | None, typer.Option(min=1, help="Sparse frames at the start of the episodes.")] = None,
    frames_per_call: Annotated[int | None, typer.Option(min=2, help="Frames that a call brought at most.")] = None,
    max_turns: Annotated[int | None, typer.Option(min=1, help="Replies that were allowed.")] = None,
) -> None:
    """Write episodes in the layout of another trainer, or questions as a data set; what is left out is counted.

    \b
    deepsport data export runs/demo/episodes/teacher.jsonl --as trl --style brief -o train.jsonl --frames frames
    deepsport data export runs/qwen/episodes.jsonl --as openai --videos footage -o chat.jsonl
    deepsport data export sets/tennis/questions.jsonl --as verl -o rl.parquet
    deepsport data export sets/tennis/questions.jsonl --as parquet -o published/tennis
    """
    with plain_errors():
        if layout in (Layout.PARQUET, Layout.JSONL):
            _require_none({"--frames": frames, "--videos": videos}, layout)
            _publish(source, out, "parquet" if layout is Layout.PARQUET else "jsonl")
            return
        limits = _rules(source, style, first_frames=first_frames, frames_per_call=frames_per_call, max_turns=max_turns)
        _export(source, out, layout, limits, frames=frames, videos=videos, calls=calls)


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


def _export(
    source: Path, out: Path, layout: Layout, limits: "Limits", *, frames: Path | None, videos: Path | None, calls: Spelling
) -> None:
    from deepsport.data.exporting import export_episodes
    from deepsport.data.formats.line import Calls
    from deepsport.data.formats.table import Form
    from deepsport.progress import track

    form, spelling = Form(layout.value), Calls(calls.value)
    with track("export", unit="records") as tick:
        report = export_episodes(source, out, form, limits=limits, frames=frames, videos=videos, calls=spelling, on_sample=tick)
    files = f", {report.n_frame_files} files written" if frames else ""
    typer.echo(f"{out}: {report.n_exported} of {report.n_read} records, {report.n_images} images{files}")
    _say_dropped(report.dropped)


def _rules(source: Path, style: Style | None, **sizes: int | None) -> "Limits":
    """What was given, else what the run says that the file lies in; and a line that says so. Raises BadConfig."""
    from deepsport.agent.prompt import PromptStyle
    from deepsport.agent.rollout import Limits
    from deepsport.data.formats.rules import CONFIG_NAME, rules_beside

    given: dict[str, object] = {key: size for key, size in sizes.items() if size is not None}
    if style:
        given["style"] = PromptStyle(style.value)
    beside = rules_beside(source) if len(given) < len(Limits.model_fields) else None
    limits = (beside or Limits()).model_copy(update=given)
    told = " ".join(f"--{key.replace('_', '-')} {getattr(limits, key)}" for key in Limits.model_fields)
    typer.echo(plain(f"rules: {told}" + (f" (where not given, of {source.parent / CONFIG_NAME})" if beside else "")))
    return limits


def _require_none(options: "Mapping[str, Path | None]", layout: Layout) -> None:
    from deepsport.errors import BadConfig

    if given := [name for name, value in options.items() if value is not None]:
        raise BadConfig(f"{' and '.join(given)}: --as {layout} publishes questions, without frames. Leave it out.")


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
