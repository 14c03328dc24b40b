"""Episodes made by hand, without video or policy: 100 frames at 25 fps, sparse frames at 0, 14, ..., 99."""

from collections.abc import Sequence

from deepsport.agent.grammar import write_answer, write_call
from deepsport.records import Choice, Dimension, Episode, Frame, Gold, Question, StopReason, ToolCall, Turn, Window
from deepsport.video.sample import uniform, window

FPS = 25
N_FRAMES = 100
KIND = Choice(options=("header", "volley"), answer="volley")


def frame(index: int, video: str = "a.mp4") -> Frame:
    """A reference to one frame."""
    return Frame(video=video, index=index, time_s=index / FPS)


def look(start: int, end: int, video: str = "a.mp4", thought: str = "the score changes here") -> Turn:
    """A turn whose call brings frames."""
    frames = tuple(frame(index, video) for index in window(start, end, 8))
    span = Window(start_s=start / FPS, end_s=end / FPS)
    call = ToolCall(start_index=start, end_index=end, window=span)
    return Turn(text=write_call(thought, start, end), thought=thought, call=call, frames=frames)


def refused(start: int, end: int) -> Turn:
    """A turn whose call is refused."""
    return Turn(text=write_call("", start, end), call=ToolCall(start_index=start, end_index=end), note="Refused.")


def malformed(text: str = "header!") -> Turn:
    """A turn outside the grammar."""
    return Turn(text=text, note="the reply does not start with <think>")


def question(
    name: str = "q",
    *,
    video: str = "a.mp4",
    gold: Gold | None = KIND,
    event: tuple[int, int] | None = (30, 34),
    sport: str | None = "soccer",
    dimension: Dimension | None = Dimension.RECOGNITION,
    easy: bool = False,
) -> Question:
    """A question about an event between two sparse frames."""
    span = None if event is None else Window(start_s=event[0] / FPS, end_s=event[1] / FPS)
    text = "How was the goal scored?"
    return Question(id=name, video=video, text=text, gold=gold, window=span, sport=sport, dimension=dimension, easy=easy)


def episode(
    answer: str | None = None, turns: Sequence[Turn] = (), asked: Question | None = None, stop: StopReason = StopReason.ANSWERED
) -> Episode:
    """An episode that ends in an answer, if one is given."""
    asked = asked or question()
    last = () if answer is None else (Turn(text=write_answer("so", answer), thought="so", answer=answer),)
    first = tuple(frame(index, asked.video) for index in uniform(N_FRAMES, 8))
    return Episode(
        id=f"{asked.id}/0", question=asked, policy="made", first_frames=first, turns=(*turns, *last), answer=answer, stop=stop
    )
