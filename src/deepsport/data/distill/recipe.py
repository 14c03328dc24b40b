"""What a distillation can be told."""

from enum import StrEnum

from pydantic import Field

from deepsport.agent.rollout import Limits
from deepsport.config import Config
from deepsport.policy.openai import EndpointConfig


class Hints(StrEnum):
    """What the teacher knows besides the frames."""

    WITHHELD = "withheld"
    """Nothing: a right answer was seen, or guessed."""
    GIVEN = "given"
    """The facts, as a private note: more right answers, and thoughts that may give the note away."""


class Bounds(Config):
    """What a trajectory must hold to. All lengths are of one thought."""

    accuracy_floor: float = Field(default=1.0, ge=0, le=1)
    """Least accuracy of the answer."""
    thought_points: int = Field(default=7, ge=0, le=10)
    """Least points of the judge for the thoughts."""
    shortest_thought: int = Field(default=5, ge=0)
    """Characters."""
    longest_thought: int = Field(default=2000, ge=1)
    """Characters."""
    most_overlap: float = Field(default=0.8, gt=0, le=1)
    """Largest intersection over union of two windows of one trajectory: more is looking at the same again."""
    hint_words: int = Field(default=6, ge=2)
    """A thought that has so many words in a row in common with the facts, and not with the question, quotes them."""


class TeacherConfig(EndpointConfig):
    """The model that acts."""

    temperature: float = Field(default=0.8, ge=0)
    """0 is greedy, and every sample of a question then much the same."""
    native_tools: bool = False
    """Offer the frame tool as a function instead of in the prompt alone."""
    max_reply_tokens: int = Field(default=1024, ge=1)
    """Thoughts included."""


class DistillRecipe(Config):
    """One distillation."""

    questions: str
    """A `.jsonl` file of questions with known answers, or a split of a dataset."""
    teacher: TeacherConfig | None = None
    """None: the arena's oracle, for questions of an arena set."""
    writer: EndpointConfig | None = None
    """States the facts; None: they are stated by rule, from the annotation alone."""
    judge: EndpointConfig | None = None
    """None: what can be judged by rule; for an arena set, its checker."""
    hints: Hints = Hints.WITHHELD
    samples: int = Field(default=4, ge=1)
    """Trajectories tried for each question."""
    keep: int = Field(default=1, ge=1)
    """Trajectories kept of each question, at most."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many questions."""
    haste: float = Field(default=0.0, ge=0, le=1)
    """Of the oracle: the share of rule questions that it answers without a look."""
    seed: int = 0
    limits: Limits = Limits()
    bounds: Bounds = Bounds()
