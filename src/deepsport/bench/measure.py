"""From scores to figures. Pure: every figure follows from the scores and a seed.

Episodes lost to a fault of the server or of the video say nothing about the system: they are counted as unscored and left out of
every rate. A question that was asked in several runs counts once for each; a second score of one run is refused rather than
averaged in silence.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import TypeVar

from deepsport.bench.report import AtTurn, Numbers, PairedReport, Part, Report, RewardMeans, SystemReport, Texts
from deepsport.bench.score import Score
from deepsport.bench.stats import (
    Interval,
    bootstrap_test,
    difference_interval,
    macro_interval,
    mean_interval,
    rank_correlation,
    sign_test,
)
from deepsport.bench.text_overlap import bleu_and_chrf, rouge_l
from deepsport.errors import BadRecord
from deepsport.records import Dimension
from deepsport.reward.gated import FAULTS

Scores = Sequence[Score]
K = TypeVar("K")


def measure(scores: Scores, *, seed: int = 0) -> SystemReport:
    """All figures of one system. Raises BadRecord if a question occurs twice in a run."""
    _require_once(scores)
    sound = [score for score in scores if score.stop not in FAULTS]
    sought = [score for score in sound if score.hit is not None]
    calls = sum(score.n_calls for score in sound)
    whole, macro = part_of(scores, seed), _macro(scores, seed)
    scored = [score for score in scores if score.accuracy is not None]
    right = sum(score.accuracy or 0.0 for score in scored)
    by_run = _grouped(scores, lambda score: score.run)
    return SystemReport(
        score=whole.score,
        ci95=whole.ci95,
        chance=_chance(scores),
        macro=macro.score,
        macro_ci95=macro.ci95,
        n_questions=len({score.question_id for score in scores}),
        n_videos=len({score.video for score in scores}),
        n_runs=len(by_run) or 1,
        score_by_run=tuple(mean for _, run in sorted(by_run.items()) if (mean := _score(run)) is not None),
        unscored=len(scores) - whole.n,
        stop_reasons=dict(sorted(Counter(score.stop for score in scores).items())),
        failures=dict(sorted(Counter(score.failure for score in scores if score.failure).items())),
        valid_action_rate=_ratio(sum(score.n_valid_turns for score in sound), sum(score.n_turns for score in sound)),
        tool_calls_per_question=_mean([score.n_calls for score in sound]),
        grounding_hit_rate=_mean([score.hit for score in sought if score.hit is not None]),
        event_seen_rate=_mean([score.seen for score in sought if score.seen is not None]),
        temporal_iou=_mean([score.iou for score in sought if score.iou is not None]),
        offset_s=_median([abs(score.offset_s) for score in sought if score.offset_s is not None]),
        over_call_rate=_mean([score.n_calls > 0 for score in sound if score.easy]),
        redundant_call_rate=_ratio(sum(score.n_redundant for score in sound), calls),
        frames_per_question=_mean([score.n_frames for score in sound]),
        prompt_tokens_per_question=_mean([score.prompt_tokens for score in sound]),
        reply_tokens_per_question=_mean([score.reply_tokens for score in sound]),
        frames_per_right=_ratio(sum(score.n_frames for score in scored), right),
        tokens_per_right=_ratio(sum(score.prompt_tokens + score.reply_tokens for score in scored), right),
        usd_per_question=_mean([score.usd for score in sound]),
        usd_per_right=_ratio(sum(score.usd for score in scored), right),
        judges=tuple(sorted({score.verdict.judge for score in scores if score.verdict})),
        by_sport=_parts(scores, lambda score: score.sport, seed),
        by_dimension=_parts(scores, lambda score: score.dimension, seed),
        by_cell={sport: _parts(of, lambda score: score.dimension, seed) for sport, of in _by_sport(scores).items()},
        by_answer=_parts(scores, lambda score: score.kind, seed),
        by_ease=_parts(scores, lambda score: "easy" if score.easy else "needs_look", seed),
        numbers=_numbers(scores),
        texts=_texts(scores),
        turns=_turns(scores),
        reward=_reward_means(scores),
    )


def paired(a: Scores, b: Scores, *, seed: int = 0) -> PairedReport:
    """`a` minus `b` over the questions that both have a verdict on, runs averaged. Raises BadRecord if there is none."""
    right_a, right_b = accuracies(a), accuracies(b)
    shared = [question for question in right_a if question in right_b]
    if not shared:
        raise BadRecord("the two systems have no scored question in common, so they cannot be compared")
    cluster = {score.question_id: score.cluster for score in a}
    clusters = [cluster[question] for question in shared]
    of_a, of_b = ([right[question] for question in shared] for right in (right_a, right_b))
    differences = [x - y for x, y in zip(of_a, of_b, strict=True)]
    return PairedReport(
        difference=100 * fmean(differences),
        ci95=_in_points(difference_interval(of_a, of_b, clusters, seed=seed)),
        p=sign_test(differences, clusters),
        p_bootstrap=bootstrap_test(differences, clusters, seed=seed),
        n=len(shared),
        better=sum(difference > 0 for difference in differences),
        worse=sum(difference < 0 for difference in differences),
    )


def compare(
    systems: Mapping[str, Scores],
    *,
    seed: int = 0,
    seconds_per_stage: Mapping[str, float] | None = None,
    versions: Mapping[str, str] | None = None,
) -> Report:
    """The whole report: every system, and each one against the one before it. Raises BadRecord as `measure` and `paired`."""
    return Report(
        systems={name: measure(scores, seed=seed) for name, scores in systems.items()},
        paired={f"{b}_minus_{a}": paired(systems[b], systems[a], seed=seed) for a, b in reversed([*pairwise(systems)])},
        seed=seed,
        seconds_per_stage=dict(seconds_per_stage or {}),
        versions=dict(versions or {}),
    )


def accuracies(scores: Scores) -> dict[str, float]:
    """Accuracy by question, the mean of its scored runs. Raises BadRecord if a question occurs twice in a run."""
    _require_once(scores)
    scored = _grouped([score for score in scores if score.accuracy is not None], lambda score: score.question_id)
    return {question: fmean(score.accuracy or 0.0 for score in of_it) for question, of_it in scored.items()}


def part_of(scores: Scores, seed: int) -> Part:
    """Score, interval and number of some questions."""
    known = [(score.accuracy, score.cluster) for score in scores if score.accuracy is not None]
    rights, clusters = [right for right, _ in known], [cluster for _, cluster in known]
    ci95 = _in_points(mean_interval(rights, clusters, seed=seed))
    return Part(score=_score(scores), ci95=ci95, n=len(known))


def _macro(scores: Scores, seed: int) -> Part:
    """Every cell sport x dimension weighs the same, whatever its number of questions."""
    known = [score for score in scores if score.accuracy is not None and score.sport and score.dimension]
    if not known:
        return Part(score=None, ci95=None, n=0)
    cells, clusters = [_cell(score) for score in known], [score.cluster for score in known]
    rights = [score.accuracy or 0.0 for score in known]
    means = [fmean(score.accuracy or 0.0 for score in of_it) for of_it in _grouped(known, _cell).values()]
    return Part(score=100 * fmean(means), ci95=_in_points(macro_interval(rights, cells, clusters, seed=seed)), n=len(known))


def _cell(score: Score) -> tuple[str | None, Dimension | None]:
    return score.sport, score.dimension


def _numbers(scores: Scores) -> dict[str, Numbers]:
    asked = [score for score in scores if score.reference_value is not None and score.accuracy is not None]
    by_unit = _grouped(asked, lambda score: f"{score.sport or 'any sport'}: {score.unit or 'number'}")
    return {name: _of_numbers(by_unit[name]) for name in sorted(by_unit)}


def _of_numbers(scores: Scores) -> Numbers:
    read = [(one.value, one.reference_value) for one in scores if one.value is not None and one.reference_value is not None]
    said, meant = [value for value, _ in read], [value for _, value in read]
    return Numbers(
        n=len(scores),
        n_read=len(read),
        mean_absolute_error=_mean([abs(a - b) for a, b in read]),
        mean_relative_error=_mean([abs(a - b) / abs(b) for a, b in read if b]),
        rank_correlation=rank_correlation(said, meant),
    )


def _texts(scores: Scores) -> Texts | None:
    asked = [score for score in scores if score.kind == "text" and score.answer is not None]
    if not asked:
        return None
    answers, references = [score.answer or "" for score in asked], [score.reference or "" for score in asked]
    verdicts = [score.verdict for score in asked if score.verdict]
    overlap = bleu_and_chrf(answers, references)
    return Texts(
        n=len(asked),
        n_judged=sum(verdict.points is not None for verdict in verdicts),
        n_without_verdict=sum(score.accuracy is None for score in asked),
        points=_mean([verdict.points for verdict in verdicts if verdict.points is not None]),
        bleu=overlap and overlap[0],
        chrf=overlap and overlap[1],
        rouge_l=rouge_l(answers, references),
    )


def _turns(scores: Scores) -> tuple[AtTurn, ...]:
    """From the opening to the longest episode."""
    sound = [score for score in scores if score.stop not in FAULTS]
    scored = [score for score in sound if score.accuracy is not None]
    sought = [score for score in sound if score.hit is not None]

    def at(turn: int) -> AtTurn:
        right = _mean([(score.accuracy or 0.0) * (score.n_turns <= turn) for score in scored])
        return AtTurn(
            turn=turn,
            n_open=sum(score.n_turns > turn for score in sound),
            answered=_mean([score.answer is not None and score.n_turns <= turn for score in sound]),
            score=None if right is None else 100 * right,
            seen=_mean([score.seen_at is not None and score.seen_at <= turn for score in sought]),
        )

    return tuple(at(turn) for turn in range(max((score.n_turns for score in sound), default=-1) + 1))


def _reward_means(scores: Scores) -> RewardMeans | None:
    made = [score.reward for score in scores if score.accuracy is not None]
    if not made:
        return None
    return RewardMeans(
        total=fmean(one.total for one in made),
        accuracy=fmean(one.accuracy or 0.0 for one in made),
        tool=fmean(one.tool for one in made),
        format_penalty=fmean(one.format_penalty for one in made),
        well_formed=fmean(one.well_formed for one in made),
    )


def _require_once(scores: Scores) -> None:
    counts = Counter((score.question_id, score.run) for score in scores)
    if twice := [question for (question, _), n in counts.items() if n > 1]:
        raise BadRecord(
            f"question {twice[0]!r} was measured more than once ({len(twice)} such questions); keep one episode of each"
        )


def _grouped(scores: Scores, name: Callable[[Score], K]) -> dict[K, list[Score]]:
    groups: defaultdict[K, list[Score]] = defaultdict(list)
    for score in scores:
        groups[name(score)].append(score)
    return dict(groups)


def _by_sport(scores: Scores) -> dict[str, list[Score]]:
    known = _grouped([score for score in scores if score.sport], lambda score: score.sport or "")
    return {sport: known[sport] for sport in sorted(known)}


def _parts(scores: Scores, name: Callable[[Score], str | None], seed: int) -> dict[str, Part]:
    """A part for every name that occurs, in the order of the alphabet; scores without a name are in none."""
    groups = _grouped(scores, name)
    return {each: part_of(groups[each], seed) for each in sorted(filter(None, groups))}


def _score(scores: Scores) -> float | None:
    mean = _mean([score.accuracy for score in scores if score.accuracy is not None])
    return None if mean is None else 100 * mean


def _chance(scores: Scores) -> float | None:
    mean = _mean([score.chance for score in scores if score.accuracy is not None])
    return None if mean is None else 100 * mean


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _ratio(of: float, by: float) -> float | None:
    return of / by if by else None


def _in_points(interval: Interval | None) -> Interval | None:
    return interval and (100 * interval[0], 100 * interval[1])
