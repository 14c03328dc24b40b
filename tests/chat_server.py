"""The chat server in a thread of the test, on a real socket, and policies and clips by which mix-ups are seen.

Every clip shows its own number and the index of each frame as black and white squares. The policy `Reader` looks twice and
answers with the number that all its frames show: a frame of somebody else's clip, or another frame than the one named, is told.
"""

import asyncio
import base64
import io
import json
import signal
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import httpx2
import numpy as np
import PIL.Image
from openai import AsyncOpenAI, OpenAI

from deepsport.actor import Actor
from deepsport.agent.grammar import TOOL_NAME, write_answer, write_call
from deepsport.agent.prompt import PromptStyle
from deepsport.policy.base import Image, Message, Pixels, Policy, Reply, Sampling, Session
from deepsport.records import TokenRecord
from deepsport.serve.chat.serving import chat_server
from deepsport.serve.chat.settings import ServeConfig
from deepsport.serve.graceful_server import GracefulServer
from deepsport.serve.media.store import MediaStore

Json = dict[str, Any]
QUESTION = "Which clip is this?"
CELL = 8
N_BITS = 12
N_FRAMES = 24


def numbered(number: int, index: int) -> Pixels:
    """[48, 96, 3]: the number of the clip in the upper half, the index of the frame in the lower."""
    bits = [[255 * (value >> bit & 1) for bit in range(N_BITS)] for value in (number, index)]
    grey = np.repeat(np.repeat(np.array(bits, dtype=np.uint8), 24, axis=0), CELL, axis=1)
    return np.repeat(grey[..., None], 3, axis=2)


