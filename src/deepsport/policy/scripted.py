"""A policy that says what it is told to say: for tests, docs and dry runs.

It is a fake only in what it thinks. Conversations are independent, nothing is random, and no token is counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deepsport.errors import PolicyError
from deepsport.policy.base import Message, Reply, Sampling, Session
from deepsport.records import TokenRecord

Script = Sequence[str] | Callable[[list[Message]], str]
"""Replies in order, or a function of every message of the conversation so far."""


@dataclass(frozen=True, slots=True)
class Scripted:
    """A policy whose every conversation follows the same script."""

    replies: Script
    name: str = "scripted"

    def session(self, sampling: Sampling) -> Session:
        """Opens a conversation at the first line of the script; how replies are drawn does not matter here."""
        return _Conversation(self.replies)


@dataclass(slots=True)
class _Conversation:
    script: Script
    seen: list[Message] = field(default_factory=list[Message])
    n_replies: int = 0

    async def reply(self, messages: Sequence[Message]) -> Reply:
        """Says the next line. Raises PolicyError when the script has run out."""
        self.seen.extend(messages)
        text = self.script(list(self.seen)) if callable(self.script) else self._next_line(self.script)
        self.n_replies += 1
        return Reply(text=text)

    def _next_line(self, lines: Sequence[str]) -> str:
        if self.n_replies >= len(lines):
            raise PolicyError(f"the script ends after {len(lines)} replies, and one more was asked for. Add a line to it.")
        return lines[self.n_replies]

    def tokens(self) -> TokenRecord | None:
        """None: a script has no tokens."""
        return None
