"""The gated reward as verl's reward function, for episodes that verl's own tool agent played.

    reward.custom_reward_function.path=pkg://deepsport.verl.reward

verl hands over the decoded response: the policy's replies with the tool's results between them. They are taken apart at the turns
of the chat template, and as many replies must come out as verl counted, so that a policy which writes such turns into its own
reply gains nothing. What the tool brought is read from its own notes, never from the text. Our agent loop computes the same
reward by itself, and verl then asks nobody.
"""

import re
from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import ValidationError

from deepsport.agent.grammar import Answer, ChooseFrames, parse
from deepsport.errors import BadConfig
from deepsport.records import Episode, FreeText, Question, StopReason, Turn
from deepsport.reward.gated import GatedReward
from deepsport.verl.trajectory import parts

LOOKS = "frame_tool"
"""Where the frame tool notes its calls, among the fields of the episode."""

_RESULT = re.compile(r"\n(?:user|tool)\n.*?\nassistant\n", re.DOTALL)
_OF_VERL = {"reward_router_address", "reward_model_tokenizer"}
"""Settings that verl's reward manager adds for judges behind its own servers."""


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, object] | None = None,
    **constants: object,
) -> dict[str, float | str]:
    """The score and its parts; `constants` are those of `GatedReward` (`reward.custom_reward_function.reward_kwargs`).

    Raises BadConfig for a constant that there is not."""
    extra = extra_info or {}
    question = _question(extra, data_source, ground_truth)
    looks = [Turn.model_validate(look) for look in cast(Sequence[object], extra.get(LOOKS) or ())]
    episode = heard(question, solution_str, looks, n_replies=_n_replies(extra))
    return parts(_reward(constants).score(episode), episode)


def heard(question: Question, response: str, looks: Sequence[Turn], *, n_replies: int | None) -> Episode:
    """The episode that a decoded response tells of; `looks` are the calls that the tool carried out or refused."""
    texts = [text.strip() for text in _RESULT.split(response)]
    turns = [_turn(text, look) for text, look in zip(texts, [*looks, *[None] * len(texts)], strict=False)]
    stop, answer = _end(turns, n_replies)
    return Episode(id=question.id, question=question, policy="verl", turns=tuple(turns), stop=stop, answer=answer)


def _turn(text: str, look: Turn | None) -> Turn:
    match parse(text):
        case Answer(thought, answer):
            return Turn(text=text, thought=thought, answer=answer)
        case ChooseFrames(thought):
            return (look or Turn(text="")).model_copy(update={"text": text, "thought": thought})
        case _:
            return Turn(text=text)


def _end(turns: Sequence[Turn], n_replies: int | None) -> tuple[StopReason, str | None]:
    """How the episode ended: in an answer, after nothing but calls, each for another window."""
    windows = [(turn.call.start_index, turn.call.end_index) for turn in turns if turn.call]
    ill_formed = any(not isinstance(parse(turn.text), ChooseFrames) for turn in turns[:-1])
    if ill_formed or len(set(windows)) < len(windows) or n_replies not in (None, len(turns)):
        return StopReason.FORMAT_ERROR, None
    match parse(turns[-1].text):
        case Answer(_, answer):
            return StopReason.ANSWERED, answer
        case ChooseFrames():
            return StopReason.MAX_TURNS, None
        case _:
            return StopReason.FORMAT_ERROR, None


def _question(extra: Mapping[str, object], data_source: str, ground_truth: str) -> Question:
    """As it was exported; of rows that others wrote, the reference alone."""
    written = extra.get("question")
    if isinstance(written, str):
        return Question.model_validate_json(written)
    return Question(id=data_source, video="", text="", gold=FreeText(answer=str(ground_truth)))


def _n_replies(extra: Mapping[str, object]) -> int | None:
    """verl counts the prompt, the replies and the results."""
    n_turns = extra.get("num_turns")
    return None if n_turns is None else int(cast(int, n_turns)) // 2


def _reward(constants: Mapping[str, object]) -> GatedReward:
    try:
        return GatedReward.model_validate({name: value for name, value in constants.items() if name not in _OF_VERL})
    except ValidationError as error:
        raise BadConfig(f"reward_kwargs: {error}") from error