def number_and_index(pixels: Pixels) -> tuple[int, int]:
    """What a frame shows."""
    height, width = pixels.shape[:2]
    columns = [int((bit + 0.5) * width / N_BITS) for bit in range(N_BITS)]
    number, index = (
        sum((int(pixels[row, column, 0]) > 127) << bit for bit, column in enumerate(columns))
        for row in (height // 4, 3 * height // 4)
    )
    return number, index


def film(frames: Sequence[Pixels]) -> bytes:
    """An mp4 of frames of one size."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuv420p"
        video.codec_context.options = {"preset": "ultrafast", "threads": "1"}
        for pixels in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode(None))
    return stream.getvalue()


def clip(number: int, n_frames: int = N_FRAMES) -> bytes:
    """A film that shows its number, and the index of each frame."""
    return film([numbered(number, index) for index in range(n_frames)])


def picture(number: int, index: int = 0) -> bytes:
    """A PNG."""
    stream = io.BytesIO()
    PIL.Image.fromarray(numbered(number, index)).save(stream, "PNG")
    return stream.getvalue()


def data_uri(content: bytes, kind: str = "video/mp4") -> str:
    """As a client sends it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def video_part(url: str) -> Json:
    """A part of a message."""
    return {"type": "video_url", "video_url": {"url": url}}


def image_part(url: str) -> Json:
    """A part of a message."""
    return {"type": "image_url", "image_url": {"url": url}}


def asking(*parts: Json, text: str = QUESTION) -> list[Any]:
    """One message with a question about its media."""
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


def about_clip(number: int) -> list[Any]:
    """A question about a clip that comes with it."""
    return asking(video_part(data_uri(clip(number))))


@dataclass(slots=True)
class Reader:
    """Looks twice where it may, and says which clip all its frames are of."""

    name: str = "reader"
    pause_s: float = 0.0
    """Before each reply."""
    samplings: list[Sampling] = field(default_factory=list[Sampling])
    """Of every conversation so far."""
    said: list[str] = field(default_factory=list[str])
    """The texts of the openings."""

    def session(self, sampling: Sampling) -> Session:
        """Opens a conversation."""
        self.samplings.append(sampling)
        return _Reading(self)


@dataclass(slots=True)
class _Reading:
    reader: Reader
    seen: list[tuple[int, bool]] = field(default_factory=list[tuple[int, bool]])
    n_replies: int = 0

    async def reply(self, messages: Sequence[Message]) -> Reply:
        if self.reader.pause_s:
            await asyncio.sleep(self.reader.pause_s)
        said = "\n".join(part for message in messages for part in message.parts if isinstance(part, str))
        for part in (part for message in messages for part in message.parts if isinstance(part, Image)):
            number, index = number_and_index(part.pixels)
            self.seen.append((number, index == part.frame.index))
        self.n_replies += 1
        if self.n_replies == 1:
            self.reader.said.append(said)
        if self.n_replies == 1 and TOOL_NAME in said:
            return Reply(text=write_call("once more", 5, 15), prompt_tokens=100, reply_tokens=10)
        return Reply(text=write_answer("all frames agree", self._verdict()), prompt_tokens=200, reply_tokens=5)

    def _verdict(self) -> str:
        numbers = sorted({number for number, _ in self.seen})
        in_place = all(right for _, right in self.seen)
        return f"clip {numbers[0]}" if len(numbers) == 1 and in_place else f"mixed up: {numbers}, in place: {in_place}"

    def tokens(self) -> TokenRecord | None:
        return None


@dataclass(slots=True)
class Endless:
    """Thinks for ever, a step at a time, as a model does that says token after token."""

    name: str = "endless"
    n_steps: int = 0
    n_stopped: int = 0
    begun: threading.Event = field(default_factory=threading.Event)

    def session(self, sampling: Sampling) -> Session:
        """Opens a conversation."""
        return _Endless(self)


@dataclass(slots=True)
class _Endless:
    policy: Endless

    async def reply(self, messages: Sequence[Message]) -> Reply:
        self.policy.begun.set()
        try:
            while True:
                self.policy.n_steps += 1
                await asyncio.sleep(0.005)
        finally:
            self.policy.n_stopped += 1

    def tokens(self) -> TokenRecord | None:
        return None


@dataclass(slots=True)
class Failing:
    """Raises what it is told to, at every reply."""

    error: BaseException
    name: str = "failing"

    def session(self, sampling: Sampling) -> Session:
        """Opens a conversation."""
        return _Failing(self.error)


@dataclass(slots=True)
class _Failing:
    error: BaseException

    async def reply(self, messages: Sequence[Message]) -> Reply:
        raise self.error

    def tokens(self) -> TokenRecord | None:
        return None


@dataclass(slots=True)
class Running:
    """A server under way."""

    server: GracefulServer
    url: str
    thread: threading.Thread
    ended: bool = False

    @property
    def root(self) -> str:
        """The address without `/v1`."""
        return self.url.removesuffix("/v1")

    def client(self, key: str = "any", **options: Any) -> OpenAI:
        """The official client, which asks once unless told otherwise."""
        return OpenAI(base_url=self.url, api_key=key, **{"max_retries": 0, "timeout": 60, **options})

    def async_client(self, **options: Any) -> AsyncOpenAI:
        """Its twin."""
        return AsyncOpenAI(base_url=self.url, api_key="any", **{"max_retries": 0, "timeout": 60, **options})

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """A plain request."""
        return httpx2.get(self.root + path, headers=headers, trust_env=False)

    def post(self, body: Any, **headers: str) -> httpx2.Response:
        """A chat request, JSON or raw bytes."""
        sent: Json = {"content": body} if isinstance(body, bytes) else {"json": body}
        return httpx2.post(f"{self.url}/chat/completions", headers=headers, timeout=60, trust_env=False, **sent)

    def metric(self, name: str) -> float:
        """The value of a line of /metrics, 0 if it is not there."""
        lines = [line.rsplit(" ", 1) for line in self.get("/metrics").text.splitlines()]
        return next((float(value) for key, value in lines if key == name), 0.0)

    def end(self) -> None:
        """The first signal."""
        if not self.ended:
            self.ended = True
            self.server.handle_exit(signal.SIGTERM, None)


@contextmanager
def running(policy: Policy, *, arena_only: bool = False, **settings: Any) -> Generator[Running]:
    """A server with the policy, on a free port, for the length of a block."""
    ready, url = threading.Event(), list[str]()

    def on_ready(address: str) -> None:
        url.append(address)
        ready.set()

    config = ServeConfig.model_validate({"port": 0, "grace_s": 5.0, **settings})
    with MediaStore(config.media) as store:
        server = chat_server(config, Actor(policy, PromptStyle.FULL, arena_only), store, on_ready=on_ready)
        thread = threading.Thread(target=server.serve_until_told, daemon=True)
        thread.start()
        assert ready.wait(20), "the server did not come up"
        started = Running(server, url[0], thread)
        try:
            yield started
        finally:
            started.end()
            thread.join(20)
            assert not thread.is_alive(), "the server did not end"


def chat_head(n_bytes: int) -> bytes:
    """The head of a chat request whose body has so many bytes."""
    return f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {n_bytes}\r\n\r\n".encode()


def connect(url: str, sent: bytes = b"") -> socket.socket:
    """A connection to a server, on which this has been sent."""
    connection = socket.create_connection(("127.0.0.1", httpx2.URL(url).port or 80), timeout=10)
    connection.sendall(sent)
    return connection


def hold(url: str, **body: Any) -> socket.socket:
    """A connection with a whole chat request on it, about a clip unless told otherwise; nobody reads the answer."""
    raw = json.dumps({"messages": about_clip(1), **body}).encode()
    return connect(url, chat_head(len(raw)) + raw)


def eventually(holds: Callable[[], bool], within_s: float = 10.0) -> bool:
    """Whether something comes to hold."""
    import time

    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return holds()


def write_clip(path: Path, number: int) -> Path:
    """A clip in a file."""
    path.write_bytes(clip(number))
    return path
