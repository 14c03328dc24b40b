"""kill -9 at 20 random points of one benchmark run: nothing finished is lost or doubled, and no figure changes."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepsport.arena.generate import make_set
from deepsport.bench.measure import measure
from deepsport.bench.report import SystemReport
from deepsport.bench.score import scores
from deepsport.records import Episode, Question
from deepsport.run import Run

N_KILLS = 20

CHILD = '''
import asyncio, sys
from pathlib import Path
from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.rollout import Limits
from deepsport.bench.evaluate import evaluate
from deepsport.policy.base import Reply, Sampling
from deepsport.records import Question
from deepsport.run import Run
from deepsport.video.source import FrameSource

class Dice:
    """Answers at random from the seed of the question, after a look at every third; slow enough to be killed."""
    name = "dice"
    def __init__(self, seed=0): self.seed, self.turn = seed, 0
    def session(self, sampling): return Dice(sampling.seed)
    def tokens(self): return None
    async def reply(self, messages):
        await asyncio.sleep(0.02)
        self.turn += 1
        look = self.turn == 1 and self.seed % 3 == 0
        return Reply(text=write_call("", 20, 30) if look else write_answer("", "ABCD"[self.seed % 4]))

folder, target = map(Path, sys.argv[1:])
questions = [Question.model_validate_json(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
questions = [q.model_copy(update={"video": str(folder / q.video)}) for q in questions]
with Run.open(target, None) as run:
    asyncio.run(evaluate(questions, Dice(), FrameSource(), run, "episodes.jsonl", limits=Limits(), sampling=Sampling(),
                         concurrency=2, on_episode=lambda episode: print(episode.id, flush=True)))
'''


def start(arena: Path, target: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(arena), str(target)], stdout=subprocess.PIPE, text=True)


def kill_after(child: subprocess.Popen[str], n_episodes: int, delay_s: float) -> bool:
    """Whether the kill came before the child was through."""
    assert child.stdout is not None
    for _ in range(n_episodes):
        child.stdout.readline()
    time.sleep(delay_s)
    child.kill()
    return child.wait() == -signal.SIGKILL


def result(target: Path) -> tuple[list[str], SystemReport]:
    """Ids on record, and the figures, which hold no clock."""
    with Run.open(target, None) as run:
        episodes = run.read("episodes.jsonl", Episode)
    ids = [episode.question.id for episode in episodes]
    return ids, measure(scores(sorted(episodes, key=lambda episode: episode.question.id)))


@pytest.mark.slow
def test_a_run_killed_20_times_ends_as_one_that_was_left_in_peace(tmp_path: Path):
    arena, dice = tmp_path / "arena", random.Random(0)
    questions: list[Question] = make_set(arena, n_clips=36, seed=3, sports=("soccer",))
    kills = [
        kill_after(start(arena, tmp_path / "killed"), dice.choice((1, 1, 2, 3)), dice.uniform(0, 0.03)) for _ in range(N_KILLS)
    ]
    assert start(arena, tmp_path / "killed").wait() == 0
    assert start(arena, tmp_path / "quiet").wait() == 0
    (ids, killed), (_, quiet) = result(tmp_path / "killed"), result(tmp_path / "quiet")
    assert kills == [True] * N_KILLS
    assert sorted(ids) == sorted(question.id for question in questions)
    assert killed == quiet
