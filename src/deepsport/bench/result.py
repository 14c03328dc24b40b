"""A benchmark run as it lies on disk, for all that is done with one later: judging anew, comparing, reporting, diagnosing.

config.toml      the recipe
episodes.jsonl   one line per answer, as it came; at the end in the order of the questions, each once
verdicts.jsonl   what the judge said of answers that no rule can score; verdicts-NAME.jsonl, what a later one did
scores.jsonl     one line per answer, in the order of the questions: made from the two above
report.json      every figure; timing.json holds what a clock said
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from deepsport.bench.evaluate import number_of
from deepsport.bench.measure import compare
from deepsport.bench.recipe import BenchConfig, Protocol
from deepsport.bench.report import Report, SystemReport
from deepsport.bench.score import Score, score
from deepsport.config import load
from deepsport.durable import disk_errors, read_records
from deepsport.errors import BadRecord
from deepsport.records import Episode, Record
from deepsport.reward.judge import Verdict, case_of_answer

_LOOKED_ELSEWHERE: dict[str, None] = dict.fromkeys(("hit", "seen", "seen_at", "iou", "offset_s"))
"""What nobody knows of answers that were given somewhere else: an episode without frames is not one that missed the event."""
_UNKNOWN_ELSEWHERE: dict[str, object] = {
    **dict.fromkeys(
        ("valid_action_rate", "tool_calls_per_question", "over_call_rate", "frames_per_question", "frames_per_right")
    ),
    "turns": (),
}
EPISODES, VERDICTS, SCORES = "episodes.jsonl", "verdicts.jsonl", "scores.jsonl"


class Judged(Record):
    """A line of `verdicts.jsonl`."""

    episode_id: str
    case: str
    """Hash of what was judged (`Case.content_key`): another answer or reference is another case."""
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The answers of one system, and their scores."""

    folder: Path
    config: BenchConfig
    episodes: list[Episode]
    """Question by question, all runs of one in a row."""
    scores: list[Score]
    """As many, in the same order."""
    judged: list[Judged]
    """What the judge said whose verdicts count."""

    @property
    def name(self) -> str:
        """What the system is called."""
        return self.config.system


def load_result(folder: Path, verdicts: str = VERDICTS) -> Result:
    """What a run has so far, finished or not; `verdicts` names the file of the judge whose verdicts count.

    Raises BadRecord for a folder that holds no benchmark, or a damaged line."""
    if not (folder / EPISODES).is_file() or not (folder / "config.toml").is_file():
        raise BadRecord(f"{folder} holds no benchmark run. Give a folder that `deepsport bench run` has made.")
    config = load(BenchConfig, folder / "config.toml")
    episodes = last_of_each(read_records(folder / EPISODES, Episode))
    judged = list(read_records(folder / verdicts, Judged)) if (folder / verdicts).is_file() else []
    return Result(folder=folder, config=config, episodes=episodes, scores=scores_of(episodes, judged, config), judged=judged)


def scores_of(episodes: Sequence[Episode], judged: Iterable[Judged], config: BenchConfig) -> list[Score]:
    """A score for each episode; a verdict on another answer, or on another reference, does not count. Pure."""
    said = {one.episode_id: one for one in judged}
    made = [
        score(episode, _verdict(episode, said.get(episode.id)), run=run_of(episode, config), price=config.price)
        for episode in episodes
    ]
    return [one.model_copy(update=_LOOKED_ELSEWHERE) for one in made] if config.protocol is Protocol.IMPORTED else made


def report_of(config: BenchConfig, made: Sequence[Score], versions: Mapping[str, str] | None = None) -> Report:
    """`report.json` of one run. Raises BadRecord if a question occurs twice in a run."""
    report = compare({config.system: made}, seed=config.seed, versions=versions)
    return report.model_copy(update={"systems": {config.system: as_known(report.systems[config.system], config)}})


def stored_report(path: Path) -> Report | None:
    """What a run has written down; None if it has not yet, or another version did. Raises RunError if it cannot be read."""
    if not path.is_file():
        return None
    with disk_errors(path), suppress(ValidationError):
        return Report.model_validate_json(path.read_bytes())


def as_known(report: SystemReport, config: BenchConfig) -> SystemReport:
    """Without what nobody knows of answers that were given somewhere else: they were not shown 0 frames."""
    return report.model_copy(update=_UNKNOWN_ELSEWHERE) if config.protocol is Protocol.IMPORTED else report


def run_of(episode: Episode, config: BenchConfig) -> int:
    """In which of several runs an episode was played, by its seed."""
    return number_of(episode, config.seed, config.runs)


def _verdict(episode: Episode, judged: Judged | None) -> Verdict | None:
    if judged is None or judged.case != case_of_answer(episode.question, episode.answer).content_key:
        return None
    return judged.verdict


def last_of_each(episodes: Iterable[Episode]) -> list[Episode]:
    """Of several episodes under one id the last, at the place of the first."""
    return list({episode.id: episode for episode in episodes}.values())
