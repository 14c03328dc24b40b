"""A server under mixed good and bad requests for a while: every request must be answered as it should, and memory must stay flat.

The server is a process of its own, with nano. Several clients at once send videos, pictures, streams, and what must be refused:
torn JSON, wrong keys, bodies that are too large, broken videos, hosts and schemes that are not allowed. Others hang up while they
send or wait. Memory is that of the server and its decoders, each shared page counted once; the slope is fitted after the first
fifth of the time. Exit code 1 if a request was lost or not answered as it should be, if the server died, or if memory grows by
more than 1 % a minute.

    python benchmarks/soak.py [--minutes 10] [--clients 10]
"""

import argparse
import asyncio
import base64
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import PIL.Image

from deepsport.arena.generate import make_set
from deepsport.versions import versions

KEY = "soak-key-of-this-run"
N_CLIPS = 24
MAX_BODY_BYTES = 2**20
MOST_GROWTH = 0.01
"""Share of the memory that it may grow by in a minute."""
PATIENCE_S = 120.0

SERVER = """
import sys
from pathlib import Path
from deepsport.actor import local_actor
from deepsport.serve.chat.serving import serve_chat
from deepsport.serve.chat.settings import ServeConfig
from deepsport.serve.media.settings import MediaPolicy
config = ServeConfig(
    port=0, concurrency=4, queue=6, wait_s=60, max_body_bytes=int(sys.argv[2]), media=MediaPolicy(folders=(sys.argv[1],))
)
serve_chat(config, local_actor("nano"), on_ready=lambda url: print(url, flush=True))
"""

Json = dict[str, Any]


@dataclass(slots=True)
class Tally:
    """What happened so far."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """By kind of request and what came of it."""
    wrong: list[str] = field(default_factory=list[str])
    """Requests that were lost or answered otherwise than they should be."""
    n_answered: int = 0
    n_asked: int = 0

    def note(self, kind: str, outcome: str, *, right: bool) -> None:
        """One request is over."""
        self.outcomes[kind, outcome] += 1
        if not right and len(self.wrong) < 20:
            self.wrong.append(f"{kind}: {outcome}")


@dataclass(frozen=True, slots=True)
class Client:
    """What all clients share."""

    url: str
    folder: Path
    http: httpx2.AsyncClient
    tally: Tally
    chance: random.Random

    @property
    def clip(self) -> Path:
        """Any of the clips."""
        return self.folder / "clips" / self.chance.choice(sorted(os.listdir(self.folder / "clips")))


def uri(content: bytes, kind: str = "video/mp4") -> str:
    """As a client sends it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def video(url: str) -> Json:
    """A part of a message."""
    return {"type": "video_url", "video_url": {"url": url}}


def body(*parts: Json, **rest: Any) -> Json:
    """A request about media."""
    content = [*parts, {"type": "text", "text": "How was the goal scored?"}]
    return {"model": "nano", "messages": [{"role": "user", "content": content}], "max_tokens": 200, **rest}


def sent_clip(client: Client) -> Json:
    """A clip inside the request."""
    return video(uri(client.clip.read_bytes()))


def named_clip(client: Client) -> Json:
    """A clip of the allowed folder."""
    return video(client.clip.as_uri())


def pictures(client: Client) -> list[Json]:
    """Three pictures that nobody has sent before."""
    made: list[Json] = []
    for _ in range(3):
        stream = io.BytesIO()
        noise = np.random.default_rng(client.chance.randrange(2**32)).integers(0, 256, (63, 112, 3), dtype=np.uint8)
        PIL.Image.fromarray(noise).save(stream, "PNG")
        made.append({"type": "image_url", "image_url": {"url": uri(stream.getvalue(), "image/png")}})
    return made


