"""RL runs of a tiny nano whose episodes stand-ins for vLLM servers sample (`token_server`)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from deepsport.policy.base import Message, Sampling
from deepsport.policy.local.adapter import add_adapter, save_adapter
from deepsport.policy.local.checkpoint import load_policy, save_policy
from deepsport.policy.local.policy import LocalPolicy
from deepsport.policy.vllm.fleet import Fleet, FleetPolicy
from deepsport.policy.vllm.server import Server, Version
from deepsport.policy.vllm.settings import VLLMConfig
from deepsport.policy.vllm.wire import Pictures
from deepsport.records import Episode, Question, Reward, TokenRecord
from deepsport.reward.gated import GatedReward
from deepsport.run import Run
from deepsport.train.grpo import GRPOConfig, reinforce
from deepsport.train.optimiser import OptimiserConfig
from deepsport.video.source import FrameSource
from tiny_models import LIMITS, wide_nano
from token_server import TokenServer

OWNER = "deepsport-run-"
P, G = 2, 3
RL = GRPOConfig(
    steps=4,
    questions_per_step=P,
    group_size=G,
    max_reply_tokens=5,
    filter_by_accuracy=False,
    lora_rank=2,
    importance_cap=2.0,
    optimiser=OptimiserConfig(lr=2e-2),
)


def by_words(seen: list[Episode]) -> GatedReward:
    """Rewards by words and by number, so that every group teaches something, and keeps every episode it is shown."""

    class ByWords(GatedReward):
        def score(self, episode: Episode, judged: float | None = None) -> Reward:
            seen.append(episode)
            said = episode.tokens.ids if episode.tokens else ()
            total = (sum(said) % 7 + 7 * (episode.seed % G)) / (7 * G)
            return Reward(total=total, accuracy=total, tool=0.0, format_penalty=0.0, well_formed=True)

    return ByWords()


def wide_folder(folder: Path) -> Path:
    """A nano whose random weights are wide, as a checkpoint."""
    policy = wide_nano(folder)
    policy.backbone.model.save_pretrained(folder)
    return folder


def adapter(policy_folder: Path, folder: Path, seed: int = 0) -> Path:
    """An adapter that changes what is sampled."""
    policy = load_policy(str(policy_folder))
    add_adapter(policy.backbone.model, 2, 32.0, seed=seed)
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in policy.backbone.model.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=drawn) * 0.1)
    folder.mkdir()
    save_adapter(policy.backbone.model, folder, policy_folder)
    return folder


def whole(folder: Path, target: Path, seed: int = 1) -> Path:
    """Other weights, as a whole checkpoint."""
    policy = load_policy(str(folder))
    with torch.no_grad():
        for weight in policy.backbone.model.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)))
    save_policy(policy, target, folder)
    return target


def version(name: str, folder: Path, *, adapter: bool = True) -> Version:
    """Weights of this name, which ends in their step."""
    return Version(name, folder, int(name.rpartition("-")[2]), adapter)


def fleet_of(policy: LocalPolicy, servers: Sequence[TokenServer], **settings: Any) -> Fleet:
    """With no time to lose."""
    asked = [Server(server.address, server.api_key, 64, settings.pop("timeout_s", 20.0)) for server in servers]
    known = {"patience_s": 0.5, "retry_s": 0.05, "owner": OWNER} | settings
    pictures = Pictures(policy.preprocessor.resize)
    return Fleet(servers=asked, pictures=pictures, end=policy.chat.end, suppressed=policy.chat.suppressed, **known)


def speaker(policy: LocalPolicy, fleet: Fleet, weights: Version, **settings: float) -> FleetPolicy:
    """The policy that samples with them."""
    limits = {"timeout_s": 20.0, "episode_timeout_s": 30.0} | settings
    return FleetPolicy(policy.name, fleet, weights, policy.chat, policy.context, **limits)


async def talk(speaking: FleetPolicy, turns: Sequence[Sequence[Message]], max_tokens: int = 6) -> TokenRecord:
    """A conversation; what is said does not matter."""
    session = speaking.session(Sampling(temperature=1.0, max_tokens=max_tokens))
    for messages in turns:
        await session.reply(messages)
    tokens = session.tokens()
    assert tokens is not None
    return tokens


def reached(*servers: TokenServer, **settings: Any) -> VLLMConfig:
    """These servers, which run already, and no patience."""
    known: dict[str, Any] = {"addresses": [server.address for server in servers], "patience_s": 2.0, "timeout_s": 20.0}
    return VLLMConfig.model_validate(known | settings)


def train(
    folder: Path,
    model: Path,
    questions: Sequence[Question],
    servers: VLLMConfig,
    *,
    seen: list[Episode] | None = None,
    **config: Any,
) -> list[dict[str, float]]:
    """Runs, or goes on; what every step logged. `seen` gets every episode that was scored."""
    with Run.open(folder, None) as run, FrameSource() as source:
        reinforce(
            load_policy(str(model)),
            questions,
            source,
            RL.model_copy(update=config),
            run,
            limits=LIMITS,
            reward=by_words([] if seen is None else seen),
            origin=model,
            seed=0,
            servers=servers,
        )
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
