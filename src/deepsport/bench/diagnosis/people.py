"""The classes against those that people gave the same failures, from a CSV file of labels (`bench.judged.labels`).

kappa = (p_o - p_e) / (1 - p_e)        (Cohen 1960: agreement beyond what the habits of both would give by chance)
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from deepsport.bench.diagnose import Failure
from deepsport.bench.diagnosis.record import Diagnosis
from deepsport.bench.judged.labels import labelled, read_labels
from deepsport.bench.stats import mean_interval
from deepsport.records import Episode, Record


class Agreement(Record):
    """One person, or all who gave no name, against the diagnosis."""

    labeller: str
    n: int
    """Failures that both classed."""
    n_others: int
    """Labels of answers that did not fail here, or that name no class."""
    equal: float | None
    equal_ci95: tuple[float, float] | None
    kappa: float | None
    """None where both gave one and the same class to everything."""
    counts: dict[Failure, dict[Failure, int]]
    """Class by the person, then by the diagnosis."""


def agreements(path: Path, episodes: Sequence[Episode], diagnoses: Sequence[Diagnosis], seed: int) -> list[Agreement]:
    """One for each labeller. Raises BadRecord for a file that holds no labels of this run."""
    by_episode = {each.episode_id: each for each in diagnoses}
    made: list[Agreement] = []
    for labeller, labels in labelled(read_labels(path).labels, episodes).by_labeller.items():
        pairs = [
            (label.failure, by_episode[episode_id])
            for episode_id, label in labels.items()
            if label.failure is not None and episode_id in by_episode
        ]
        made.append(agreement(labeller, pairs, len(labels) - len(pairs), seed))
    return made


def agreement(labeller: str, pairs: Sequence[tuple[Failure, Diagnosis]], n_others: int, seed: int) -> Agreement:
    """The figures of one labeller. Pure."""
    equal = [float(said is each.failure) for said, each in pairs]
    counts = Counter((said, each.failure) for said, each in pairs)
    return Agreement(
        labeller=labeller,
        n=len(pairs),
        n_others=n_others,
        equal=sum(equal) / len(equal) if equal else None,
        equal_ci95=mean_interval(equal, [each.cluster for _, each in pairs], seed=seed) if equal else None,
        kappa=_kappa([(said, each.failure) for said, each in pairs]),
        counts={a: {b: counts[a, b] for b in Failure} for a in Failure},
    )


def _kappa(pairs: Sequence[tuple[Failure, Failure]]) -> float | None:
    if not pairs:
        return None
    n = len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    by_chance = sum(first[each] * second[each] for each in Failure) / n**2
    observed = sum(a is b for a, b in pairs) / n
    return None if by_chance == 1 else (observed - by_chance) / (1 - by_chance)
