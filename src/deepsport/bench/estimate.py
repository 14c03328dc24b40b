"""What a measurement will ask for and cost, before anything is sent, nothing being on record yet.

How often an agent looks is not known beforehand: `likely` looks twice and answers, `at most` takes every turn, every frame and
every token of a reply that the recipe allows, and has a judge that must be asked twice. The arithmetic is that of `bench.load`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deepsport.agent.prompt import PromptStyle
from deepsport.bench.load import (
    ANSWER_RULES_TOKENS,
    FUNCTION_TOKENS,
    JUDGE_TOKENS,
    JUDGED,
    LOOKED,
    RULES_TOKENS,
    SAID,
    Load,
    episode_load,
    frame_size,
    image_tokens,
    load_on,
    n_open,
    text_tokens,
)
from deepsport.bench.recipe import BenchConfig, Protocol
from deepsport.records import Question
from deepsport.video.source import FrameSource

ANSWER_TOKENS = 150
"""Of a reference and an answer, as the judge is shown them; at most, the answer is as long as a reply may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run will ask for."""

    n_questions: int
    n_episodes: int
    frame_wh: tuple[int, int] | None
    """None where no video is opened."""
    n_frames_likely: int
    """Shown, by whomever they are looked at."""
    n_frames_most: int
    likely: tuple[Load, ...]
    """Of endpoints only: a model that runs here costs nothing, and neither does a rule."""
    most: tuple[Load, ...]


def estimate(config: BenchConfig, questions: Sequence[Question], source: FrameSource) -> Estimate:
    """Probes a few videos; sends nothing. Raises BadVideo if none of them can be read."""
    limits, n_episodes = config.limits(PromptStyle.FULL), len(questions) * config.runs
    size_wh = frame_size(questions, source) if limits.first_frames else None
    turns = min(LOOKED, limits.max_turns)

    def n_frames(turns: int) -> int:
        return n_episodes * (limits.first_frames + (turns - 1) * limits.frames_per_call)

    return Estimate(
        n_questions=len(questions),
        n_episodes=n_episodes,
        frame_wh=size_wh,
        n_frames_likely=n_frames(turns),
        n_frames_most=n_frames(limits.max_turns),
        likely=tuple(_loads(config, questions, size_wh, turns=turns, at_most=False)),
        most=tuple(_loads(config, questions, size_wh, turns=limits.max_turns, at_most=True)),
    )


def _loads(
    config: BenchConfig, questions: Sequence[Question], size_wh: tuple[int, int] | None, *, turns: int, at_most: bool
) -> Iterator[Load]:
    limits, n_episodes = config.limits(PromptStyle.FULL), len(questions) * config.runs
    if config.endpoint and config.protocol is not Protocol.MAJORITY:
        frame_tokens = image_tokens(size_wh, config.endpoint.max_side_px) if size_wh else 0
        reply = config.max_reply_tokens if at_most else min(SAID, config.max_reply_tokens)
        each = episode_load(limits, frame_tokens, text_tokens(questions), turns, reply, _rules_tokens(config))
        prompt, said = n_episodes * each.prompt_tokens, n_episodes * each.reply_tokens
        yield load_on("asking", config.endpoint, n_episodes * turns, prompt, said, n_episodes * each.n_images)
    if config.judge and (n_judged := (1 + at_most) * n_open(questions) * config.runs):
        verdict = config.judge.max_reply_tokens if at_most else min(JUDGED, config.judge.max_reply_tokens)
        prompt = JUDGE_TOKENS + ANSWER_TOKENS + at_most * config.max_reply_tokens
        yield load_on("judging", config.judge, n_judged, n_judged * prompt, n_judged * verdict)


def _rules_tokens(config: BenchConfig) -> int:
    if not config.with_tool:
        return ANSWER_RULES_TOKENS
    return RULES_TOKENS + (FUNCTION_TOKENS if config.native_tools else 0)
