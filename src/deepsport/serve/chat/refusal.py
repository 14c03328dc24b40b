"""What a client is told when it gets no answer: a status, and the error object of the OpenAI API.

The message says what is wrong and what to do, and nothing of this machine: no path, no address, no stack. What only the operator
may know goes to the log, under the id of the request that the client is told too.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepsport.errors import DeepSportError

if TYPE_CHECKING:
    from starlette.responses import Response

Json = dict[str, object]

LONGEST_RETRY_S = 60.0
"""Clients wait no longer for an answer that may come sooner; the official one passes over what is longer."""


@dataclass(slots=True)
class Refused(DeepSportError, RuntimeError):  # noqa: N818 (what it is, not how it feels)
    """A request that gets no answer."""

    status: int
    kind: str
    """The `type` of the API: `invalid_request_error`, `rate_limit_error`, `server_error` ..."""
    message: str
    code: str | None = None
    param: str | None = None
    retry_after_s: float | None = None
    may_retry: bool | None = None
    """Whether asking again may help; None leaves it to the client. The official client asks again after any 5xx unless told."""

    def __str__(self) -> str:
        """The message."""
        return self.message

    def body(self) -> Json:
        """The error object."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    def response(self) -> "Response":
        """The whole HTTP response."""
        from starlette.responses import JSONResponse

        headers: dict[str, str] = {}
        if self.retry_after_s is not None:
            headers["retry-after"] = str(math.ceil(self.retry_after_s))
        if self.may_retry is not None:
            headers["x-should-retry"] = "true" if self.may_retry else "false"
        return JSONResponse(self.body(), self.status, headers)


class HungUp(DeepSportError, ConnectionError):  # noqa: N818
    """The client has gone: nobody waits for an answer."""


def bad_request(message: str, param: str | None = None, code: str | None = None) -> Refused:
    """A request that would fail the same way again."""
    return Refused(400, "invalid_request_error", message, code, param)


def unknown_model(name: str, known: str) -> Refused:
    """Another model than the one that is served."""
    message = f"there is no model {name[:80]!r} here; this server has {known!r}"
    return Refused(404, "invalid_request_error", message, "model_not_found", "model")


def too_busy(retry_after_s: float) -> Refused:
    """Every place in the queue is taken."""
    message = f"all places are taken. Try again in {math.ceil(retry_after_s)} s."
    return Refused(429, "rate_limit_error", message, "overloaded", retry_after_s=retry_after_s)


def waited_too_long(limit_s: float, retry_after_s: float) -> Refused:
    """Its turn did not come in time."""
    message = f"the request's turn did not come within {limit_s:g} s. Try again later."
    return Refused(503, "server_error", message, "queue_timeout", retry_after_s=min(LONGEST_RETRY_S, retry_after_s))


def ran_too_long(limit_s: float) -> Refused:
    """The answer did not come in time."""
    message = f"no answer within {limit_s:g} s. Ask for fewer turns, frames or tokens."
    return Refused(504, "server_error", message, "timeout", may_retry=False)


def came_too_slowly(limit_s: float) -> Refused:
    """The request itself did not come in time."""
    return Refused(408, "invalid_request_error", f"the request did not come in within {limit_s:g} s", "timeout", may_retry=False)


def shutting_down() -> Refused:
    """The server ends."""
    return Refused(503, "server_error", "this server is shutting down. Try again soon.", "shutting_down", retry_after_s=5)


def no_room(request_id: str) -> Refused:
    """The disk does not take the media."""
    message = f"this server cannot store the media now. Try again later; its log has the reason, under request {request_id}."
    return Refused(503, "server_error", message, "no_room", retry_after_s=LONGEST_RETRY_S)


def failed(request_id: str) -> Refused:
    """Something here broke; the log knows what."""
    message = f"the model could not answer. The server's log has the reason, under request {request_id}."
    return Refused(500, "server_error", message, "model_error", may_retry=False)
