"""A stand-in for a vLLM server: the same requests, answered with the same statuses and words, by a tiny policy of this process.

It really samples, with weights that it really reads from the folders it is told, and reads prompt and images by itself from what
it was sent, so that whatever is wrong in a request shows in its answer. It dies, lags, lies and forgets when a test says so.
Requests that come together are sampled together.
"""

import asyncio
import base64
import io
import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import PIL.Image

from deepsport.errors import PolicyError
from deepsport.loop_thread import LoopThread
from deepsport.policy.base import Image, Sampling
from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.policy import LocalPolicy, _CachedSampler
from deepsport.policy.local.session import Prompt
from deepsport.policy.vllm.server import BASE
from deepsport.records import Frame, ImageSlot
from model_server import Act, Send, _perform

Json = dict[str, Any]
GUARDED = ("/v1", "/inference")
"""What vLLM asks a key for; whoever can reach it may do the rest."""
_LOADING = threading.Lock()
"""transformers loads one model at a time."""


@dataclass(frozen=True)
class Asked:
    """A reply that was asked for."""

    model: str
    uuids: list[str]
    """Of all images."""
    n_whole: int
    """Images that came with their pixels."""
    opening: tuple[int, ...]
    authorization: str


class TokenServer:
    """Listens while its `with` block runs. `address` stays the same when it dies and is revived."""

    def __init__(self, model: Path, *, api_key: str | None = None) -> None:
        self.model = model
        self.api_key = api_key
        self.act: Callable[[int], Act | None] = lambda number: None
        """What to do instead of answering the reply of this number, from 0; None: answer."""
        self.slow_s = 0.0
        """Before each reply."""
        self.stale = False
        """Says that it took new weights, and keeps the old."""
        self.misreads = False
        """Drops a token of each prompt."""
        self.distort: Callable[[Json], object] = lambda answer: None
        """Changes an answer before it is sent."""
        self.asked: list[Asked] = []
        self.control: list[str] = []
        """Paths of all other requests, health apart."""
        self.most_loaded = 0
        self.n_replies = 0
        self.missing_folders: list[str] = []
        """Names of loaded weights whose folder was gone when they were used or unloaded."""
        self._lock = threading.Lock()
        self._adapters = threading.Lock()
        self._resumed = threading.Condition()
        self._under_way = 0
        self._dead = threading.Event()
        self._http: _Listening | None = None
        self._port = 0
        self._empty()

    def _empty(self) -> None:
        """As after a start."""
        self.loaded: dict[str, tuple[str, LocalPolicy]] = {}
        self.label = "default"
        self.paused = False
        self._images: dict[str, Image] = {}
        self._base = _load_policy(str(self.model))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._loop = LoopThread("token server")
        self._loop.__enter__()
        self._listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.die()
        self._loop.__exit__(kind, error, trace)

    def die(self) -> None:
        """As by SIGKILL: the port is closed and every connection broken."""
        http, self._http = self._http, None
        if http:
            self._dead.set()
            http.shutdown()
            http.server_close()
            http.break_connections()

    def revive(self) -> None:
        """Started anew at the same address: without images, without the weights that it was sent."""
        self._empty()
        self._listen()

    def forget_images(self) -> None:
        """As when its cache is full."""
        self._images.clear()

    def _listen(self) -> None:
        self._dead = threading.Event()
        self._http = _Listening(("127.0.0.1", self._port), self._handler())
        self._port = int(self._http.server_address[1])
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def _get(self, path: str) -> Send:
        match path:
            case "/health":
                return Send()
            case "/v1/models":
                return _say({"object": "list", "data": [{"id": name, "object": "model"} for name in (BASE, *self.loaded)]})
            case "/weight_info":
                return _say({"weight_version": self.label})
            case "/is_paused":
                return _say({"is_paused": self.paused})
            case _:
                return _refuse(404, "Not Found")

    def _post(self, path: str, body: Json, authorization: str) -> Act:
        match path:
            case "/inference/v1/generate":
                return self._generate(body, authorization)
            case "/v1/load_lora_adapter":
                with self._adapters:
                    return self._load(body["lora_name"], body["lora_path"])
            case "/v1/unload_lora_adapter":
                with self._adapters:
                    return self._unload(body["lora_name"])
            case "/pause?mode=wait":
                return self._pause()
            case "/collective_rpc":
                return self._reload(body["kwargs"]["weights_path"]) if body["method"] == "reload_weights" else _refuse(500, "?")
            case "/update_weight_version":
                self.label = body["new_version"]
                return _say({"success": True})
            case "/resume":
                with self._resumed:
                    self.paused = False
                    self._resumed.notify_all()
                return _say({"status": "resumed"})
            case _:
                return _refuse(404, "Not Found")

    def _load(self, name: str, path: str) -> Send:
        if name in self.loaded:
            hint = "If you want to load the adapter in place, set 'load_inplace' to True."
            return _refuse(400, f"The lora adapter '{name}' has already been loaded. {hint}")
        if not Path(path, "adapter_config.json").is_file():
            return _refuse(404, f"Loading lora {name} failed: No adapter found for {path}")
        self.loaded[name] = (path, self._base if self.stale else _load_policy(path))
        self.most_loaded = max(self.most_loaded, len(self.loaded))
        return Send(body=f"Success: LoRA adapter '{name}' added successfully.".encode(), content_type="text/plain")

    def _unload(self, name: str) -> Send:
        if name not in self.loaded:
            return _refuse(404, f"The lora adapter '{name}' cannot be found.")
        self._require_folder(name)
        del self.loaded[name]
        return Send(body=b"Success")

    def _require_folder(self, name: str) -> None:
        if not Path(self.loaded[name][0]).is_dir():
            self.missing_folders.append(name)

    def _pause(self) -> Send:
        with self._resumed:
            self.paused = True
            while self._under_way:
                self._resumed.wait(1)
        self._images.clear()
        return _say({"status": "paused"})

    def _reload(self, path: str) -> Send:
        if not self.paused:
            return _refuse(500, "weights moved under a reply")
        try:
            self._base = self._base if self.stale else _load_policy(path)
        except (PolicyError, OSError) as error:
            return _refuse(500, f"reload_weights failed: {error}")
        return _say({"results": [None]})

    def _generate(self, body: Json, authorization: str) -> Act:
        with self._lock:
            parts = body.get("content_parts", [])
            uuids = [part["uuid"] for part in parts]
            n_whole = sum(part["url"] is not None for part in parts)
            self.asked.append(Asked(body["model"], uuids, n_whole, tuple(body["token_ids"]), authorization))
            act = self.act(len(self.asked) - 1)
        if act is not None:
            return act
        with self._resumed:
            while self.paused:
                self._resumed.wait(1)
            self._under_way += 1
        try:
            time.sleep(self.slow_s)
            answer = self._answer(body)
            self.n_replies += not isinstance(answer, Send)
            return answer if isinstance(answer, Send) else _say(answer)
        finally:
            with self._resumed:
                self._under_way -= 1
                self._resumed.notify_all()

    def _answer(self, body: Json) -> Json | Send:
        name = body["model"]
        if name != BASE and name not in self.loaded:
            return _refuse(404, f"The model `{name}` does not exist.")
        if name != BASE:
            self._require_folder(name)
        policy = self._base if name == BASE else self.loaded[name][1]
        images: list[Image] = []
        for part in body.get("content_parts", []):
            if part["url"] is not None:
                self._images[part["uuid"]] = _read(part["uuid"], part["url"])
            if part["uuid"] not in self._images:
                return _refuse(400, f"Cache miss for image at index {len(images)} but data is not provided.")
            images.append(self._images[part["uuid"]])
        ids, slots = _unfolded(policy, body["token_ids"][1:] if self.misreads else body["token_ids"], images)
        wanted = body["sampling_params"]
        if len(ids) + 1 > policy.context:
            return _refuse(400, f"The prompt (length {len(ids)}) exceeds the maximum model length of {policy.context}.")
        label = self.label
        sampler = _CachedSampler(policy, Sampling(temperature=wanted["temperature"], seed=len(self.asked)))
        said = self._loop.run(sampler.sample(Prompt(ids, slots, images, wanted["max_tokens"])))
        content = [{"token_id": token, "logprob": value} for token, value in zip(said.ids, said.logprobs, strict=True)]
        choice = {
            "index": 0,
            "token_ids": said.ids,
            "finish_reason": "length" if said.cut_off else "stop",
            "logprobs": {"content": content},
            "weight_versions": [{"version": label, "start": 0, "end": len(said.ids)}],
        }
        answer: Json = {"request_id": "r", "choices": [choice], "prompt_token_ids": ids}
        self.distort(answer)
        return answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._perform(lambda: server._get(self.path))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self._perform(lambda: server._post(self.path, body, self.headers.get("authorization", "")))

            def _perform(self, answer: Callable[[], Act]) -> None:
                if self.path not in ("/health", "/inference/v1/generate"):
                    server.control.append(self.path)
                key = self.headers.get("authorization")
                open_to_all = server.api_key is None or not self.path.startswith(GUARDED)
                act = answer() if open_to_all or key == f"Bearer {server.api_key}" else _say({"error": "Unauthorized"}, 401)
                _perform(self, act, server._dead)

            def log_message(self, *args: object) -> None:
                """Keeps the test's output quiet."""

        return Handler


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked has gone, or the server died meanwhile: nothing to print. Anything else is a fault of the test."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError | CancelledError | asyncio.CancelledError):
            super().handle_error(request, client_address)

    def break_connections(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _load_policy(folder: str) -> LocalPolicy:
    with _LOADING:
        return load_policy(folder, keep_adapter=True)


def _say(body: Json, status: int = 200) -> Send:
    return Send(status=status, body=json.dumps(body).encode())


def _refuse(status: int, message: str) -> Send:
    return _say({"error": {"message": message, "type": "some_error", "param": None, "code": status}}, status)


def _read(uuid: str, uri: str) -> Image:
    stream = io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))
    return Image(Frame(video=uuid, index=0, time_s=0.0), np.asarray(PIL.Image.open(stream).convert("RGB")))


def _unfolded(policy: LocalPolicy, folded: list[int], images: list[Image]) -> tuple[list[int], list[ImageSlot]]:
    """Every placeholder as many times as its image has embeddings, as the server's own preprocessor finds."""
    ids: list[int] = []
    slots: list[ImageSlot] = []
    for token in folded:
        if token != policy.chat.image_pad:
            ids.append(token)
            continue
        image = images[len(slots)]
        grid_hw = policy.preprocessor.grid(*image.pixels.shape[:2])
        n_tokens = grid_hw[0] * grid_hw[1] // policy.preprocessor.merge_size**2
        slots.append(ImageSlot(offset=len(ids), n_tokens=n_tokens, grid_hw=grid_hw, frame=image.frame))
        ids += [token] * n_tokens
    return ids, slots
