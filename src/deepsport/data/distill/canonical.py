"""A trajectory in the one form that is ever trained on, whatever spelling its teacher used."""

from deepsport.agent.grammar import Answer, ChooseFrames, Malformed, parse, write_answer, write_call
from deepsport.records import Episode, Turn, Usage


def canonical(episode: Episode) -> Episode:
    """The trajectory in the canonical grammar, without a clock and without tokens, which were the teacher's."""
    turns = tuple(turn.model_copy(update={"text": _canonical_text(turn)}) for turn in episode.turns)
    usage = Usage(prompt_tokens=episode.usage.prompt_tokens, reply_tokens=episode.usage.reply_tokens)
    return episode.model_copy(update={"turns": turns, "tokens": None, "usage": usage})


def _canonical_text(turn: Turn) -> str:
    """A text that differs from the canonical form in blanks only stays: to a small tokeniser " header" is a word of its own."""
    match parse(turn.text):
        case ChooseFrames(thought, start, end):
            text = write_call(thought, start, end)
        case Answer(thought, answer):
            text = write_answer(thought, answer)
        case Malformed():
            return turn.text
    return turn.text.strip() if _bare(text) == _bare(turn.text) else text


def _bare(text: str) -> str:
    return "".join(text.split())
