"""The process that decodes files nobody vouches for.

libav has been killed by damaged files before; here it takes this process along and not the caller. The process limits itself
before it opens anything: address space, no core dump, no file written, and an alarm that ends it should a request outlive its
caller.
Requests and replies are JSON and raw pixels, never pickles: the parent must not trust what comes back.
"""

import json
import resource
import signal
import sys
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import TypedDict, cast

from deepsport.errors import BadVideo
from deepsport.video.cache import DecoderCache
from deepsport.video.container import Stamp
from deepsport.video.pixels import Pixels

KEPT_OPEN = 4
"""Decoders kept by the worker: few, as their pictures count against the memory limit."""

MIB = 2**20


class Request(TypedDict):
    """What the parent asks for."""

    do: str
    """`info`, `frames` or `times`."""
    path: str
    stamp: tuple[int, int, int]
    indices: list[int]


def main(descriptor: int, memory_limit_mb: int, time_limit_s: int) -> None:
    """Serves requests on a pipe until the parent closes it."""
    limit_resources(memory_limit_mb)
    cache = DecoderCache(KEPT_OPEN)
    with Connection(descriptor) as connection:
        while (request := receive(connection)) is not None:
            signal.alarm(time_limit_s + 5)
            serve(connection, cache, request)
            signal.alarm(0)


def limit_resources(memory_limit_mb: int) -> None:
    """Caps the address space at what the interpreter holds now plus `memory_limit_mb`."""
    with open("/proc/self/statm") as statm:
        held = int(statm.read().split()[0]) * resource.getpagesize()
    cap = held + memory_limit_mb * MIB
    resource.setrlimit(resource.RLIMIT_AS, (cap, cap))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def receive(connection: Connection) -> Request | None:
    """The next request; None once the parent is gone."""
    try:
        return cast(Request, json.loads(connection.recv_bytes()))
    except EOFError:
        return None


def serve(connection: Connection, cache: DecoderCache, request: Request) -> None:
    """Answers one request: a JSON header, then the pixels of each frame. A bad file empties the cache: nothing damaged stays."""
    pictures: list[Pixels] = []
    try:
        header, pictures = answer(cache, request)
    except (BadVideo, MemoryError) as fault:
        header = {"error": str(fault) or f"{request['path']}: decoding needs more memory than is allowed."}
        cache.close()
    connection.send_bytes(json.dumps(header).encode())
    for picture in pictures:
        connection.send_bytes(picture.data.cast("B"))


def answer(cache: DecoderCache, request: Request) -> tuple[dict[str, object], list[Pixels]]:
    """The header of the reply and the pictures that follow it. Raises BadVideo."""
    path, stamp = request["path"], Stamp(*request["stamp"])
    if request["do"] == "info":
        facts = asdict(cache.info(path, stamp))
        return {"info": facts | {"fps": [facts["fps"].numerator, facts["fps"].denominator]}}, []
    if request["do"] == "times":
        return {"times": cache.times(path, stamp, request["indices"])}, []
    pictures = cache.frames(path, stamp, request["indices"])
    return {"shapes": [picture.shape[:2] for picture in pictures]}, pictures


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
