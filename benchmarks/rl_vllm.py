"""The same RL run three times, sampled here and by a real vLLM server, in turns with the trainer and a step ahead of it: does the
score rise alike, and are the weights that were pushed those that the server samples with?

The policy that `make demo` has after SFT practises on the demo's clips with a low-rank adapter, at temperature 1, and is measured
on held-out ones before and after, at the same temperature: what RL learns first is to slip less often. Of every push it is told
by how much the server's log-probabilities were off from the trainer's, and by how much the trainer's own had moved since the push
before: had the server kept the old weights, it would be off by that much.

    python benchmarks/rl_vllm.py --vllm .venv-vllm/bin/python --demo runs/demo
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits
from deepsport.bench.tasks import load_questions
from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.vllm.settings import VLLMConfig
from deepsport.records import Question
from deepsport.train.batches import waited
from deepsport.train.grpo import GRPOConfig, rollouts
from deepsport.train.judged import by_rule
from deepsport.train.optimiser import OptimiserConfig
from deepsport.train.recipe import RLRecipe, run_rl
from deepsport.versions import versions
from deepsport.video.source import FrameSource

SAMPLES = 4
"""Of each held-out question."""
REPLY = 96
LIMITS = Limits(style=PromptStyle.BRIEF, max_turns=5)
ON_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


def main() -> None:
    """Prints a table, and as its last line one JSON object."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--vllm", required=True, help="the Python that has vLLM")
    options.add_argument("--folder", type=Path, help="keep the runs here, and go on with them")
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--demo", type=Path, default=Path("runs/demo"), help="a finished run of `make demo`")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        compare(given.folder or Path(scratch), given.demo, given.vllm, given.steps)


def compare(folder: Path, demo: Path, python: str, n_steps: int) -> None:
    """All runs, measured."""
    begun, heldout = str(demo / "policies" / "sft"), load_questions(demo / "arena" / "heldout" / "questions.jsonl")
    arguments = ["--dtype", "float32", "--enforce-eager", "--max-num-seqs", "64"]
    turns = VLLMConfig(start=[""], python=python, arguments=arguments, environment=ON_CPU, staleness=0)
    ahead = turns.model_copy(update={"staleness": 1})
    before = accuracies(begun, heldout)
    found: dict[str, dict[str, float]] = {"before": {"score": 100 * statistics.fmean(before)}}
    for name, servers in (("here", None), ("vllm_turns", turns), ("vllm_ahead", ahead)):
        policy = run_rl(folder / name, recipe(demo, begun, n_steps, servers))
        found[name] = risen(before, accuracies(str(policy), heldout)) | pushes(folder / name)
    for name, figures in found.items():
        print(f"{name:12}" + "".join(f"  {figure} {value:.3g}" for figure, value in figures.items()))
    print(json.dumps({"name": "rl_vllm", "cases": found, "versions": versions()}))


def recipe(demo: Path, model: str, n_steps: int, servers: VLLMConfig | None) -> RLRecipe:
    """What the runs have in common, and where they sample."""
    return RLRecipe(
        model=model,
        questions=str(demo / "arena" / "practice" / "questions.jsonl"),
        limits=LIMITS,
        rl=GRPOConfig(
            steps=n_steps,
            questions_per_step=16,
            group_size=8,
            max_reply_tokens=REPLY,
            lora_rank=16,
            importance_cap=2.0 if servers else 0.0,
            checkpoint_every=5,
            optimiser=OptimiserConfig(lr=5e-4, warmup_steps=3),
        ),
        vllm=servers,
    )


def accuracies(model: str, questions: list[Question]) -> list[float]:
    """Mean accuracy of the sampled answers to each question, of questions that a rule can score."""
    config = GRPOConfig(group_size=SAMPLES, max_reply_tokens=REPLY)
    with FrameSource(max_open=64) as source:
        groups = waited(rollouts(load_policy(model), questions, source, config, LIMITS, seed=0))
    return [statistics.fmean(scored) for group in groups if (scored := [each for each in by_rule(group) if each is not None])]


def risen(before: list[float], after: list[float]) -> dict[str, float]:
    """Points of 100: the score, by how much it rose, and the standard error of that over the questions."""
    rises = [late - early for early, late in zip(before, after, strict=True)]
    error = statistics.stdev(rises) / len(rises) ** 0.5
    return {"score": 100 * statistics.fmean(after), "rise": 100 * statistics.fmean(rises), "rise_error": 100 * error}


def pushes(folder: Path) -> dict[str, float]:
    """The worst push, the least that any push moved, and how a step went."""
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    median = {f"{phase}_s": statistics.median(step[f"seconds_{phase}"] for step in steps) for phase in ("rollout", "learn")}
    if "push_off" not in steps[0]:
        return median
    push = {"push_s": statistics.median(step["seconds_push"] for step in steps)}
    return median | push | {"off_most": max(s["push_off"] for s in steps), "moved_least": min(s["push_moved"] for s in steps)}


if __name__ == "__main__":
    main()
