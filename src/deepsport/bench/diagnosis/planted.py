"""How well the diagnosis tells why: policies that fail in a known way play an arena set, and their failures are classed.

Their classes are true by construction (`arena.planted`). Unless it is asked for, the arena's truth is left aside, so that
windows, replay and stop reasons alone decide, as they would on footage.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from deepsport.agent.prompt import PromptStyle
from deepsport.arena.oracle import Oracle, open_oracle
from deepsport.arena.planted import Fault, Planted
from deepsport.bench.diagnose import Failure
from deepsport.bench.diagnosis.diagnosing import diagnose_run
from deepsport.bench.diagnosis.gathering import Means
from deepsport.bench.diagnosis.record import CLASS_OF, Cause, Diagnosis
from deepsport.bench.recipe import BenchConfig
from deepsport.bench.result import load_result
from deepsport.bench.suite import run_bench
from deepsport.policy.base import Policy
from deepsport.records import Record
from deepsport.run import Run
from deepsport.video.source import FrameSource

TRUE_CAUSES: Mapping[Fault, frozenset[Cause]] = {
    Fault.ASTRAY: frozenset({Cause.WRONG_WINDOW}),
    Fault.MISREADER: frozenset({Cause.MISREAD}),
    Fault.BREAKER: frozenset({Cause.FORMAT}),
    Fault.UNLOOKING: frozenset({Cause.NO_CALL}),
    Fault.UNVERSED: frozenset({Cause.KNOWLEDGE}),
}
"""What each fault is by construction."""


class PlantedOutcome(Record):
    """What became of the failures of one planted policy."""

    fault: Fault
    n_answers: int
    n_failed: int
    truly: Failure
    classed: dict[Failure, int]
    causes: dict[Cause, int]

    @property
    def class_rate(self) -> float | None:
        """Share of the failures that got their true class."""
        return self.classed.get(self.truly, 0) / self.n_failed if self.n_failed else None

    @property
    def cause_rate(self) -> float | None:
        """Share that got their true cause."""
        return sum(self.causes.get(cause, 0) for cause in TRUE_CAUSES[self.fault]) / self.n_failed if self.n_failed else None


def diagnose_planted(
    questions: Path, out: Path, *, faults: Sequence[Fault] = tuple(Fault), with_replay: bool = True, with_truth: bool = False
) -> list[PlantedOutcome]:
    """Each fault on the whole set, in a run of its own under `out`. Raises BadRecord, RunError."""
    oracle = open_oracle(questions.parent)
    return [_of_fault(fault, oracle, questions, out / fault, with_replay, with_truth) for fault in faults]


def _of_fault(fault: Fault, oracle: Oracle, questions: Path, folder: Path, with_replay: bool, with_truth: bool) -> PlantedOutcome:
    local = partial(_planted, fault, oracle)
    config = BenchConfig(questions=str(questions), system=f"planted, {fault}", model=f"planted-{fault}")
    run_bench(folder, config, local)
    result = load_result(folder)
    means = Means(local=local, with_replay=with_replay, without_truth=not with_truth)
    with Run.open(folder, None) as run, FrameSource() as source:
        diagnoses = diagnose_run(run, result, means, source)
    return outcome_of(fault, len(result.scores), diagnoses)


def outcome_of(fault: Fault, n_answers: int, diagnoses: Sequence[Diagnosis]) -> PlantedOutcome:
    """Counts what a planted policy's failures were taken for."""
    (truly,) = {CLASS_OF[cause] for cause in TRUE_CAUSES[fault]}
    return PlantedOutcome(
        fault=fault,
        n_answers=n_answers,
        n_failed=len(diagnoses),
        truly=truly,
        classed=dict(Counter(each.failure for each in diagnoses)),
        causes=dict(Counter(each.cause for each in diagnoses).most_common()),
    )


def _planted(fault: Fault, oracle: Oracle) -> tuple[Policy, PromptStyle]:
    return Planted(fault, oracle), PromptStyle.FULL
