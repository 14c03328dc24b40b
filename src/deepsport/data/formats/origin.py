"""What goes along with a row so that it can come back whole: the question, who acted, and the rules of the episode.

It is one string of JSON under `metadata`: loaders that guess a schema from rows then never meet a number as the answer of one
question after a word as that of another.
"""

from pydantic import Field, JsonValue, ValidationError

from deepsport.agent.grammar import write_call
from deepsport.agent.rollout import Limits
from deepsport.data.formats.conversation import Conversation
from deepsport.errors import BadRecord
from deepsport.records import SCHEMA_VERSION, Question, Record

KEY = "deepsport"

MOST_FRAMES = 100_000
"""Of one look; more are refused before anything is counted out."""


class Origin(Record):
    """Where a row comes from."""

    episode: str
    """Its id."""
    question: Question
    policy: str
    seed: int
    with_tool: bool
    limits: Limits
    n_frames: int
    """Of the video."""
    video_sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    """Of the video file that was played, where it was taken."""
    verbatim: dict[int, str] = Field(default_factory=dict[int, str])
    """Replies, by place, that were not spelt as a call is written."""
    frames: tuple[str, ...] | None = None
    """References to the frames, where the row's own images are files."""
    schema_version: int = SCHEMA_VERSION


def origin_of(
    conversation: Conversation, question: Question, policy: str, limits: Limits, frames: tuple[str, ...] | None
) -> Origin:
    """What is needed to go back; question and policy as they may leave this machine."""
    episode = conversation.episode
    return Origin(
        episode=episode.id,
        question=question,
        policy=policy,
        seed=episode.seed,
        with_tool=episode.with_tool,
        limits=limits,
        n_frames=conversation.n_frames,
        video_sha256=episode.video_sha256,
        verbatim={
            place: turn.text
            for place, turn in enumerate(episode.turns[:-1])
            if turn.call and turn.text != write_call(turn.thought, turn.call.start_index, turn.call.end_index)
        },
        frames=frames,
    )


def write_origin(origin: Origin) -> dict[str, JsonValue]:
    """The metadata of a row."""
    return {KEY: origin.model_dump_json()}


def read_origin(metadata: object) -> Origin | None:
    """None for a row that is not ours. Raises BadRecord for one that says it is and cannot be."""
    text: object = metadata.get(KEY) if isinstance(metadata, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if text is None:
        return None
    try:
        origin = Origin.model_validate_json(text if isinstance(text, str) else "")
    except ValidationError:
        raise BadRecord("metadata of ours that cannot be read") from None
    if origin.schema_version != SCHEMA_VERSION:
        raise BadRecord(f"metadata of record schema {origin.schema_version}; this deepsport reads {SCHEMA_VERSION}")
    look = max(origin.limits.first_frames, origin.limits.frames_per_call)
    if origin.n_frames < 1 or min(look, origin.n_frames) > MOST_FRAMES:
        raise BadRecord("metadata of ours that asks for an impossible number of frames")
    return origin
