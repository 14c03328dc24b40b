"""Benchmark runs made by hand: the files of one, from episodes made by hand."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from deepsport.bench.evaluate import seed_of
from deepsport.bench.recipe import BenchConfig
from deepsport.bench.result import EPISODES, VERDICTS, Judged, Result, load_result
from deepsport.config import dump
from deepsport.records import Episode
from deepsport.reward.judge import Verdict, case_of_answer


def judged(episode: Episode, verdict: Verdict) -> Judged:
    """A verdict on the answer of an episode, as a run keeps it."""
    case = case_of_answer(episode.question, episode.answer)
    return Judged(episode_id=episode.id, case=case.content_key, verdict=verdict)


def made_run(
    folder: Path,
    episodes: Iterable[Episode],
    verdicts: Mapping[str, Verdict] | None = None,
    *,
    system: str = "",
    runs: Sequence[int] = (0,),
    **config: object,
) -> Result:
    """Writes a run in which each episode was played in every one of `runs`, and reads it back; verdicts by episode id."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"questions": "set/questions.jsonl", "system": system or folder.name, "runs": len(runs), **config}
    played = [numbered(episode, number) if len(runs) > 1 else episode for episode in episodes for number in runs]
    (folder / "config.toml").write_text(dump(BenchConfig.model_validate(settings)))
    (folder / EPISODES).write_text("".join(f"{one.model_dump_json()}\n" for one in played))
    said = [judged(one, verdicts[one.id]) for one in played if one.id in (verdicts or {})]
    if said:
        (folder / VERDICTS).write_text("".join(f"{one.model_dump_json()}\n" for one in said))
    return load_result(folder)


def numbered(episode: Episode, run: int) -> Episode:
    """The episode as if it had been played in that run."""
    seed = seed_of(run, episode.question.id)
    return episode.model_copy(update={"id": f"{episode.question.id}/{seed}", "seed": seed})
