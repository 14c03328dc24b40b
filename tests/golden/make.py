"""Losses of 20 steps of SFT and of GRPO on a tiny nano with fixed seeds. `python tests/golden/make.py` writes them anew.

Do that only when a change of the losses is meant, and say why in the commit. GRPO runs on fixed words, not on sampled ones: a
last bit that differs between two machines may flip one sampled token, and from there on two runs have nothing in common.
"""

import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
GOLDEN = HERE / "losses.json"
sys.path.insert(0, str(HERE.parent))

import torch  # noqa: E402

from deepsport.agent.grammar import write_answer, write_call  # noqa: E402
from deepsport.policy.local.checkpoint import load_policy  # noqa: E402
from deepsport.policy.local.policy import LocalPolicy  # noqa: E402
from deepsport.records import Episode  # noqa: E402
from deepsport.reward.gated import GatedReward  # noqa: E402
from deepsport.run import Run  # noqa: E402
from deepsport.train.grpo import GRPOConfig, Learner, score  # noqa: E402
from deepsport.train.judged import by_rule  # noqa: E402
from deepsport.train.objective import advantages  # noqa: E402
from deepsport.train.optimiser import OptimiserConfig  # noqa: E402
from deepsport.train.sft import SFTConfig, fit  # noqa: E402
from deepsport.train.trainee import Trainee  # noqa: E402
from deepsport.video.source import FrameSource  # noqa: E402
from tiny_models import ANSWER, CALL, clip, nano_folder, plain_logprobs, question, spoken, widen  # noqa: E402

SCRIPTS = [
    [CALL, ANSWER],
    [ANSWER],
    [write_call("", 0, 5), write_answer("", "header")],
    [write_answer("no idea", "header")],
]
SFT = SFTConfig(steps=20, batch_size=2, checkpoint_every=20, optimiser=OptimiserConfig(lr=2e-3, warmup_steps=5))
RL = GRPOConfig(steps=20, updates_per_step=2, optimiser=OptimiserConfig(lr=3e-4, warmup_steps=5))


def losses(folder: Path) -> dict[str, list[float]]:
    """All curves, computed afresh in an empty folder."""
    origin, asked = nano_folder(folder / "nano"), question(clip(folder / "clip.mp4"))
    with FrameSource() as source:
        policy = _even(origin)
        episodes = [spoken(policy, source, asked, texts, f"episode-{n}") for n, texts in enumerate(SCRIPTS)]
        with Run.open(folder / "run", None) as run:
            fit(policy, episodes, source, SFT, run, stage="sft", origin=origin, seed=0)
        lines = (folder / "run/metrics.jsonl").read_text().splitlines()
        sft = [json.loads(line)["loss"] for line in lines]
        return {"sft": sft, **_rl_curves(origin, episodes, source)}


def _even(origin: Path) -> LocalPolicy:
    """Small weights that are all at work: where a fresh block still adds nothing, AdamW makes whole steps of rounding errors."""
    policy = load_policy(str(origin))
    widen(policy.backbone.model, seed=0)
    with torch.no_grad():
        for weight in policy.backbone.model.parameters():
            if weight.ndim > 1:
                weight.mul_(0.2)
    return policy


def _rl_curves(origin: Path, episodes: list[Episode], source: FrameSource) -> dict[str, list[float]]:
    """On fixed words the loss that GRPO reports is the same at every step, since each step starts with a ratio of 1. What
    moves is the gradient and the REINFORCE loss -mean(A log p), so these are kept."""
    policy = _even(origin)
    group = score(episodes, by_rule(episodes), GatedReward())
    learner, records = Learner(Trainee(policy, source, RL, RL.steps), RL), [e.tokens for e in episodes if e.tokens]
    advantages_B = advantages(torch.tensor([[reward.total for reward in group.rewards]]))[0]
    curves: dict[str, list[float]] = {"rl_grad_norm": [], "rl_reinforce": []}
    for step in range(RL.steps):
        curves["rl_grad_norm"].append(learner.step([group], step)["grad_norm"])
        with torch.no_grad():
            logprobs_S, record_S = plain_logprobs(policy, source, records)
        curves["rl_reinforce"].append(-(advantages_B[record_S] * logprobs_S).mean().item())
    return curves


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        GOLDEN.write_text(json.dumps(losses(Path(made)), indent=1) + "\n")