def broken_clip(client: Client) -> Json:
    """A clip with its end torn off, or with bytes turned over."""
    content = bytearray(client.clip.read_bytes())
    if client.chance.random() < 0.5:
        return video(uri(bytes(content[: len(content) // 2])))
    for _ in range(200):
        content[client.chance.randrange(len(content))] ^= 0xFF
    return video(uri(bytes(content)))


Make = Callable[[Client], Json | bytes]
ANSWERED: dict[str, tuple[Make, tuple[int, ...]]] = {
    "video": (lambda c: body(sent_clip(c)), (200,)),
    "file": (lambda c: body(named_clip(c)), (200,)),
    "pictures": (lambda c: body(*pictures(c)), (200,)),
    "two answers": (lambda c: body(named_clip(c), n=2, temperature=1.0), (200,)),
    "broken video": (lambda c: body(broken_clip(c)), (200, 400)),
    "no video": (lambda c: body(video(uri(c.chance.randbytes(2000)))), (400,)),
    "torn JSON": (lambda c: json.dumps(body(named_clip(c))).encode()[:-20], (400,)),
    "unknown field": (lambda c: body(named_clip(c), tempreture=1), (400,)),
    "unknown model": (lambda c: {**body(named_clip(c)), "model": "other"}, (404,)),
    "oversize": (lambda c: body(video(uri(bytes(MAX_BODY_BYTES)))), (413,)),
    "refused host": (lambda c: body(video("https://videos.example.org/a.mp4")), (400,)),
    "refused scheme": (lambda c: body(video("gopher://127.0.0.1/")), (400,)),
    "refused file": (lambda c: body(video("file:///etc/passwd")), (400,)),
}


async def answered(client: Client, kind: str) -> None:
    """A request that must be answered, if need be by a refusal."""
    make, expected = ANSWERED[kind]
    made = make(client)
    sent: Json = {"content": made} if isinstance(made, bytes) else {"json": made}
    response = await client.http.post(f"{client.url}/chat/completions", **sent)
    well_formed = "choices" in response.json() if response.status_code == 200 else "error" in response.json()
    right = well_formed and response.status_code in (*expected, 429)
    client.tally.note(kind, str(response.status_code), right=right)


async def wrong_key(client: Client) -> None:
    """Must be told so."""
    response = await client.http.post(f"{client.url}/chat/completions", json={}, headers={"authorization": "Bearer no"})
    client.tally.note("wrong key", str(response.status_code), right=response.status_code == 401)


async def streamed(client: Client) -> None:
    """Must end with [DONE]."""
    request = body(sent_clip(client), stream=True)
    async with client.http.stream("POST", f"{client.url}/chat/completions", json=request) as response:
        text = (await response.aread()).decode()
    whole = text.endswith("data: [DONE]\n\n") if response.status_code == 200 else response.status_code == 429
    client.tally.note("stream", str(response.status_code), right=whole)


async def cut_off(client: Client) -> None:
    """Leaves a stream after its first event: nobody is there for an answer."""
    request = body(sent_clip(client), stream=True)
    async with client.http.stream("POST", f"{client.url}/chat/completions", json=request) as response:
        async for _ in response.aiter_raw():
            break
    client.tally.note("stream cut off", str(response.status_code), right=response.status_code in (200, 429))


async def hung_up(client: Client) -> None:
    """Leaves while it sends, or while it waits."""
    host, port = client.url.removeprefix("http://").removesuffix("/v1").rsplit(":", 1)
    content = json.dumps(body(sent_clip(client))).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n"
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{head}content-length: {len(content)}\r\n\r\n".encode())
    writer.write(content[: len(content) // client.chance.choice((1, 2))])
    await writer.drain()
    await asyncio.sleep(client.chance.random() * 0.3)
    writer.close()
    client.tally.note("hung up", "left", right=True)


async def healthy(client: Client) -> None:
    """Must be quick, whatever else goes on."""
    started = time.monotonic()
    response = await client.http.get(client.url.removesuffix("/v1") + "/health")
    quick = time.monotonic() - started < 2.0
    client.tally.note("health", str(response.status_code) if quick else "slow", right=quick and response.status_code == 200)


OTHERS: dict[str, Callable[[Client], Awaitable[None]]] = {
    "wrong key": wrong_key,
    "stream": streamed,
    "stream cut off": cut_off,
    "hung up": hung_up,
    "health": healthy,
}


async def one(client: Client, kind: str) -> None:
    """One request of a kind; one that fails to be answered is counted as lost."""
    client.tally.n_asked += 1
    try:
        await (OTHERS[kind](client) if kind in OTHERS else answered(client, kind))
    except (httpx2.HTTPError, OSError, ValueError) as error:
        client.tally.note(kind, f"lost ({type(error).__name__})", right=False)
    else:
        client.tally.n_answered += 1


async def keep_asking(client: Client, until: float) -> None:
    """One client after another: good requests half of the time."""
    good, bad = ["video", "file", "pictures", "two answers", "stream"], [*ANSWERED, *OTHERS]
    while time.monotonic() < until:
        await one(client, client.chance.choice(good if client.chance.random() < 0.5 else bad))


def memory_mb(*pids: int) -> float:
    """Of processes, a page that several share counted once."""
    total = 0.0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        total += next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)
    return total


def children(pid: int) -> list[int]:
    """Of all its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:  # a thread that has just ended
            continue
    return found


Sample = tuple[float, float, float]
"""Minutes since the start, MB of the server, MB of its decoders."""


async def watch(pid: int, started: float, samples: list[Sample]) -> None:
    """Notes the memory every two seconds."""
    while True:
        samples.append(((time.monotonic() - started) / 60, memory_mb(pid), memory_mb(*children(pid))))
        await asyncio.sleep(2)


async def soak(url: str, pid: int, folder: Path, minutes: float, n_clients: int) -> tuple[Tally, list[Sample]]:
    """All clients, for so long."""
    tally, samples, started = Tally(), list[Sample](), time.monotonic()
    headers = {"authorization": f"Bearer {KEY}"}
    limits = httpx2.Limits(max_connections=4 * n_clients)
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE_S, limits=limits, trust_env=False) as http:
        clients = [Client(url, folder, http, tally, random.Random(seed)) for seed in range(n_clients)]
        watching = asyncio.create_task(watch(pid, started, samples))
        await asyncio.gather(*(keep_asking(client, started + 60 * minutes) for client in clients))
        watching.cancel()
    return tally, samples


def slope(samples: list[Sample]) -> tuple[float, float]:
    """Memory after the first fifth: its mean in MB, and its growth in MB a minute."""
    later = np.array(samples[len(samples) // 5 :])
    total = later[:, 1] + later[:, 2]
    growth = np.polyfit(later[:, 0], total, 1)[0] if len(later) > 2 else 0.0
    return float(total.mean()), float(growth)


def fifths(samples: list[Sample]) -> list[list[float]]:
    """Medians of memory in each fifth of the time: server, decoders."""
    return [np.median(part[:, 1:], axis=0).round(1).tolist() for part in np.array_split(np.array(samples), 5) if len(part)]


def told(tally: Tally, samples: list[Sample], exit_code: int, minutes: float) -> bool:
    """Prints what happened; whether it is as it must be."""
    mean_mb, growth_mb = slope(samples)
    print("MB by fifths of the time, server and decoders: " + ", ".join(f"{a:.0f} + {b:.0f}" for a, b in fifths(samples)))
    print(f"\n{'request':<18}{'outcome':<24}{'n':>8}")
    for (kind, outcome), n in sorted(tally.outcomes.items()):
        print(f"{kind:<18}{outcome:<24}{n:>8}")
    print(f"\n{tally.n_asked} requests in {minutes:g} minutes, {tally.n_asked - tally.n_answered} lost, {len(tally.wrong)} wrong")
    print(f"memory {mean_mb:.0f} MB, {growth_mb:+.2f} MB a minute; the server ended with {exit_code}")
    print("\n".join(tally.wrong))
    by_kind = {f"{kind} / {outcome}": n for (kind, outcome), n in sorted(tally.outcomes.items())}
    ours = {"requests": tally.n_asked, "lost": tally.n_asked - tally.n_answered, "wrong": len(tally.wrong), "outcomes": by_kind}
    memory = {"memory_mb": round(mean_mb, 1), "growth_mb_a_minute": round(growth_mb, 2), "fifths_mb": fifths(samples)}
    case = {"ours": {**ours, **memory, "exit_code": exit_code, "minutes": minutes}, "rivals": {}}
    print(json.dumps({"name": "soak", "cases": {"mixed": case}, "versions": versions()}))
    return not tally.wrong and exit_code == 0 and growth_mb <= MOST_GROWTH * mean_mb


def main() -> None:
    """Makes clips, starts the server, soaks it, ends it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--clients", type=int, default=10)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_set(folder / "arena", n_clips=N_CLIPS, seed=5)
        environment = {**os.environ, "DEEPSPORT_API_KEY": KEY, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", SERVER, str(folder / "arena"), str(MAX_BODY_BYTES)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            tally, samples = asyncio.run(soak(url, server.pid, folder / "arena", given.minutes, given.clients))
            server.send_signal(signal.SIGTERM)
            exit_code = server.wait(60)
    sys.exit(0 if told(tally, samples, exit_code, given.minutes) else 1)


if __name__ == "__main__":
    main()
