"""A plan in words: one line for each thing, and `assumed` beside every rate that nobody measured."""

from collections.abc import Iterator

from deepsport.progress import clock_time
from deepsport.train.planning.advice import advice
from deepsport.train.planning.plan import Plan
from deepsport.train.planning.work import Limit, Seconds

GB = 1e9
RATES_OF: dict[Limit, tuple[str, ...]] = {
    Limit.VIDEO: ("uniform_pixel_s", "window_pixel_s"),
    Limit.VISION: ("vision_flops",),
    Limit.PREFILL: ("prefill_flops",),
    Limit.DECODE: ("bandwidth", "cache_bandwidth", "decode_flops"),
    Limit.PASSES: ("layer_s",),
    Limit.PYTHON: ("draw_s", "turn_s"),
    Limit.LEARN: ("learn_flops",),
    Limit.UPDATE: ("update_bytes",),
    Limit.NETWORK: ("peer_bytes", "network_bytes"),
}
LEAST_SHARE = 0.005
"""Kinds of work that take less of a phase are not listed."""


def lines_of(plan: Plan) -> Iterator[tuple[str, str]]:
    """What to print: names and texts."""
    asked, habits, budget = plan.asked, plan.habits, plan.budget
    gpus = f"{asked.gpus} x {asked.accelerator.title}" + (f", {plan.servers} of them servers" if plan.servers else "")
    yield "on", gpus
    yield from (line for line in budget.lines() if line[0] not in ("a step", "all steps", "memory at most"))
    fits = "fits" if budget.peak_bytes <= plan.asked.memory_bytes else "DOES NOT FIT"
    yield "memory at most", f"{budget.peak_bytes / GB:.2f} GB of {plan.asked.memory_bytes / GB:.0f} in each process: {fits}"
    given = "given" if asked.habits else "recorded" if plan.stage == "sft" else "assumed"
    yield "an episode", f"{habits.turns:.1f} turns of {habits.reply_tokens:.0f} tokens ({given}), {habits.unique:.0%} not shared"
    yield "a step", f"{budget.episodes_per_step:,} episodes, {plan.unique_tokens:,.0f} unique tokens, {plan.frames:,.0f} frames"
    for phase, seconds in plan.phases.items():
        yield phase, f"{_time(sum(seconds.values()))}: {_kinds(plan, seconds)}"
    yield "a step takes", _time(plan.step_s) + (", sampling and learning at once" if plan.overlapped else "")
    yield from _totals(plan)
    yield "what binds", _binding(plan)
    for number, text in enumerate(advice(plan)):
        yield "" if number else "to change", text
    yield (
        "rates",
        asked.rates.machine + ("" if asked.rates.measured else ": assumed shares of its peaks; measure them (--measure)"),
    )


def _totals(plan: Plan) -> Iterator[tuple[str, str]]:
    cost = "no price given (--usd-per-gpu-hour)" if plan.usd is None else f"${plan.usd:,.2f}"
    hours = f"{plan.gpu_hours:,.1f} GPU-hours" if plan.gpu_hours >= 0.1 else f"{3600 * plan.gpu_hours:,.1f} GPU-seconds"
    yield "all steps", f"{plan.budget.steps:,} in {clock_time(plan.total_s)}, {hours}, {cost}"
    if plan.operations and plan.asked.accelerator.flops:
        busy = plan.phase_s["learn"] * (plan.asked.gpus - plan.servers) * plan.asked.accelerator.flops
        yield "of the peak", f"{plan.operations * plan.habits.taught / busy:.0%} while learning"


def _binding(plan: Plan) -> str:
    if plan.binds is Limit.MEMORY:
        return f"{Limit.MEMORY}: {plan.budget.most} take most of it"
    return f"{plan.binds}: {plan.slower[plan.binds] / sum(plan.slower.values()):.0%} of the step{_mark(plan, plan.binds)}"


def _kinds(plan: Plan, seconds: Seconds) -> str:
    whole = sum(seconds.values()) or 1.0
    listed = sorted(((taken, limit) for limit, taken in seconds.items() if taken / whole >= LEAST_SHARE), reverse=True)
    return ", ".join(f"{limit} {_time(taken)}{_mark(plan, limit)}" for taken, limit in listed)


def _mark(plan: Plan, limit: Limit) -> str:
    return "" if all(plan.asked.rates.is_measured(name) for name in RATES_OF[limit]) else " (assumed)"


def _time(seconds: float) -> str:
    """`0.35 s`, `12.4 s`, `3 min 20 s`."""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s" if seconds < 120 else clock_time(seconds)
