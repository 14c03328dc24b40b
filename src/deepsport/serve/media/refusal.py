"""Why a medium is not shown: an error for whoever sent the request.

Its message says what is wrong and what to do, and never a local path, an address that a name led to, or what stands elsewhere on
this server. Its code is one of a closed set, so that refusals can be counted.
"""

from enum import StrEnum

from deepsport.errors import DeepSportError


class Refusal(StrEnum):
    """What a medium was refused for."""

    SCHEME = "scheme"
    """Neither `data:` nor `file:` nor `http(s):`."""
    HOST = "host"
    """A host that is not on the list."""
    ADDRESS = "address"
    """A name that leads into a network that is not the public internet."""
    REDIRECT = "redirect"
    """Too many redirects, one to nowhere, or one that gives up encryption."""
    SIZE = "size"
    """More bytes or pixels than are taken."""
    TIME = "time"
    """Fetching took too long."""
    TYPE = "type"
    """Something that says itself that it is no video or picture of a kind that is read."""
    FOLDER = "folder"
    """A file that is not within the folders that are shown."""
    MALFORMED = "malformed"
    """An address or a picture that cannot be read."""
    UPSTREAM = "upstream"
    """The host was down, or said no."""
    TOO_MANY = "too_many"
    """More media than a request may bring."""


class MediaRefused(DeepSportError, ValueError):  # noqa: N818  (errors are called what they are)
    """A medium that this server does not show; the message is for the client."""

    def __init__(self, code: Refusal, message: str) -> None:
        """`message` goes out as it stands."""
        super().__init__(message)
        self.code = code
