"""A web address taken apart once, strictly, and compared with the list of hosts.

What two parsers may read in two ways is refused: control characters, backslashes, user names, names with a dot at the end,
numbers that some resolvers take for an address, letters beyond ASCII (a look-alike is another name; its ASCII form begins with
`xn--`). The request is then made of the parts, never of the text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from deepsport.serve.media.addresses import as_address
from deepsport.serve.media.refusal import MediaRefused, Refusal

PORTS = {"http": 80, "https": 443}
"""By scheme; these two need not be written in the list."""

MAX_CHARACTERS = 8192

_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_RULE = re.compile(r"(?P<below>\*\.)?(?P<host>\[[0-9a-f:.]+\]|[^\[\]:*/@\s]+)(:(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAddress:
    """The parts of an http(s) address."""

    scheme: str
    host: str
    """Lower case; an IPv6 address without its brackets."""
    port: int
    target: str
    """Path and query, as they are sent."""

    @property
    def authority(self) -> str:
        """As a Host header wants it."""
        return _authority(self.host, self.port, self.scheme)

    def at(self, address: str) -> str:
        """The same address with the host's place taken by one that it was resolved to."""
        return f"{self.scheme}://{_authority(address, self.port, self.scheme)}{self.target}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRule:
    """An entry of the list."""

    host: str
    below: bool
    """Every name below `host` is meant, and `host` itself is not."""
    port: int | None
    """None: 80 and 443."""

    def meets(self, address: WebAddress) -> bool:
        """Whether the entry lets media be fetched from there."""
        if address.port not in (PORTS.values() if self.port is None else (self.port,)):
            return False
        return address.host.endswith(f".{self.host}") if self.below else address.host == self.host


def read_rule(text: str) -> HostRule:
    """An entry as it is written: `videos.example.org`, `*.example.org`, with or without `:port`. Raises ValueError."""
    parts = _RULE.fullmatch(text.lower())
    host = _plain(parts["host"].strip("[]")) if parts else ""
    if parts is None or not _is_host(host) or (parts["below"] and as_address(host)):
        raise ValueError(f"{text!r} is no host: write videos.example.org or *.example.org, where needed with :port (ASCII only)")
    return HostRule(host=host, below=bool(parts["below"]), port=int(parts["port"]) if parts["port"] else None)


def read_web_address(url: str) -> WebAddress:
    """Takes an address apart. Raises MediaRefused."""
    if len(url) > MAX_CHARACTERS:
        raise _malformed(f"it is longer than {MAX_CHARACTERS} characters")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise _malformed("it holds spaces, control characters, backslashes or letters beyond ASCII; percent-encode them")
    try:
        parts = urlsplit(url)
        host, port = _plain(parts.hostname or ""), parts.port
    except ValueError:
        raise _malformed("its host or port cannot be read") from None
    if "@" in parts.netloc:
        raise _malformed("it holds a user name; leave out everything before the @")
    if parts.scheme not in PORTS or not _is_host(host) or port == 0:
        raise _malformed("its host is neither a plain name nor an address in its plain form")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebAddress(scheme=parts.scheme, host=host, port=port or PORTS[parts.scheme], target=target)


def require_listed(address: WebAddress, rules: Iterable[HostRule]) -> None:
    """Raises MediaRefused for a host that is on no list."""
    if not any(rule.meets(address) for rule in rules):
        advice = "Send the file as a data: URI, or ask whoever runs the server to allow its host."
        raise MediaRefused(Refusal.HOST, f"this server does not fetch from that host or port. {advice}")


def _plain(host: str) -> str:
    """An address in its shortest spelling; a name as it is."""
    return str(as_address(host) or host)


def _is_host(host: str) -> bool:
    if as_address(host):
        return "%" not in host
    return bool(_NAME.fullmatch(host)) and len(host) <= 253 and not _NUMBER.fullmatch(host.rpartition(".")[2])


def _authority(host: str, port: int, scheme: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port == PORTS[scheme] else f"{shown}:{port}"


def _malformed(why: str) -> MediaRefused:
    return MediaRefused(Refusal.MALFORMED, f"the address cannot be used: {why}.")
