"""The records that every stage reads and writes: Question, Frame, Episode, and what they are made of.

Frozen pydantic models, written as one JSON object per line. Pixels are never stored: a frame is a *reference* (video id, index,
time), so a record file is small and footage is never copied. Times are seconds from the start of the video file; indices are
0-based, in presentation order, and inclusive at both ends.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SCHEMA_VERSION = 1


class Record(BaseModel):
    """Base of all records: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Dimension(StrEnum):
    """The four task dimensions of the paper."""

    RECOGNITION = "recognition"
    """Which action, who, how many turns."""
    RULES = "rules"
    """Was it a foul, which sanction, who gets the point."""
    ASSESSMENT = "assessment"
    """How well was it done, what to improve."""
    COMMENTARY = "commentary"
    """Live sentences whose facts can be checked."""


class Choice(Record):
    """A closed question: one of the options is right."""

    kind: Literal["choice"] = "choice"
    options: tuple[str, ...]
    answer: str
    """The right option, as it stands in `options`."""

    @model_validator(mode="after")
    def _answer_is_an_option(self) -> "Choice":
        if self.answer not in self.options or len(set(self.options)) != len(self.options):
            raise ValueError(f"answer {self.answer!r} must be one of the distinct options {list(self.options)}")
        return self


class Number(Record):
    """A question whose answer is a number."""

    kind: Literal["number"] = "number"
    answer: float
    unit: str = ""
    tolerance: float = 0.0
    """Largest absolute error that is still right; half right at twice that."""


class Fact(Record):
    """Something that a free answer must get right: one of several things that could be so."""

    options: tuple[str, ...]
    answer: str


class FreeText(Record):
    """An open question, judged against a reference."""

    kind: Literal["text"] = "text"
    answer: str
    facts: tuple[Fact, ...] = ()
    """What can be checked in any wording; with none, only a judge can tell."""


Gold = Annotated[Choice | Number | FreeText, Field(discriminator="kind")]
"""The answer kind with its gold answer."""


class Window(Record):
    """A span of a video, both ends included, in seconds."""

    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> "Window":
        if self.end_s < self.start_s:
            raise ValueError(f"window ends at {self.end_s} s, before its start at {self.start_s} s")
        return self

    def overlaps(self, other: "Window") -> bool:
        """Whether the two spans share an instant (to a millisecond)."""
        return self.start_s <= other.end_s + 1e-3 and other.start_s <= self.end_s + 1e-3

    def contains(self, time_s: float) -> bool:
        """Whether an instant lies in the span (to a millisecond)."""
        return self.start_s - 1e-3 <= time_s <= self.end_s + 1e-3


class Provenance(Record):
    """Where a question comes from: enough to find it again, to split by match, and to know what may be passed on."""

    source: str
    """Name of the importer."""
    file: str
    """The annotation file."""
    record: str
    """The record within it, by its id or its place."""
    match: str
    """What splits keep together: the match, competition or broadcast that the clip was cut from."""
    licence: str
    """Of the annotation; empty if it states none."""
    event_frames: tuple[int, int] | None = None
    """The event in frame indices of the clip, where the source counts frames: exact even if its frame rate is not."""
    video_sha256: str = ""
    """Of the clip's content, once it was there."""


class Question(Record):
    """A video, a text, and what is known about the right answer."""

    id: str
    video: str
    """Path of the video file; a relative path counts from the folder of the file the record stands in."""
    text: str
    gold: Gold | None = None
    """None when nobody knows the answer (`deepsport ask`)."""
    window: Window | None = None
    """When the event asked about happens, if known."""
    sport: str | None = None
    dimension: Dimension | None = None
    easy: bool = False
    """True if the sparse frames alone are enough (measures over-calling)."""
    provenance: Provenance | None = None
    """None for what a person asks: such a question has no licence, and stays here."""

    @field_validator("text", "sport")
    @classmethod
    def _can_be_written(cls, text: str | None) -> str | None:
        (text or "").encode()  # half a surrogate pair can stand in a str, but in no file and before no model
        return text


class Frame(Record):
    """A reference to one frame; never its pixels."""

    video: str
    index: int = Field(ge=0)
    time_s: float


class StopReason(StrEnum):
    """Why an episode ended: a closed set."""

    ANSWERED = "answered"
    FORMAT_ERROR = "format_error"
    """A malformed turn or a window asked for twice."""
    MAX_TURNS = "max_turns"
    MAX_TOKENS = "max_tokens"
    """One reply ran into its token limit."""
    CONTEXT_OVERFLOW = "context_overflow"
    POLICY_ERROR = "policy_error"
    VIDEO_ERROR = "video_error"


class ToolCall(Record):
    """A request for frames from `start_index` to `end_index`, both included."""

    start_index: int
    end_index: int
    window: Window | None = None
    """The same in seconds; None if the call was refused."""


class Turn(Record):
    """One reply of the policy and what came back."""

    text: str
    """The reply as it was sampled."""
    thought: str = ""
    call: ToolCall | None = None
    answer: str | None = None
    frames: tuple[Frame, ...] = ()
    """What the call returned."""
    note: str = ""
    """What the policy or the reader was told: a refusal, or why the reply is malformed."""


class ImageSlot(Record):
    """Where an image stands in the token sequence: `n_tokens` placeholders from `offset` on."""

    offset: int
    n_tokens: int
    grid_hw: tuple[int, int]
    """Patches down and across, before merging."""
    frame: Frame


class TokenRecord(Record):
    """The tokens of an episode exactly as the policy saw and sampled them. T tokens; never re-tokenised."""

    ids: tuple[int, ...]
    """[T]."""
    sampled: tuple[bool, ...]
    """[T], true where the policy itself spoke: the loss mask."""
    logprobs: tuple[float, ...]
    """[T], the sampler's log-probability of each sampled token; 0 elsewhere."""
    images: tuple[ImageSlot, ...]

    @model_validator(mode="after")
    def _same_length(self) -> "TokenRecord":
        if not len(self.ids) == len(self.sampled) == len(self.logprobs):
            raise ValueError(f"{len(self.ids)} ids, {len(self.sampled)} mask entries, {len(self.logprobs)} logprobs")
        return self


class Usage(Record):
    """What an episode cost."""

    prompt_tokens: int = 0
    reply_tokens: int = 0
    seconds: float = 0.0


class Episode(Record):
    """One question thought through: the record that every stage shares."""

    id: str
    question: Question
    policy: str
    """Name of the policy that acted."""
    seed: int = 0
    with_tool: bool = True
    first_frames: tuple[Frame, ...] = ()
    turns: tuple[Turn, ...] = ()
    answer: str | None = None
    stop: StopReason
    detail: str = ""
    """What went wrong, for the stop reasons that name a fault."""
    tokens: TokenRecord | None = None
    usage: Usage = Usage()
    video_sha256: str = ""
    """Of the video file that was played, where it was taken: whether frames can be had again."""
    schema_version: int = SCHEMA_VERSION

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in order, refused ones included."""
        return tuple(turn.call for turn in self.turns if turn.call is not None)

    @property
    def frames_seen(self) -> tuple[Frame, ...]:
        """Every frame shown, in the order shown."""
        return self.first_frames + tuple(frame for turn in self.turns for frame in turn.frames)


class Reward(Record):
    """The parts of the gated reward of one episode, and their total."""

    total: float
    accuracy: float | None
    """In [0, 1]; None if the answer could not be scored (a judge abstained): never counted as wrong."""
    tool: float
    temporal: float = 0.0
    """For windows that met the event, where that is paid."""
    format_penalty: float
    well_formed: bool
    """The format gate."""
