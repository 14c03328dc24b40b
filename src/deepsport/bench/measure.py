"""From episodes to figures. Pure: every figure follows from the recorded episodes and a seed.

Episodes lost to a fault of the server or of the video say nothing about the system: they are counted as unscored and left out of
every rate. A question is measured once per system; a second episode on it is refused rather than averaged in silence.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean

from deepsport.bench.diagnose import event_seen, failure, window_met
from deepsport.bench.report import PairedReport, Part, Report, RewardMeans, SystemReport
from deepsport.bench.stats import Interval, difference_interval, mean_interval, sign_test
from deepsport.errors import BadRecord
from deepsport.records import Choice, Episode, FreeText, Gold, Reward
from deepsport.reward.gated import FAULTS, GatedReward

Scored = tuple[Episode, Reward]


def measure(episodes: Sequence[Episode], reward: GatedReward, *, seed: int = 0) -> SystemReport:
    """All figures of one system. Raises BadRecord if a question occurs twice."""
    _by_question(episodes)
    every = [(episode, reward.score(episode)) for episode in episodes]
    sound = [episode for episode in episodes if episode.stop not in FAULTS]
    sought = [episode for episode in sound if episode.question.window and not episode.question.easy]
    turns = [turn for episode in sound for turn in episode.turns]
    whole = _part(every, seed)
    return SystemReport(
        score=whole.score,
        ci95=whole.ci95,
        chance=_chance(every),
        n_questions=len(episodes),
        n_videos=len({episode.question.video for episode in episodes}),
        unscored=len(episodes) - whole.n,
        stop_reasons=dict(sorted(Counter(episode.stop for episode in episodes).items())),
        failures=dict(sorted(Counter(cause for each in every if (cause := failure(*each))).items())),
        valid_action_rate=_mean([turn.answer is not None or bool(turn.frames) for turn in turns]),
        tool_calls_per_question=_mean([len(episode.calls) for episode in sound]),
        grounding_hit_rate=_mean([window_met(episode) for episode in sought]),
        event_seen_rate=_mean([event_seen(episode) for episode in sought]),
        over_call_rate=_mean([bool(episode.calls) for episode in sound if episode.question.easy]),
        frames_per_question=_mean([len(episode.frames_seen) for episode in sound]),
        by_sport=_parts(every, lambda episode: episode.question.sport, seed),
        by_dimension=_parts(every, lambda episode: episode.question.dimension, seed),
        by_answer=_parts(every, lambda episode: episode.question.gold and episode.question.gold.kind, seed),
        by_ease=_parts(every, lambda episode: "easy" if episode.question.easy else "needs_look", seed),
        reward=_reward_means([made for _, made in every]),
    )


def paired(a: Sequence[Episode], b: Sequence[Episode], reward: GatedReward, *, seed: int = 0) -> PairedReport:
    """`a` minus `b` over the questions that both have a verdict on. Raises BadRecord if there is none."""
    right_a, right_b = (_accuracies(episodes, reward) for episodes in (a, b))
    shared = [question for question in right_a if question in right_b]
    if not shared:
        raise BadRecord("the two systems have no scored question in common, so they cannot be compared")
    video = {episode.question.id: episode.question.video for episode in a}
    clusters = [video[question] for question in shared]
    of_a, of_b = ([right[question] for question in shared] for right in (right_a, right_b))
    differences = [x - y for x, y in zip(of_a, of_b, strict=True)]
    return PairedReport(
        difference=100 * fmean(differences),
        ci95=_in_points(difference_interval(of_a, of_b, clusters, seed=seed)),
        p=sign_test(differences, clusters),
        n=len(shared),
        better=sum(difference > 0 for difference in differences),
        worse=sum(difference < 0 for difference in differences),
    )


def compare(
    systems: Mapping[str, Sequence[Episode]],
    reward: GatedReward,
    *,
    seed: int = 0,
    seconds_per_stage: Mapping[str, float] | None = None,
    versions: Mapping[str, str] | None = None,
) -> Report:
    """The whole report: every system, and each one against the one before it. Raises BadRecord as `measure` and `paired`."""
    return Report(
        systems={name: measure(episodes, reward, seed=seed) for name, episodes in systems.items()},
        paired={f"{b}_minus_{a}": paired(systems[b], systems[a], reward, seed=seed) for a, b in reversed([*pairwise(systems)])},
        seed=seed,
        seconds_per_stage=dict(seconds_per_stage or {}),
        versions=dict(versions or {}),
    )


def _by_question(episodes: Sequence[Episode]) -> dict[str, Episode]:
    found = {episode.question.id: episode for episode in episodes}
    if len(found) < len(episodes):
        twice = [question for question, n in Counter(episode.question.id for episode in episodes).items() if n > 1]
        raise BadRecord(
            f"question {twice[0]!r} was measured more than once ({len(twice)} such questions); keep one episode of each"
        )
    return found


def _accuracies(episodes: Sequence[Episode], reward: GatedReward) -> dict[str, float]:
    scored = {question: reward.score(episode).accuracy for question, episode in _by_question(episodes).items()}
    return {question: right for question, right in scored.items() if right is not None}


def _part(scored: Sequence[Scored], seed: int) -> Part:
    known = [(made.accuracy, episode.question.video) for episode, made in scored if made.accuracy is not None]
    rights, videos = [right for right, _ in known], [video for _, video in known]
    score = _mean(rights)
    return Part(
        score=None if score is None else 100 * score, ci95=_in_points(mean_interval(rights, videos, seed=seed)), n=len(known)
    )


def _chance(scored: Sequence[Scored]) -> float | None:
    golds = [episode.question.gold for episode, made in scored if made.accuracy is not None]
    guessed = _mean([_guess(gold) for gold in golds])
    return None if guessed is None else 100 * guessed


def _guess(gold: Gold | None) -> float:
    """What a blind guess scores on average; 0 where there is nothing to choose from."""
    match gold:
        case Choice(options=options):
            return 1 / len(options)
        case FreeText(facts=facts) if facts:
            return fmean(1 / len(fact.options) for fact in facts)
        case _:
            return 0.0


def _parts(scored: Sequence[Scored], name: Callable[[Episode], str | None], seed: int) -> dict[str, Part]:
    """A part for every name that occurs, in the order of the alphabet; episodes without a name are in none."""
    names = sorted({found for episode, _ in scored if (found := name(episode)) is not None})
    return {each: _part([one for one in scored if name(one[0]) == each], seed) for each in names}


def _reward_means(rewards: Sequence[Reward]) -> RewardMeans | None:
    scored = [made for made in rewards if made.accuracy is not None]
    if not scored:
        return None
    return RewardMeans(
        total=fmean(made.total for made in scored),
        accuracy=fmean(made.accuracy or 0.0 for made in scored),
        tool=fmean(made.tool for made in scored),
        format_penalty=fmean(made.format_penalty for made in scored),
        well_formed=fmean(made.well_formed for made in scored),
    )


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _in_points(interval: Interval | None) -> Interval | None:
    return interval and (100 * interval[0], 100 * interval[1])
