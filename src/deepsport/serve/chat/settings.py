"""What `deepsport serve` can be told. A server's ceilings beat what a request asks for: it is told what it got instead.

The key is never in a setting, and so in no recipe, log or process list: only the variable that holds it is named.
"""

import os
from pathlib import PurePath

from pydantic import Field

from deepsport.config import Config
from deepsport.serve.media.settings import MediaPolicy


class Ceilings(Config):
    """The most that one request can have."""

    max_turns: int = Field(default=8, ge=1)
    """Replies of an episode, the answer included."""
    first_frames: int = Field(default=32, ge=1)
    """Sparse frames at the start, or pictures of a request that are looked at together."""
    frames_per_call: int = Field(default=16, ge=2)
    """Frames that one look brings."""
    max_reply_tokens: int = Field(default=4096, ge=1)
    """Tokens of one reply, thoughts included."""
    n: int = Field(default=4, ge=1)
    """Answers to one request."""
    text_chars: int = Field(default=20_000, ge=1)
    """Characters of all texts of a request together: the system's, those of earlier turns, the question and its options."""


class ServeConfig(Config):
    """An OpenAI-compatible server over the agent loop."""

    host: str = "127.0.0.1"
    """Address to listen at; any but a loopback one needs a key."""
    port: int = Field(default=8000, ge=0, le=65_535)
    """0 takes a free one."""
    names: tuple[str, ...] = ()
    """Further host names that the server may be called by, such as that of a proxy before it."""
    key_env: str = "DEEPSPORT_API_KEY"
    """The environment variable that holds the key which requests must carry; if it is unset or empty, none is asked for."""
    model: str = ""
    """The name that the model is shown and asked for by; empty: the policy's own."""
    concurrency: int = Field(default=8, ge=1)
    """Requests whose episodes run at once. Each has a decoding process of its own, of some 100 MB."""
    queue: int = Field(default=32, ge=0)
    """Requests that may wait for their turn; one more is answered with 429 and the seconds after which to try again."""
    wait_s: float = Field(default=60.0, gt=0)
    """Longest time before an episode begins: for the request to come in, and then for its turn (after that: 503)."""
    episode_s: float = Field(default=300.0, gt=0)
    """Longest time for the episodes of one request (after that: 504)."""
    grace_s: float = Field(default=30.0, ge=0)
    """After SIGTERM, what runs has so long to come to its end."""
    beat_s: float = Field(default=10.0, gt=0)
    """A stream that has nothing to tell sends a comment this often, so that nobody in between takes it for dead."""
    max_body_bytes: int = Field(default=64 * 2**20, ge=1024)
    """Largest request. A video inside it, as base64, takes a third more than its file."""
    ceilings: Ceilings = Ceilings()
    media: MediaPolicy = MediaPolicy()

    @property
    def key(self) -> str | None:
        """What requests must carry; None: nothing."""
        return os.environ.get(self.key_env, "").strip() or None if self.key_env else None

    def shown_name(self, policy: str) -> str:
        """What the model is called outside: never a path of this machine."""
        return self.model or PurePath(policy).name
