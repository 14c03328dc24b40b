"""What a layout writes a row from, and the form of a layout."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

from deepsport.data.formats.line import Calls, Line, Row, all_urls
from deepsport.data.formats.origin import Origin
from deepsport.policy.openai.wire import CHOOSE_FRAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One conversation on its way into a row."""

    lines: tuple[Line, ...]
    calls: Calls
    origin: Origin

    @property
    def tools(self) -> list[JsonValue]:
        """The functions that the row declares: the one tool, where it is offered and called natively."""
        return [cast(JsonValue, CHOOSE_FRAMES)] if self.origin.with_tool and self.calls is Calls.NATIVE else []

    @property
    def urls(self) -> list[str]:
        """The images, in order."""
        return all_urls(self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A layout of episodes."""

    title: str
    row: Callable[[Script], Row]
    marked: bool = False
    """Images are placeholders within the text."""
    text_only: bool = False
    """It has no function calls: calls are always text."""
    parquet: bool = False
    """It is a parquet file; else a file of JSON lines."""


def require_as_many(n_marks: int, n_images: int) -> None:
    """Raises ValueError if the images of a row are not those of its text: that would be a fault of this package."""
    if n_marks != n_images:
        raise ValueError(f"{n_marks} places for images, but {n_images} images")
