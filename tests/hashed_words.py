"""Replies that follow from the hash of a request, and how many distinct requests a server has had."""

import hashlib
import json
import time

from model_server import Act, ModelServer, Request, Say


def says(request: Request) -> Act:
    """The agent looks in two cases of three, and answers A or B; the judge likes what its hash likes. Every reply is a function
    of its request. Slow enough to be killed."""
    time.sleep(0.01)
    chance = int(place_of(request)[:8], 16)
    if request.body["model"] == "judge":
        return Say(text=json.dumps({"reason": "as the hash has it", "points": chance % 11}))
    if not any(message["role"] == "assistant" for message in request.body["messages"]) and chance % 3:
        look = {"action": "choose_frames", "frame_range": [chance % 40, chance % 40 + 12]}
        return Say(text=f"<think>Look.</think><tool_call>{json.dumps(look)}</tool_call>")
    return Say(text=f"<think>So.</think><answer>{'AB'[chance % 2]}</answer>")


def place_of(request: Request) -> str:
    return hashlib.sha256(json.dumps(request.body).encode()).hexdigest()


def n_distinct(server: ModelServer) -> int:
    return len({place_of(request) for request in list(server.requests)})
