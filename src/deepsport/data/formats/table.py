"""The table of formats: what episodes can be written as, and how a row of any of them is told and read."""

from enum import StrEnum

from deepsport.data.formats import openai_chat, sharegpt, trl, verl
from deepsport.data.formats.chat_rows import chat_lines
from deepsport.data.formats.line import Line, Row
from deepsport.data.formats.script import Format
from deepsport.errors import BadRecord


class Form(StrEnum):
    """The names of the formats."""

    OPENAI = "openai"
    """OpenAI chat messages, JSON lines."""
    TRL = "trl"
    """TRL conversational with images and tools, JSON lines."""
    SHAREGPT = "sharegpt"
    """ShareGPT with function calls, as LLaMA-Factory reads it, JSON lines."""
    LLAVA = "llava"
    """LLaVA: human and gpt only, JSON lines."""
    VERL_SFT = "verl-sft"
    """verl, episodes for multi-turn SFT, parquet."""
    VERL = "verl"
    """verl, questions for RL, parquet. There is no way back to episodes."""


FORMATS: dict[Form, Format] = {
    Form.OPENAI: openai_chat.FORMAT,
    Form.TRL: trl.FORMAT,
    Form.SHAREGPT: sharegpt.SHAREGPT,
    Form.LLAVA: sharegpt.LLAVA,
    Form.VERL_SFT: verl.FORMAT,
}
"""Formats of episodes: all but `verl`, whose rows are questions."""


def lines_in(row: Row) -> tuple[str, tuple[Line, ...]]:
    """The layout that a row is in, told by its keys, and its lines. Raises BadRecord."""
    if "conversations" in row:
        return "conversations", sharegpt.sharegpt_lines(row)
    if "messages" in row:
        return "messages", chat_lines(row)
    raise BadRecord("neither messages nor conversations")
