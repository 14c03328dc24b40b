"""What one step of agentic GRPO costs: ours beside TRL's GRPOTrainer, in CPU seconds of one thread each, steps taking turns.

Both do the same work: the same weights, 8 questions x 8 episodes, 8 first frames and 8 by the tool, replies forced to the same
lengths, one optimiser step on all 64 episodes. TRL runs in an environment of its own (`make -C benchmarks trl-env`). Below it,
ours alone for groups of 1 to 32: seconds per episode beside the share of tokens and frames that are unique, which is the floor.
Usage: python benchmarks/rl_step.py [--model nano] [--steps 3]
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
from PIL import Image

from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits
from deepsport.arena.generate import make_set
from deepsport.bench.tasks import load_questions
from deepsport.policy.base import Message, Reply, Sampling, Session
from deepsport.policy.local.checkpoint import load_policy, origin_of
from deepsport.policy.local.engine import Engine
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Episode, Question, Reward, TokenRecord
from deepsport.train.batches import waited
from deepsport.train.grpo import GRPOConfig, Learner, rollouts
from deepsport.train.trainee import Trainee
from deepsport.train.tree import grow
from deepsport.train.watch import Group
from deepsport.video.sample import uniform, window
from deepsport.video.source import FrameSource

HERE = Path(__file__).parent
REPLY_TOKENS = 24
N_QUESTIONS, GROUP = 8, 8
LIMITS = Limits(style=PromptStyle.BRIEF)


class Forced:
    """A policy whose replies have a given length, the first taken for a call and the second for an answer, whatever it says."""

    def __init__(self, policy: LocalPolicy, windows: dict[str, tuple[int, int]]) -> None:
        self.name = policy.name
        self._policy = policy
        self._windows = windows
        policy.engine = Engine(policy.backbone, policy.features, end=-1)  # no token ends a reply

    def session(self, sampling: Sampling) -> "ForcedSession":
        return ForcedSession(self._policy.session(sampling), self._windows)


class ForcedSession:
    """One conversation of it."""

    def __init__(self, session: Session, windows: dict[str, tuple[int, int]]) -> None:
        self._session = session
        self._windows = windows
        self._n_replies = 0

    async def reply(self, messages: Sequence[Message]) -> Reply:
        said = await self._session.reply(messages)
        self._n_replies += 1
        record = self._session.tokens()
        assert record is not None
        assert sum(record.sampled) == REPLY_TOKENS * self._n_replies
        text = write_call("", *self._windows[record.images[0].frame.video]) if self._n_replies == 1 else write_answer("", "done")
        return Reply(text=text, prompt_tokens=said.prompt_tokens, reply_tokens=said.reply_tokens)

    def tokens(self) -> TokenRecord | None:
        return self._session.tokens()


class Ours:
    """Steps of our trainer on fixed questions."""

    def __init__(
        self, model: str, questions: Sequence[Question], windows: dict[str, tuple[int, int]], group: int, *, vision: bool
    ) -> None:
        torch.manual_seed(0)
        self._config = GRPOConfig(
            questions_per_step=len(questions), group_size=group, max_reply_tokens=REPLY_TOKENS, train_vision=vision
        )
        self._policy = load_policy(model)
        self._forced = Forced(self._policy, windows)
        self._source = FrameSource()
        self._questions = questions
        self._learner = Learner(Trainee(self._policy, self._source, self._config, n_steps=100), self._config)
        self._n_steps = 0

    def step(self) -> tuple[float, list[Episode]]:
        """CPU seconds of one step, and its episodes. No frame is known from the step before."""
        self._policy.features.forget()
        self._n_steps += 1
        start = time.process_time()
        episodes_PG = waited(rollouts(self._forced, self._questions, self._source, self._config, LIMITS, seed=self._n_steps))
        self._learner.step([scored(episodes) for episodes in episodes_PG], self._n_steps)
        return time.process_time() - start, [episode for episodes in episodes_PG for episode in episodes]


def scored(episodes: list[Episode]) -> Group:
    """Right and wrong by turns, so that no group is dropped."""
    parts = [Reward(total=n % 2, accuracy=n % 2, tool=0.0, format_penalty=0.0, well_formed=True) for n in range(len(episodes))]
    return Group(episodes, parts)


def gap(n_frames: int) -> tuple[int, int]:
    """The frames between two sparse ones."""
    first = uniform(n_frames, 8)
    return first[3], first[4]


class Theirs:
    """Steps of TRL's trainer, in a process of its own."""

    def __init__(self, python: Path, job: Path) -> None:
        command = [str(python), str(HERE / "rl_step_trl.py"), str(job)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.detail = self._ask({"warm": 1})["detail"]

    def step(self) -> float:
        """CPU seconds of one step."""
        return float(self._ask({"run": 1})["cpu_s"])

    def stop(self) -> None:
        self._process.communicate(json.dumps({"stop": 1}) + "\n", timeout=60)

    def _ask(self, command: dict[str, int]) -> dict:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("TRL's process has died: run rl_step_trl.py by hand to see why")
        return json.loads(answer)


def write_job(
    folder: Path, model: str, questions: Sequence[Question], windows: dict[str, tuple[int, int]], *, vision: bool
) -> Path:
    """The same questions for TRL: texts, and frames as PNG files."""
    asked: list[dict[str, object]] = []
    with FrameSource() as source:
        for question in questions:
            info = source.info(question.video)
            first, second = uniform(info.n_frames, 8), window(*windows[question.video], 8)
            paths = {index: folder / f"{Path(question.video).stem}-{index}.png" for index in (*first, *second)}
            for index, pixels in zip(paths, source.frames(question.video, list(paths)), strict=True):
                Image.fromarray(pixels).save(paths[index])
            sport = f"{question.sport.replace('_', ' ')}, " if question.sport else ""
            asked.append(
                {
                    "head": f"Video: {sport}{info.n_frames} frames, {info.duration_s:.2f} s.\n",
                    "text": f"Question: {question.text}\ntool: choose_frames",
                    "tool_text": f"Question: {question.text}",
                    "first_images": [str(paths[index]) for index in first],
                    "first_labels": [f"frame {index} ({index / 25:.2f}s):" for index in first],
                    "tool_images": [str(paths[index]) for index in second],
                    "tool_labels": [f"frame {index} ({index / 25:.2f}s):" for index in second],
                }
            )
    job = folder / f"job-{vision}.json"
    fixed = {"group_size": GROUP, "reply_tokens": [REPLY_TOKENS] * 2, "threads": 1, "learning_rate": 2e-4, "train_vision": vision}
    job.write_text(json.dumps({"checkpoint": str(origin_of(model)), "questions": asked, **fixed}))
    return job


def floor_of(episodes: Sequence[Episode]) -> tuple[float, float]:
    """Unique over all tokens, and unique over all frames, of a step."""
    records = [episode.tokens for episode in episodes if episode.tokens]
    frames = [(slot.frame.video, slot.frame.index) for record in records for slot in record.images]
    n_unique = grow(records, least_saving=1).n_tokens
    return n_unique / sum(len(record.ids) for record in records), len(set(frames)) / len(frames)


def compare(
    model: str, questions: Sequence[Question], windows: dict[str, tuple[int, int]], folder: Path, n_steps: int
) -> dict[str, object]:
    """Both cases, vision frozen and trained, against TRL."""
    cases: dict[str, object] = {}
    python = HERE.parent / ".venv-trl/bin/python"
    print(f"{'':<16}{'ours':>8}{'TRL':>8}{'TRL/ours':>10}{'unique tokens':>15}{'unique frames':>15}")
    for name, vision in (("vision frozen", False), ("vision trained", True)):
        ours = Ours(model, questions, windows, GROUP, vision=vision)
        _, episodes = ours.step()
        theirs = Theirs(python, write_job(folder, model, questions, windows, vision=vision)) if python.exists() else None
        pairs = [(ours.step()[0], theirs.step() if theirs else float("nan")) for _ in range(n_steps)]
        if theirs:
            theirs.stop()
            n_ours = {len(episode.tokens.ids) for episode in episodes if episode.tokens}
            print(f"  tokens per episode: ours {sorted(n_ours)}, TRL {theirs.detail.get('tokens_per_episode')}", file=sys.stderr)
        mine, other = (median(times) for times in zip(*pairs, strict=True))
        tokens, frames = floor_of(episodes)
        print(f"{name:<16}{mine:>8.2f}{other:>8.2f}{other / mine:>10.1f}{tokens:>15.2f}{frames:>15.2f}")
        cases[name] = {
            "ours": mine,
            "rivals": {"trl": other},
            "ratio_to_best_rival": mine / other,
            "ratio_to_floor": mine / other / tokens,
        }
    return cases


def by_group_size(
    model: str, questions: Sequence[Question], windows: dict[str, tuple[int, int]], n_steps: int
) -> dict[str, object]:
    """Ours alone: what an episode costs as its group grows."""
    cases: dict[str, object] = {}
    print(f"\n{'group':<8}{'s/episode':>10}{'of group 1':>12}{'unique tokens':>15}{'unique frames':>15}")
    alone = None
    for group in (1, 2, 4, 8, 16, 32):
        ours = Ours(model, questions, windows, group, vision=False)
        ours.step()
        steps = [ours.step() for _ in range(n_steps)]
        each = median(seconds for seconds, _ in steps) / (group * len(questions))
        alone = alone or each
        tokens, frames = floor_of(steps[-1][1])
        print(f"{group:<8}{each:>10.4f}{each / alone:>12.2f}{tokens:>15.2f}{frames:>15.2f}")
        cases[f"group {group}"] = {
            "ours": each,
            "rivals": {},
            "ratio_to_best_rival": None,
            "ratio_to_floor": each / alone / tokens,
        }
    return cases


def main() -> None:
    """Measures, prints two tables and one JSON line."""
    options = argparse.ArgumentParser()
    options.add_argument("--model", default="nano")
    options.add_argument("--steps", type=int, default=3)
    given = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        make_set(folder, n_clips=N_QUESTIONS, seed=0)
        questions = [q for q in load_questions(folder / "questions.jsonl") if q.id.endswith("-kind")]
        windows: dict[str, tuple[int, int]] = {}
        with FrameSource() as source:
            for question in questions:
                windows[question.video] = gap(source.info(question.video).n_frames)
        cases = compare(given.model, questions, windows, folder, given.steps)
        cases |= by_group_size(given.model, questions, windows, given.steps)
    versions = {"python": platform.python_version(), "torch": torch.__version__, "trl": "1.16.0"}
    print(json.dumps({"name": "one step of agentic GRPO: CPU seconds", "cases": cases, "versions": versions}))


if __name__ == "__main__":
    main()
