"""Runs to look at: benchmark and training runs about arena clips that really play, and the viewer's server over them.

Five ways of answering take turns, so that every outcome, stop reason and class of failure occurs. Which question is answered how
depends on its place alone.
"""

import math
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from deepsport.agent.grammar import write_answer, write_call
from deepsport.arena.generate import load_truths, make_set
from deepsport.bench.result import Result
from deepsport.bench.tasks import load_questions
from deepsport.records import Choice, Dimension, Episode, Frame, FreeText, Question, StopReason, ToolCall, Turn, Window
from deepsport.reward.gated import GatedReward
from deepsport.reward.judge import Verdict, scored
from deepsport.serve.viewer.catalogue import Catalogue
from deepsport.serve.viewer.serving import Listening
from deepsport.train.samples import Sample
from deepsport.video.sample import uniform, window
from made_runs import made_run

WAYS = ("found", "misread", "missed", "malformed", "guessed")
"""Right after a look; wrong though seen; wrong after a look beside the event; no answer; right or wrong without a look."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A question and how long its clip is."""

    question: Question
    n_frames: int
    fps: int


def arena_clips(folder: Path, n_clips: int = 4) -> list[Clip]:
    """The questions of an arena set rendered into `folder`, with paths that can be opened."""
    make_set(folder, n_clips=n_clips, seed=7)
    truths = {str(folder / video): truth for video, truth in load_truths(folder).items()}
    questions = load_questions(folder / "questions.jsonl")
    return [Clip(each, truths[each.video].n_frames, truths[each.video].fps) for each in questions]


def played(clip: Clip, way: str, *, shift: int = 0) -> Episode:
    """The clip's question, answered in one of `WAYS`; another `shift`, other frames."""
    looks = {"found": _event(clip), "misread": _event(clip), "missed": _beside(clip)}
    turns = [_look(clip, *looks[way], shift)] if way in looks else []
    is_right = way == "found" or (way == "guessed" and len(clip.question.id) % 2 == 0)
    answer = None if way == "malformed" else _answer(clip.question, right=is_right)
    if answer is None:
        turns.append(Turn(text="It was a goal!", note="the reply does not start with <think>"))
    else:
        turns.append(Turn(text=write_answer("That settles it.", answer), thought="That settles it.", answer=answer))
    return Episode(
        id=f"{clip.question.id}/{shift}",
        question=clip.question,
        policy="made",
        seed=shift,
        first_frames=tuple(_frame(clip, index) for index in uniform(clip.n_frames, 8)),
        turns=tuple(turns),
        answer=answer,
        stop=StopReason.FORMAT_ERROR if answer is None else StopReason.ANSWERED,
    )


def bench_run(folder: Path, clips: Sequence[Clip], *, start: int = 0, **config: Any) -> Result:
    """A benchmark run; the first question is answered in the way of that number, the next in the next way."""
    return made_run(folder, [played(clip, WAYS[(start + place) % 5]) for place, clip in enumerate(clips)], **config)


def with_text(clip: Clip, text: str) -> Clip:
    """The clip's question, asked and to be answered in other words: a free text that only a judge can score."""
    asked = clip.question.model_copy(
        update={"id": f"{clip.question.id}-text", "text": text, "gold": FreeText(answer=text), "dimension": Dimension.COMMENTARY}
    )
    return replace(clip, question=asked)


def judge_says(points: int, reason: str) -> Verdict:
    """A verdict of a model judge."""
    return scored(points, reason, "made-judge v1")


def training_run(folder: Path, clips: Sequence[Clip], *, n_steps: int = 30) -> Path:
    """A run of two stages with curves, the second one RL with a sampled group of four in every step."""
    (folder / "samples").mkdir(parents=True)
    (folder / "config.toml").write_text('seed = 3\n[rl]\nsteps = 30\nname = "demo"\n')
    (folder / "stages.json").write_text('{"sft": {"done": true, "seconds": 12.5}, "rl": {"seconds": 40.0}}')
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(n_steps):
            print(f'{{"stage": "sft", "step": {step}, "loss": {2 / (step + 1)}, "seconds": 1.0}}', file=file)
        for step in range(n_steps):
            reward = 0.5 + 0.3 * math.tanh(step / 10)
            print(f'{{"stage": "rl", "step": {step}, "reward": {reward}, "accuracy": {reward}, "tool_calls": 1.2}}', file=file)
    samples = [sample for step in range(n_steps) for sample in samples_of_step(clips[step % len(clips)], step)]
    write_lines(folder / "samples" / "rl.jsonl", samples)
    return folder


def samples_of_step(clip: Clip, step: int) -> list[Sample]:
    """A group of four."""
    group = [played(clip, way, shift=10 * step + place) for place, way in enumerate(WAYS[:4])]
    rewards = [GatedReward().score(each) for each in group]
    mean = sum(reward.total for reward in rewards) / len(rewards)
    return [Sample(step=step, episode=e, reward=r, advantage=r.total - mean) for e, r in zip(group, rewards, strict=True)]


