"""An episode whose video lies at another place than when it was played."""

from collections.abc import Sequence

from deepsport.records import Episode, Frame


def moved(episode: Episode, video: str) -> Episode:
    """The episode with this path of its video, in its question and in every frame."""
    if episode.question.video == video:
        return episode
    turns = tuple(turn.model_copy(update={"frames": _of(turn.frames, video)}) for turn in episode.turns)
    question = episode.question.model_copy(update={"video": video})
    return episode.model_copy(update={"question": question, "first_frames": _of(episode.first_frames, video), "turns": turns})


def _of(frames: Sequence[Frame], video: str) -> tuple[Frame, ...]:
    return tuple(frame.model_copy(update={"video": video}) for frame in frames)
