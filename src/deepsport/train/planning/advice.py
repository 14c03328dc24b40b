"""What to change where a plan binds, in the words of the recipe's settings."""

from collections.abc import Iterator

from deepsport.train.planning.plan import Plan
from deepsport.train.planning.work import Limit


def advice(plan: Plan) -> list[str]:
    """Most useful first."""
    return list(_BY_LIMIT[plan.binds](plan))


def _memory(plan: Plan) -> Iterator[str]:
    most, config, name = plan.budget.most, plan.config, plan.stage
    if most == "activations" and not config.gradient_checkpointing:
        yield f"{name}.gradient_checkpointing=true: activations are computed again, for about a third more time"
    if most == "activations" and config.tokens_per_forward > plan.budget.tokens_per_episode:
        longest = f"an episode of {plan.budget.tokens_per_episode:,} is never cut"
        yield f"lower {name}.tokens_per_forward (now {config.tokens_per_forward:,}; {longest})"
    if most == "activations":
        yield "shorter episodes: limits.max_turns, limits.frames_per_call, max_pixels"
    if most == "key-value cache":
        yield "shorter episodes: max_reply_tokens, limits.max_turns, max_pixels"
        yield "more GPUs, or servers ([vllm]), which admit only what fits"
    if most == "frame embeddings":
        yield "lower max_pixels: every frame that was seen is kept as the vision tower gave it"
    if most in ("weights", "fp32 weights", "gradients", "optimiser") and not config.lora_rank:
        yield f"{name}.lora_rank=64: only an adapter has gradients and moments; or more GPUs, over which they are sharded"
    if most == "weights" and config.lora_rank:
        yield "an accelerator with more memory, or a smaller model: with an adapter every GPU holds all weights"


def _video(plan: Plan) -> Iterator[str]:
    yield "more processor cores for each GPU (--cores)"
    yield "proxies with a keyframe in 12 frames, at the size the model sees: docs/scale.md has the gain"


def _vision(plan: Plan) -> Iterator[str]:
    if getattr(plan.config, "train_vision", False):
        yield f"{plan.stage}.train_vision=false: a frame is then embedded once"
    yield "lower max_pixels, or show fewer frames (limits.first_frames, limits.frames_per_call)"
    yield "more GPUs"


def _prefill(plan: Plan) -> Iterator[str]:
    yield "a lower max_pixels: most tokens that are read are those of frames"
    yield "larger groups (rl.group_size): the opening is read once for all of a group"
    yield "more GPUs for servers" if plan.servers else "more GPUs, or servers ([vllm]) beside those that learn"


def _decode(plan: Plan) -> Iterator[str]:
    yield "shorter replies (rl.max_reply_tokens), fewer turns (limits.max_turns)"
    yield (
        "more replies at once: the weights are read once for all rows of a pass; vllm.max_concurrent"
        if plan.servers
        else ("servers ([vllm]), which sample more replies at once than the 64 of the built-in engine")
    )
    yield "an accelerator with a faster memory"


def _passes(plan: Plan) -> Iterator[str]:
    if not plan.servers:
        yield "servers ([vllm]): their passes are recorded and replayed, and hold more replies"
    yield "more questions or larger groups a step: a pass costs the same with more rows"
    yield "shorter replies (rl.max_reply_tokens)"


def _python(plan: Plan) -> Iterator[str]:
    yield "several processes (torchrun): each has a core of its own for what surrounds the model"
    if not plan.servers:
        yield "servers ([vllm]), which draw tokens beside their passes"


def _learn(plan: Plan) -> Iterator[str]:
    config, name = plan.config, plan.stage
    if plan.servers > 1:
        yield "fewer GPUs for servers, and more that learn"
    if config.gradient_checkpointing and plan.budget.peak_bytes < 0.5 * plan.asked.memory_bytes:
        yield f"{name}.gradient_checkpointing=false, if the memory allows it: a quarter less time"
    if not config.lora_rank:
        yield f"{name}.lora_rank=64: no gradients of the weights themselves, a third less arithmetic"
    yield "a lower max_pixels, fewer or shorter turns: time goes with the unique tokens of a step"
    yield "more GPUs: portions are dealt out over them"


def _update(plan: Plan) -> Iterator[str]:
    yield "larger batches, so that fewer steps move the weights"
    if not plan.config.lora_rank:
        yield f"{plan.stage}.lora_rank=64: an adapter alone is moved"


def _network(plan: Plan) -> Iterator[str]:
    if not plan.config.lora_rank:
        yield f"{plan.stage}.lora_rank=64: adapters travel, not weights"
        yield f"a higher {plan.stage}.tokens_per_forward: sharded weights are gathered once for each portion"
    yield "fewer hosts with more GPUs each, or a faster network between them"


_BY_LIMIT = {
    Limit.MEMORY: _memory,
    Limit.VIDEO: _video,
    Limit.VISION: _vision,
    Limit.PREFILL: _prefill,
    Limit.DECODE: _decode,
    Limit.PASSES: _passes,
    Limit.PYTHON: _python,
    Limit.LEARN: _learn,
    Limit.UPDATE: _update,
    Limit.NETWORK: _network,
}
