"""A chat-completions server that answers at once, and says the same to whoever asks the same question.

The hash of the question and the number of frames choose one of its options, so that two harnesses on the same questions must come
to the same score. Where the tool is offered, the first reply of a conversation is a look. Requests are searched, not parsed: the
server has a core to itself and must not be what is measured. Prints its port; ends when its standard input closes.

    python benchmarks/bench_harness_server.py
"""

import asyncio
import json
import re
import sys
import zlib

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
LOOK = '<think>Closer.</think><tool_call>{"action":"choose_frames","frame_range":[8,24]}</tool_call>'
ANSWER = "<think>The frames show it.</think><answer>%s</answer>"


class Connection(asyncio.Protocol):
    """One client, kept open."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._n_bytes = 0
        self._n_expected = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collects one request and answers it."""
        self._chunks.append(data)
        self._n_bytes += len(data)
        if not self._n_expected:
            start = b"".join(self._chunks)
            head, end, _ = start.partition(b"\r\n\r\n")
            length = LENGTH.search(head)
            if not end or not length:
                return
            self._n_expected = len(head) + len(end) + int(length[1])
        if self._n_bytes >= self._n_expected:
            request, self._chunks, self._n_bytes, self._n_expected = b"".join(self._chunks), [], 0, 0
            body = completion(request)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
            )


def completion(request: bytes) -> bytes:
    """The body of a reply."""
    first_turn = request.find(b'"assistant"') < 0
    text = LOOK if first_turn and b"choose_frames" in request[:4096] else ANSWER % chosen(request)
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": choices, "usage": usage}
    ).encode()


def chosen(request: bytes) -> str:
    """One of the options that the question names, or a number."""
    question = request[request.rindex(b"Question: ") :].partition(b'"')[0]
    chance = zlib.crc32(b"%s %d" % (question, request.count(b"data:image/")))
    _, _, listed = question.rpartition(b"Options: ")
    options = listed.rstrip(b".").replace(b"; ", b", ").split(b", ") if b"Options: " in question else [b"1", b"2", b"3"]
    return options[chance % len(options)].decode()


async def main() -> None:
    """Serves until standard input closes."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
