"""verl's parquet: rows for RL from questions, rows for multi-turn SFT from episodes.

Images are `<image>` within the text; beside it they are structs with one key `image`. verl opens the images of a row for RL by
path, so a row has them where they are files, and is played by verl's own agents; without files it names the agent loop of this
package, which decodes frames by itself. Nested values have one schema for the whole file, written out here, so that a file of a
single kind of row and a mixed one are read alike.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false
# (pyarrow has no stubs)

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from pydantic import JsonValue

from deepsport.agent.rollout import Limits
from deepsport.data.formats.line import Line, Row, all_urls, results_apart
from deepsport.data.formats.origin import write_origin
from deepsport.data.formats.script import Format, Script, require_as_many
from deepsport.errors import BadConfig, BadRecord
from deepsport.policy.openai.wire import CHOOSE_FRAMES
from deepsport.records import Question
from deepsport.verl.row import AGENT, extra_info

if TYPE_CHECKING:
    import pyarrow as pa

MARK = "<image>"
ROWS_AT_ONCE = 256
"""Rows of a parquet file that are in memory together."""


def sft_row(script: Script) -> Row:
    """One row for multi-turn SFT."""
    messages: list[JsonValue] = [_message(line) for line in results_apart(script.lines)]
    require_as_many(sum(line.marked(MARK).count(MARK) for line in script.lines), len(script.urls))
    return {
        "messages": messages,
        "images": _images(script.urls),
        "tools": script.tools,
        "extra_info": write_origin(script.origin),
    }


def rl_row(
    question: Question, lines: Sequence[Line], index: int, n_frames: int, *, limits: Limits, with_tool: bool, with_files: bool
) -> Row:
    """One row for RL: what the policy is told first, and how its answer is scored; `with_files`: images of the lines are files.

    `tools_kwargs` holds what a tool of verl needs to bring frames: the video as it is named here, and its length."""
    create: Row = {"create_kwargs": {"video": question.video, "n_frames": n_frames}}
    return {
        "data_source": question.provenance.source if question.provenance else "deepsport",
        "agent_name": _agent(with_tool) if with_files else AGENT,
        "prompt": [{"role": line.role, "content": line.marked(MARK) if with_files else line.text} for line in lines],
        "images": _images(all_urls(lines)) if with_files else [],
        "ability": str(question.dimension or "sports"),
        "reward_model": {"style": "rule", "ground_truth": str(question.gold.answer) if question.gold else ""},
        "extra_info": {
            "index": index,
            "split": "train",
            "need_tools_kwargs": with_tool,
            "tools_kwargs": {"choose_frames": create} if with_tool else None,
            **extra_info(question, limits, with_tool=with_tool),
        },
    }


def _agent(with_tool: bool) -> str:
    """verl's own."""
    return "tool_agent" if with_tool else "single_turn_agent"


def _message(line: Line) -> Row:
    calls: list[JsonValue] = [
        {"type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in line.calls
    ]
    return {"role": line.role, "content": line.marked(MARK), "tool_calls": calls or None}


def _images(urls: Sequence[str]) -> list[JsonValue]:
    return [{"image": url} for url in urls]


def sft_file(file: BinaryIO) -> "ParquetRows":
    """A file of rows for SFT. Raises BadConfig where pyarrow is not installed."""
    _require_pyarrow()
    return ParquetRows(file, _sft_schema())


def rl_file(file: BinaryIO) -> "ParquetRows":
    """A file of rows for RL. Raises BadConfig where pyarrow is not installed."""
    _require_pyarrow()
    return ParquetRows(file, _rl_schema())


def _sft_schema() -> "pa.Schema":
    import pyarrow as pa

    arguments = pa.struct([("frame_range", pa.list_(pa.int64()))])
    call = pa.struct([("type", pa.string()), ("function", pa.struct([("name", pa.string()), ("arguments", arguments)]))])
    message = pa.struct([("role", pa.string()), ("content", pa.string()), ("tool_calls", pa.list_(call))])
    return pa.schema(
        [
            ("messages", pa.list_(message)),
            ("images", pa.list_(pa.struct([("image", pa.string())]))),
            ("tools", pa.array([[CHOOSE_FRAMES]]).type),
            ("extra_info", pa.struct([("deepsport", pa.string())])),
        ]
    )


def _rl_schema() -> "pa.Schema":
    import pyarrow as pa

    create = pa.struct([("create_kwargs", pa.struct([("video", pa.string()), ("n_frames", pa.int64())]))])
    extra = [
        ("index", pa.int64()),
        ("split", pa.string()),
        ("need_tools_kwargs", pa.bool_()),
        ("tools_kwargs", pa.struct([("choose_frames", create)])),
        ("question", pa.string()),
        ("limits", pa.string()),
        ("with_tool", pa.bool_()),
    ]
    return pa.schema(
        [
            ("data_source", pa.string()),
            ("agent_name", pa.string()),
            ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
            ("images", pa.list_(pa.struct([("image", pa.string())]))),
            ("ability", pa.string()),
            ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
            ("extra_info", pa.struct(extra)),
        ]
    )


class ParquetRows:
    """A parquet file that grows by rows."""

    def __init__(self, file: BinaryIO, schema: "pa.Schema") -> None:
        """Writes into an open file, which stays open."""
        import pyarrow.parquet as pq

        self._schema = schema
        self._writer = pq.ParquetWriter(file, schema)
        self._rows: list[Row] = []

    def write(self, row: Row) -> None:
        """Adds one row."""
        self._rows.append(row)
        if len(self._rows) == ROWS_AT_ONCE:
            self._flush()

    def close(self) -> None:
        """Writes what is left, and the foot of the file."""
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def parquet_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """The rows of a file, each with its name for reports.

    Raises BadRecord for a file that holds no conversations, BadConfig where pyarrow is not installed."""
    _require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _require_conversations(path, file.schema_arrow.names)
            batches = (cast(list[Row], batch.to_pylist()) for batch in file.iter_batches(batch_size=ROWS_AT_ONCE))
            for place, row in enumerate(row for batch in batches for row in batch):
                yield f"{path.name}[{place}]", row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadRecord(f"{path} cannot be read as parquet: {str(error)[:200]}. Write or download it again.") from error


def _require_pyarrow() -> None:
    if find_spec("pyarrow") is None:
        raise BadConfig("parquet files need pyarrow: pip install 'deepsport[data]', or choose a layout of JSON lines.")


def _require_conversations(path: Path, columns: Sequence[str]) -> None:
    if {"messages", "conversations"} & set(columns):
        return
    if {"prompt", "reward_model"} <= set(columns):
        raise BadRecord(f"{path} holds questions for RL, and no episode. Restore it from the questions it was made of.")
    raise BadRecord(f"{path} has the columns {sorted(columns)[:12]}, and neither messages nor conversations.")


FORMAT = Format(title="verl multi-turn SFT rows", row=sft_row, marked=True, parquet=True)
