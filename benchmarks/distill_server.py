"""A chat-completions server that takes its time: every reply comes a fixed time after its request, however many there are.

It reads no request, so that it costs next to nothing: the hash of the body decides what it says. A first request of a
conversation is answered by a look, a later one by an answer. Prints its port, then one line of counts when its standard input
closes.

    python benchmarks/distill_server.py SECONDS
"""

import asyncio
import json
import sys
import time
import zlib

THINK, CALL = "<think>It must happen between these two frames.</think>", '{"action":"choose_frames","frame_range":[%d,%d]}'
LOOK = f"{THINK}<tool_call>{CALL}</tool_call>"
ANSWER = "<think>The frames %d to %d show it clearly.</think><answer>%s</answer>"


class Counts:
    """What has been served."""

    n = in_flight = most_in_flight = 0
    first_s = last_s = 0.0


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """One connection, kept open."""
    while head := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
        length = int(next(line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")))
        body = await reader.readexactly(length)
        now_s = time.monotonic()
        Counts.first_s = Counts.first_s or now_s
        Counts.n += 1
        Counts.in_flight += 1
        Counts.most_in_flight = max(Counts.most_in_flight, Counts.in_flight)
        await asyncio.sleep(delay_s)
        payload = json.dumps(reply(body)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(payload) + payload)
        await writer.drain()
        Counts.in_flight -= 1
        Counts.last_s = time.monotonic()


def reply(body: bytes) -> dict[str, object]:
    """Two looks, then an answer, as many as the roles in the body tell."""
    n_turns, chance = body.count(b'"role":"assistant"'), zlib.crc32(body)
    start = chance % 20 + 20 * n_turns
    text = LOOK % (start, start + 8 + chance % 5) if n_turns < 2 else ANSWER % (start, start + 8, "ABCD"[chance % 4])
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 1000 + 300 * n_turns, "completion_tokens": 40}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}


async def main(delay_s: float) -> None:
    """Serves until standard input closes."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer, delay_s)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, limit=2**26, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    served = {"n": Counts.n, "most_in_flight": Counts.most_in_flight, "seconds": Counts.last_s - Counts.first_s}
    print(json.dumps(served), flush=True)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
