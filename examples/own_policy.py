"""A policy of your own: anything with a name that opens conversations, and conversations that reply.

This one looks at the middle of the video, then answers by how much the picture has changed there. It is measured like any model.

python examples/own_policy.py clips/questions.jsonl
"""

import re
import sys
from collections.abc import Sequence

import numpy as np

import deepsport as ds
from deepsport.agent.grammar import write_answer, write_call


class Restless:
    """Answers with the first option if the frames it asked for differ much, else with the last."""

    name = "restless"

    def session(self, sampling: ds.Sampling) -> ds.Session:
        """Opens a conversation: one question about one video."""
        return Conversation()


class Conversation:
    """Is handed only what is new since its last reply."""

    def __init__(self) -> None:
        self.options: list[str] = []

    async def reply(self, messages: Sequence[ds.Message]) -> ds.Reply:
        """First a call of the frame tool, then the answer."""
        parts = [part for message in messages for part in message.parts]
        images = [part for part in parts if isinstance(part, ds.Image)]
        if not self.options:
            asked = re.findall(r"Options: (.*)\.", "".join(part for part in parts if isinstance(part, str)))
            self.options = asked[-1].split(", ") if asked else ["yes", "no"]
            last = images[-1].frame.index
            return ds.Reply(text=write_call("The middle.", last // 3, 2 * last // 3))
        first, *_, last = (image.pixels.astype(np.float32) for image in images)
        answer = self.options[0] if np.abs(first - last).mean() > 10 else self.options[-1]
        return ds.Reply(text=write_answer("So much moves.", answer))

    def tokens(self) -> None:
        """It has none: it cannot be trained."""
        return


result = ds.evaluate(sys.argv[1], model=Restless())
figures = result.report.systems["restless"]
print(f"score {figures.score:.1f} of 100; a guess would score {figures.chance:.1f}")
print(f"{figures.frames_per_question:.0f} frames per question; {figures.valid_action_rate:.0%} of the turns were valid")
