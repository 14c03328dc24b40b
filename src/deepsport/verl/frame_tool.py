"""The frame tool as a tool of verl, and a parser of our calls, for those who use verl's own `tool_agent`.

verl creates and releases a tool around each single call, so what must be known from call to call (which windows were asked for)
is kept with the episode, in `agent_data.extra_fields`; the reward reads it there. verl puts the images of a result before its
text: their indices and times are told in one line, in their order.
"""
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUntypedBaseClass=false, reportUntypedClassDecorator=false
# pyright: reportUntypedFunctionDecorator=false, reportUnknownParameterType=false
# (verl lives in an environment of its own)

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast
from uuid import uuid4

import PIL.Image
from verl.experimental.agent_loop.tool_parser import FunctionCall, ToolParser
from verl.tools.base_tool import BaseTool
from verl.tools.schemas import OpenAIFunctionToolSchema, ToolResponse
from verl.utils.rollout_trace import rollout_trace_op

from deepsport.agent.grammar import TOOL_NAME, ChooseFrames, Malformed, parse
from deepsport.agent.tool import Refused, choose_frames
from deepsport.errors import BadVideo
from deepsport.policy.openai.wire import CHOOSE_FRAMES
from deepsport.records import Frame, ToolCall, Turn, Window
from deepsport.verl.reward import LOOKS
from deepsport.verl.row import footage, video_place
from deepsport.verl.worker import frame_source
from deepsport.video.source import Shown

logger = logging.getLogger(__name__)

Result = tuple[ToolResponse, float, dict[str, object]]


class FrameTool(BaseTool):
    """`choose_frames`, with `videos` (the folder of the footage), `frames_per_call` and `trusted` in its config."""

    def __init__(self, config: dict[str, object], tool_schema: OpenAIFunctionToolSchema | None = None) -> None:
        """Opens nothing yet: verl makes tools in its driver too. Raises BadConfig."""
        super().__init__(config, tool_schema or OpenAIFunctionToolSchema.model_validate(CHOOSE_FRAMES))
        self._videos: Path = footage(str(config["videos"]))
        self._k = int(cast(int, config.get("frames_per_call", 8)))
        self._trusted = bool(config.get("trusted", True))
        self._video_of: dict[str, str] = {}
        """By instance: one call under way."""

    async def create(self, instance_id: str | None = None, **kwargs: object) -> tuple[str, ToolResponse]:
        """Takes the video from the row's `create_kwargs`."""
        instance_id = instance_id or uuid4().hex
        given = cast(Mapping[str, object], kwargs.get("create_kwargs") or {})
        self._video_of[instance_id] = str(given.get("video", ""))
        return instance_id, ToolResponse()

    @rollout_trace_op
    async def execute(self, instance_id: str, parameters: dict[str, object], **kwargs: object) -> Result:
        """Frames of the window that was asked for, or the reason why there are none, for the policy to read."""
        looks = _looks_of(kwargs.get("agent_data"))
        asked = _read(parameters)
        if isinstance(asked, Malformed):
            return ToolResponse(text=f"Refused: {asked.reason}."), 0.0, {}
        call = ToolCall(start_index=asked.start_index, end_index=asked.end_index)
        is_new = all((look["call"]["start_index"], look["call"]["end_index"]) != _window(call) for look in looks)
        brought = await asyncio.to_thread(self._bring, self._video_of[instance_id], call) if is_new else _REPEATED
        turn, response = _answer(brought, call)
        looks.append(turn.model_dump(mode="json"))
        return response, 0.0, {"frames": len(turn.frames)}

    async def release(self, instance_id: str, **kwargs: object) -> None:
        """Forgets the call."""
        self._video_of.pop(instance_id, None)

    def _bring(self, video: str, call: ToolCall) -> list[tuple[Frame, Shown]] | Refused:
        """Runs in a thread: decoding takes CPU time."""
        path = str(video_place(video, self._videos))
        source = frame_source(trusted=self._trusted)
        try:
            indices = choose_frames(*_window(call), n_frames=source.info(path).n_frames, k=self._k)
            if isinstance(indices, Refused):
                return indices
            return [(Frame(video=video, index=each.index, time_s=each.time_s), each) for each in source.look(path, indices)]
        except BadVideo as error:
            logger.warning("%s", error)  # paths and decoders are not the policy's business
            return Refused("The video cannot be read.")


_REPEATED = Refused("Refused: this window was asked for before.")


def _looks_of(agent_data: object) -> list[dict[str, dict[str, int]]]:
    """The notes of an episode; outside of one, notes that nobody keeps."""
    fields = cast(dict[str, object], getattr(agent_data, "extra_fields", {}))
    return cast(list[dict[str, dict[str, int]]], fields.setdefault(LOOKS, []))


def _read(parameters: Mapping[str, object]) -> ChooseFrames | Malformed:
    """The arguments under the rules of the grammar, which says what is wrong with them."""
    read = parse(f"<think></think><tool_call>{json.dumps({'name': TOOL_NAME, 'arguments': parameters})}</tool_call>")
    return read if isinstance(read, ChooseFrames | Malformed) else Malformed("this is no call")


def _window(call: ToolCall) -> tuple[int, int]:
    return call.start_index, call.end_index


def _answer(brought: Sequence[tuple[Frame, Shown]] | Refused, call: ToolCall) -> tuple[Turn, ToolResponse]:
    """What is noted, and what the policy is given."""
    if isinstance(brought, Refused):
        return Turn(text="", call=call, note=brought.reason), ToolResponse(text=brought.reason)
    frames = tuple(frame for frame, _ in brought)
    window = Window(start_s=frames[0].time_s, end_s=frames[-1].time_s)
    named = ", ".join(f"frame {frame.index} ({frame.time_s:.2f}s)" for frame in frames)
    pictures = [PIL.Image.fromarray(shown.pixels) for _, shown in brought]
    turn = Turn(text="", call=call.model_copy(update={"window": window}), frames=frames)
    return turn, ToolResponse(text=f"The images are, in order: {named}.", image=pictures)


@ToolParser.register("deepsport")
class GrammarParser(ToolParser):
    """Calls as our prompts teach them: `rollout.multi_turn.format=deepsport`. Loaded with the tool."""

    async def extract_tool_calls(self, responses_ids: list[int], tools: object = None) -> tuple[str, list[FunctionCall]]:
        """The reply, and the call in it if it is one under the grammar."""
        text = self.tokenizer.decode(responses_ids, skip_special_tokens=True)
        action = parse(text)
        if not isinstance(action, ChooseFrames):
            return text, []
        arguments = json.dumps({"frame_range": [action.start_index, action.end_index]})
        return text, [FunctionCall(name=TOOL_NAME, arguments=arguments)]
