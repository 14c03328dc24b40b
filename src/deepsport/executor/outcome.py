"""What comes back from another process: what was made there, or an error of ours with its class and its words.

An error that is not ours is a bug. It is no outcome: it crosses as a crash, with its traceback.
"""

from collections.abc import Awaitable, Callable
from socket import gethostname

from pydantic import JsonValue

from deepsport import errors
from deepsport.errors import DeepSportError, ExecutorError
from deepsport.records import Record


class Outcome(Record):
    """What one call made."""

    host: str
    made: JsonValue = None
    error: str = ""
    """The class of the error, empty if there was none."""
    detail: str = ""

    def result(self, where: str = "") -> JsonValue:
        """What was made. Raises the error that was raised there, with `where` and the host in its words."""
        if not self.error:
            return self.made
        kind = getattr(errors, self.error, ExecutorError)
        raise kind(f"{self.detail} ({where}, on host {self.host})" if where else self.detail)


def outcome_of(call: Callable[[], JsonValue]) -> str:
    """The outcome of a call, as JSON."""
    try:
        return Outcome(host=gethostname(), made=call()).model_dump_json()
    except DeepSportError as error:
        return _failed(error)


async def awaited_outcome(call: Callable[[], Awaitable[JsonValue]]) -> str:
    """The same for a call that waits."""
    try:
        return Outcome(host=gethostname(), made=await call()).model_dump_json()
    except DeepSportError as error:
        return _failed(error)


def _failed(error: DeepSportError) -> str:
    return Outcome(host=gethostname(), error=type(error).__name__, detail=str(error)).model_dump_json()
