"""What can go wrong at an endpoint, whether to ask again, and how long to wait first.

A failed attempt is a value, not an exception: the error is raised once, at the end, outside every handler, so that no request
object (which holds the key) hangs on to it as its cause. Asked again: 408, 409, 425, 429, 5xx, timeouts, broken connections
and unreadable replies. Everything else would fail the same way the next time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from deepsport.policy.openai.wire import Json

_TRANSIENT = frozenset({408, 409, 425, 429})
_OVERFLOW = re.compile(
    r"context[ _]?(length|size|window)|maximum model length|max_model_len|too long to fit|"
    r"(prompt|input) is too long|input token count",
    re.IGNORECASE,
)
_UNSUPPORTED = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|not permitted|extra_forbidden|unexpected", re.IGNORECASE
)
_FIXES: Mapping[int, str] = {
    400: "Check that the model takes images and that the server's limit of images per request is high enough.",
    401: "Set OPENAI_API_KEY to a key that this endpoint accepts.",
    403: "Use a key that may use this model.",
    404: "Check the address (it usually ends in /v1) and the model's name (GET /v1/models lists them).",
    413: "Send smaller frames: lower max_side_px.",
    429: "Lower max_concurrent, or wait.",
}
OPTIONAL_FIELDS = ("max_tokens", "parallel_tool_calls", "seed")
"""Fields that some endpoints refuse and that we can do without or say differently."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt brought no reply."""

    what: str
    fix: str
    """What the reader can do about it."""
    transient: bool
    """Asking again may help."""
    overflow: bool = False
    """The conversation is too long for the model."""
    retry_after_s: float | None = None
    refused_field: str | None = None
    """One of OPTIONAL_FIELDS that the endpoint does not know."""
    status: int = 0
    """Of the response; 0 where there was none."""
    tokens: tuple[int, int] = (0, 0)
    """Of prompt and reply, where the endpoint counted them all the same: they are on the bill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait between attempts: doubling, with jitter, or as long as the server asks for."""

    first_s: float = 0.5
    longest_s: float = 30.0
    retry_after_cap_s: float = 120.0
    """A server that asks for more is asked again after this much."""
    budget_s: float = 300.0
    """Seconds waited for one reply, all waits together; no attempt is made after that."""

    def wait_s(self, failure: Failure, attempt: int, chance: float) -> float:
        """Seconds to wait after attempt number `attempt` (from 0), given a chance in [0, 1) that keeps clients apart."""
        if failure.retry_after_s is not None:
            return min(failure.retry_after_s, self.retry_after_cap_s) + chance * self.first_s
        return min(self.longest_s, self.first_s * 2 ** min(attempt, 32)) * (0.5 + 0.5 * chance)


def status_failure(status: int, body: object, headers: Mapping[str, str], now_s: float) -> Failure:
    """A response with an error status. `body` is its JSON (the `error` object if there is one) or its text."""
    text, code = _error_text(body)
    overflow = status in (400, 413, 422) and (code == "context_length_exceeded" or _OVERFLOW.search(text) is not None)
    if overflow:
        fix = "Use a longer context, fewer turns or smaller frames."
        return Failure(f"HTTP {status}: {shown(text)}", fix, transient=False, overflow=True, status=status)
    broke = code == "insufficient_quota"
    if 300 <= status < 400:
        target = shown(headers.get("location", "nowhere"))
        return Failure(f"HTTP {status}, a redirect to {target}", "Give that address if you trust it.", False, status=status)
    return Failure(
        what=f"HTTP {status}: {shown(text)}" if text else f"HTTP {status}",
        fix="Add credit to the account of this key." if broke else _FIXES.get(status, "Look into the server's log."),
        transient=not broke and (status in _TRANSIENT or status >= 500),
        retry_after_s=retry_after_s(headers, now_s),
        status=status,
        refused_field=_refused_field(text, code) if status in (400, 422) else None,
    )


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds that the server asks to wait, from `Retry-After` in seconds or as a date; None if it does not say so clearly."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_s)
    except (ValueError, OverflowError):
        return None


def shown(text: str, limit: int = 300) -> str:
    """A server's text fit for an error message: one line, printable, short."""
    line = "".join(char if char.isprintable() else " " for char in text[: 4 * limit])
    line = " ".join(line.split())
    return line if len(line) <= limit else line[:limit] + "..."


def _error_text(body: object) -> tuple[str, str]:
    """The message and the code of an error body, whatever its form."""
    if not isinstance(body, dict):
        return str(body or ""), ""
    fields: Json = {str(key): value for key, value in body.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    message = fields.get("message") or fields.get("detail") or fields.get("error") or fields
    return str(message), str(fields.get("code") or "")


def _refused_field(text: str, code: str) -> str | None:
    if not _UNSUPPORTED.search(f"{code} {text}"):
        return None
    return next((field for field in OPTIONAL_FIELDS if re.search(rf"\b{field}\b", text)), None)
