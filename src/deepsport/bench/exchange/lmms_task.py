"""What lmms-eval asks of a task, answered by this package: a question of ours is put, and scored, there as it is here.

The frames are the sparse ones of our own episodes, the prompt is the one without a tool, a reply is read by our grammar and
scored by `accuracy`. Answers that only a judge could score, and requests that lmms-eval lost, have no verdict and are in no mean.
It tells neither whether a reply was cut off nor what a server sent as reasoning beside the text; replies are read as they stand.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean

import PIL.Image

from deepsport.agent.grammar import Answer, parse
from deepsport.agent.prompt import PromptStyle, opening
from deepsport.agent.rollout import Limits
from deepsport.bench.score import cluster_of, reference_of
from deepsport.policy.base import Image, Message, Part
from deepsport.records import Frame, Question
from deepsport.reward.accuracy import accuracy
from deepsport.video.sample import uniform
from deepsport.video.source import FrameSource

Doc = Mapping[str, str]
"""A line of the task's questions: `id`, `video`, and the whole `question` as JSON."""

Content = dict[str, str | PIL.Image.Image]

LOST = "[LMMS_EVAL_REQUEST_FAILED"
"""How the answer begins that lmms-eval puts in the place of one it could not get."""


def messages(doc: Doc, folder: Path) -> list[dict[str, str | list[Content]]]:
    """The conversation for chat models: text and frames in our order, the rules as the system message."""
    return [{"role": message.role, "content": [_content(part) for part in message.parts]} for message in _opening(doc, folder)]


def visuals(doc: Doc, folder: Path) -> list[PIL.Image.Image]:
    """The frames alone, for models that take images first and one text."""
    return [PIL.Image.fromarray(part.pixels) for part in _parts(doc, folder) if isinstance(part, Image)]


def text(doc: Doc, folder: Path) -> str:
    """Rules, labels of the frames and question as one text, for such models."""
    return "\n".join("".join(part for part in message.parts if isinstance(part, str)) for message in _opening(doc, folder))


def target(doc: Doc) -> str:
    """The right answer, for the log of samples; empty if nobody knows it."""
    return reference_of(_question(doc).gold) or ""


def results(doc: Doc, replies: Sequence[str]) -> dict[str, int | dict[str, float | str]]:
    """The figures of one reply: its accuracy, with what is resampled as one, or that there is no verdict."""
    question = _question(doc)
    right = _accuracy(question, replies[0])
    if right is None:
        return {"unscored": 1}
    return {"accuracy": {"score": right, "cluster": cluster_of(question)}, "unscored": 0}


def mean_accuracy(scored: Sequence[Mapping[str, float]]) -> float:
    """Of the questions with a verdict."""
    return fmean(each["score"] for each in scored)


def n_unscored(unscored: Sequence[int]) -> int:
    """Questions without a verdict."""
    return sum(unscored)


def _accuracy(question: Question, reply: str) -> float | None:
    if question.gold is None or reply.startswith(LOST):
        return None
    action = parse(reply)
    return accuracy(question.gold, action.answer if isinstance(action, Answer) else None)


def _question(doc: Doc) -> Question:
    return Question.model_validate_json(doc["question"])


def _parts(doc: Doc, folder: Path) -> list[Part]:
    return [part for message in _opening(doc, folder) for part in message.parts]


def _opening(doc: Doc, folder: Path) -> list[Message]:
    """What our own episodes begin with when no tool is offered. Raises BadVideo."""
    question, source, limits = _question(doc), _source(), Limits()
    video = str(folder / question.video)
    info = source.info(video)
    shown = source.look(video, uniform(info.n_frames, limits.first_frames))
    return opening(
        question,
        info,
        [Image(Frame(video=question.video, index=each.index, time_s=each.time_s), each.pixels) for each in shown],
        style=PromptStyle.FULL,
        with_tool=False,
        frames_per_call=limits.frames_per_call,
        max_turns=1,
    )


def _content(part: Part) -> Content:
    if isinstance(part, Image):
        return {"type": "image", "url": PIL.Image.fromarray(part.pixels)}
    return {"type": "text", "text": part}


@cache
def _source() -> FrameSource:
    """One for the process: lmms-eval runs the task's module anew for every function that it takes from it."""
    return FrameSource()
