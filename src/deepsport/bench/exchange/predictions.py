"""Answers that were given somewhere else become a benchmark run: scored, reported, compared, judged anew like any other.

Each answer is an episode of one turn without frames. What is known of how the system looked, waited and paid is nothing, and the
scores say so where they can. A question without an answer counts as wrong: whoever answers only what is easy must not score
higher for it. Left unscored instead, it is counted.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deepsport.agent.grammar import MAX_REPLY_CHARS, Answer, ChooseFrames, Malformed, parse
from deepsport.bench.endpoints import ALONE
from deepsport.bench.evaluate import seed_of
from deepsport.bench.exchange.prediction_file import Prediction, read_predictions, short
from deepsport.bench.judged.judging import judge_answers
from deepsport.bench.recipe import BenchConfig, Protocol
from deepsport.bench.report import Report
from deepsport.bench.result import EPISODES, SCORES, VERDICTS, report_of, scores_of
from deepsport.bench.suite import REPORT, write_page
from deepsport.bench.tasks import hold_to, load_questions
from deepsport.errors import BadRecord, RunError
from deepsport.policy.openai.allowance import Allowance
from deepsport.records import Episode, Question, StopReason, Turn
from deepsport.reward.offline_judge import OfflineJudge
from deepsport.run import Run
from deepsport.video.source import FrameSource

MOST_NAMED = 5
"""Ids that a message names."""


class Missing(StrEnum):
    """What a question without an answer counts as."""

    WRONG = "wrong"
    """0: the system had nothing to say."""
    UNSCORED = "unscored"
    """Left out of every rate, and counted: the system was not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of a file of predictions."""

    report: Report
    missing: tuple[str, ...]
    """Questions without an answer."""
    malformed: tuple[str, ...]
    """Questions whose reply begins with a thought and does not end in an answer."""


def import_predictions(
    questions: Path,
    predictions: Path,
    out: Path,
    *,
    system: str,
    id_key: str = "",
    answer_key: str = "",
    missing: Missing = Missing.WRONG,
    fresh: bool = False,
) -> Imported:
    """Makes a run of a file of answers.

    Raises BadRecord for what is no prediction or answers no question, RunError if the folder holds something else."""
    asked = load_questions(questions)
    said = read_predictions(predictions, id_key=id_key, answer_key=answer_key)
    _require_known(said, asked, predictions, questions)
    config = BenchConfig(questions=str(questions), system=system, protocol=Protocol.IMPORTED, model=system)
    episodes = [episode_of(question, said.get(question.id), system, missing) for question in asked]
    with Run.open(out, config, fresh=fresh) as run:
        hold_to(run, asked)
        _require_same(run, said, missing)
        report = _finish(run, config, episodes)
        run.mark_done("import", file=predictions.name, sha256=_digest(said), missing=missing.value)
    return Imported(
        report=report,
        missing=tuple(question.id for question in asked if not _answered(said, question)),
        malformed=tuple(one.question.id for one in episodes if one.stop is StopReason.FORMAT_ERROR and one.turns),
    )


def episode_of(question: Question, said: Prediction | None, system: str, missing: Missing) -> Episode:
    """The answer to one question as an episode of one turn; of none where nothing was said."""
    seed = seed_of(0, question.id)
    made = Episode(
        id=f"{question.id}/{seed}", question=question, policy=system, seed=seed, with_tool=False, stop=StopReason.FORMAT_ERROR
    )
    if said is None or not said.answer.strip():
        lost = StopReason.POLICY_ERROR if missing is Missing.UNSCORED else StopReason.FORMAT_ERROR
        return made.model_copy(update={"stop": lost, "detail": "no answer was imported"})
    turn, fault = _turn(said.answer)
    if fault:
        return made.model_copy(update={"turns": (turn,), "detail": fault})
    return made.model_copy(update={"turns": (turn,), "answer": turn.answer, "stop": StopReason.ANSWERED})


def _turn(text: str) -> tuple[Turn, str]:
    """A reply in the grammar is read as such, anything else is the answer as it stands; and what is wrong with it."""
    if len(text) > MAX_REPLY_CHARS:
        return Turn(text=text[:MAX_REPLY_CHARS]), f"the reply has {len(text):,} characters"
    plain = text.strip()
    if not plain.startswith(("<think>", "<answer>")):
        return Turn(text=text, answer=plain), ""
    match parse(plain if plain.startswith("<think>") else f"<think></think>{plain}"):
        case Answer(thought, answer):
            return Turn(text=text, thought=thought, answer=answer), ""
        case ChooseFrames(thought):
            return Turn(text=text, thought=thought), "the reply asks for frames and does not answer"
        case Malformed(reason):
            return Turn(text=text, note=reason), reason


def _finish(run: Run, config: BenchConfig, episodes: Sequence[Episode]) -> Report:
    """Judges by rule what can be, and writes the files of a run, each whole."""
    run.rewrite(EPISODES, episodes)
    judged = asyncio.run(judge_answers(run, episodes, OfflineJudge(), n_workers=ALONE, allowance=Allowance()))
    made = scores_of(episodes, judged, config)
    report = report_of(config, made, run.versions)
    if judged:
        run.rewrite(VERDICTS, judged)
    run.rewrite(SCORES, made)
    run.write(REPORT, report.model_dump_json(indent=1) + "\n")
    with FrameSource() as source:
        write_page(run, report, {config.system: list(zip(episodes, made, strict=True))}, source)
    return report


def _answered(said: Mapping[str, Prediction], question: Question) -> bool:
    prediction = said.get(question.id)
    return prediction is not None and bool(prediction.answer.strip())


def _require_known(said: Mapping[str, Prediction], asked: Sequence[Question], predictions: Path, questions: Path) -> None:
    known = {question.id for question in asked}
    if len(known) < len(asked):
        raise BadRecord(f"{questions}: an id stands twice; `deepsport data check` names it")
    unknown = [name for name in said if name not in known]
    if unknown:
        more = ", ..." if len(unknown) > MOST_NAMED else ""
        raise BadRecord(
            f"{predictions} answers {len(unknown)} questions that {questions} does not ask: "
            f"{', '.join(map(short, unknown[:MOST_NAMED]))}{more}. Name the question set that the answers are for."
        )


def _require_same(run: Run, said: Mapping[str, Prediction], missing: Missing) -> None:
    """A run is of the same predictions, and counts missing ones in one way. Raises RunError."""
    before = run.stage_record("import").facts
    if before and (before.get("sha256"), before.get("missing")) != (_digest(said), missing.value):
        raise RunError(
            f"{run.folder} was made from other predictions, or counts missing ones otherwise. Use another folder, or start "
            "afresh (--fresh), which deletes what it holds."
        )


def _digest(said: Mapping[str, Prediction]) -> str:
    """Of ids and answers, so that other keys of the same file are other predictions."""
    pairs = sorted((one.question_id, one.answer) for one in said.values())
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