def write_lines(path: Path, records: Iterable[Any]) -> Path:
    """A file of records, as a run writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{record.model_dump_json()}\n" for record in records))
    return path


def add_lines(path: Path, records: Iterable[Any]) -> None:
    """Further records at the end of a file, as a run that goes on writes them."""
    with path.open("a") as file:
        file.writelines(f"{record.model_dump_json()}\n" for record in records)


def unreal_clip() -> Clip:
    """A clip that nowhere is, and its question."""
    gold = Choice(options=("header", "volley", "free kick"), answer="volley")
    span = Window(start_s=1.2, end_s=1.36)
    asked = Question(id="q", video="gone.mp4", text="?", gold=gold, window=span, sport="soccer", dimension=Dimension.RECOGNITION)
    return Clip(asked, 100, 25)


def many(n: int) -> list[Episode]:
    """So many episodes of no real clip, no two alike."""
    clip = unreal_clip()
    asked = [
        replace(clip, question=clip.question.model_copy(update={"id": f"q{number}", "text": f"Which action is number {number}?"}))
        for number in range(n)
    ]
    return [played(each, WAYS[number % 5]) for number, each in enumerate(asked)]


@dataclass(frozen=True, slots=True)
class Visited:
    """A viewer that answers over real HTTP."""

    url: str
    catalogue: Catalogue
    client: httpx2.Client

    def get(self, path: str, **query: Any) -> Any:
        """What an address of the API says. Fails for anything but 200."""
        reply = self.client.get(path, params=query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def the_set(self, name: str = "") -> str:
        """Id of the set of that name, or of the first one."""
        sets = [each for run in self.get("/api/runs")["runs"] for each in run["sets"]]
        return next(each["id"] for each in sets if name in ("", each["name"]))

    def episodes(self, name: str = "", **query: Any) -> Any:
        """The list of a set."""
        return self.get(f"/api/sets/{self.the_set(name)}/episodes", **query)

    def put(self, path: str, body: Any, **headers: str) -> httpx2.Response:
        """As the viewer's own page puts something."""
        return self.client.put(path, json=body, headers={"X-DeepSport": "1", **headers})

    def delete(self, path: str) -> httpx2.Response:
        """As the viewer's own page takes something away."""
        return self.client.delete(path, headers={"X-DeepSport": "1"})

    def settled(self, timeout_s: float = 10.0) -> "Visited":
        """Waits until everything on disk has been read."""
        before = self.catalogue.rounds
        _until(lambda: self.catalogue.rounds >= before + 2 and self.catalogue.is_settled, timeout_s)
        return self


@contextmanager
def viewing(*paths: Path, labeller: str = "", key: str | None = None, **options: Any) -> Generator[Visited]:
    """The viewer over these folders, as soon as it has read what is there."""
    catalogue = Catalogue.open(paths, labeller=labeller, every_s=0.05, **options)
    with catalogue, Listening(catalogue, key=key) as listening:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with httpx2.Client(base_url=listening.url, headers=headers, timeout=20) as client:
            yield Visited(listening.url, catalogue, client).settled()


def _until(so: Any, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not so():
        assert time.monotonic() < deadline, f"still not so after {timeout_s} s; threads: {threading.enumerate()}"
        time.sleep(0.01)


def _event(clip: Clip) -> tuple[int, int]:
    span = clip.question.window
    if span is None:
        return 0, min(8, clip.n_frames - 1)
    first, last = round(span.start_s * clip.fps), round(span.end_s * clip.fps)
    return max(0, first), min(clip.n_frames - 1, max(first + 1, last))


def _beside(clip: Clip) -> tuple[int, int]:
    """The half of the clip that the event does not lie in."""
    half = clip.n_frames // 2
    return (0, 6) if _event(clip)[0] > half else (clip.n_frames - 7, clip.n_frames - 1)


def _look(clip: Clip, start: int, end: int, shift: int) -> Turn:
    thought = f"Something happens around frame {start + shift % 3}."
    span = Window(start_s=start / clip.fps, end_s=end / clip.fps)
    return Turn(
        text=write_call(thought, start, end),
        thought=thought,
        call=ToolCall(start_index=start, end_index=end, window=span),
        frames=tuple(_frame(clip, index) for index in window(start, end, 8)),
    )


def _frame(clip: Clip, index: int) -> Frame:
    return Frame(video=clip.question.video, index=index, time_s=index / clip.fps)


def _answer(question: Question, *, right: bool) -> str:
    gold = question.gold
    if isinstance(gold, Choice):
        return gold.answer if right else next(option for option in gold.options if option != gold.answer)
    if gold is None or isinstance(gold, FreeText):
        return gold.answer if gold and right else "Nobody can tell from here."
    return f"{gold.answer if right else gold.answer + 40 + gold.tolerance * 3:g}"
