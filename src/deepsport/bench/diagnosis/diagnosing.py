"""`deepsport diagnose`: gather the evidence on every failed answer of a run, tell the causes, write them down.

counterfactual.jsonl    every replay, as it came; counterfactual-verdicts.jsonl: what the judge said of some
findings.jsonl          what the examiner said
diagnoses.jsonl         one line per failed answer: what follows from these and the run, and from nothing else
diagnosis.json          the same, summed up; .html to look at, .md and .csv to take along
"""

import asyncio
from pathlib import Path

from deepsport.bench.diagnosis.gathering import Means, gather
from deepsport.bench.diagnosis.page import diagnosis_page
from deepsport.bench.diagnosis.people import agreements
from deepsport.bench.diagnosis.record import Diagnosis
from deepsport.bench.diagnosis.rules import diagnose
from deepsport.bench.diagnosis.summary import DiagnosisReport, summed_up
from deepsport.bench.diagnosis.text import csv_rows, markdown
from deepsport.bench.result import Result, load_result
from deepsport.run import Run
from deepsport.video.source import FrameSource

DIAGNOSES, NAME = "diagnoses.jsonl", "diagnosis"


def diagnose_folder(folder: Path, means: Means, *, out: Path | None = None, labels: Path | None = None) -> DiagnosisReport:
    """The whole of it for a benchmark run, written to `out` or into the run; `labels`: what people said of its failures.

    Raises as `diagnose_run`."""
    result = load_result(folder)
    with Run.open(out or folder, None) as run, FrameSource() as source:
        diagnoses = diagnose_run(run, result, means, source)
        people = agreements(labels, result.episodes, diagnoses, result.config.seed) if labels else []
        report = summed_up(result, diagnoses, people, examined=means.examiner is not None)
        run.write(f"{NAME}.json", report.model_dump_json(indent=1) + "\n")
        run.write(f"{NAME}.md", markdown(report))
        run.write(f"{NAME}.csv", csv_rows(diagnoses))
        run.write(f"{NAME}.html", diagnosis_page(report, result, diagnoses, source))
    return report


def diagnose_run(run: Run, result: Result, means: Means, source: FrameSource) -> list[Diagnosis]:
    """A diagnosis for every failed answer, in their order; written as `diagnoses.jsonl`.

    Raises BadConfig, BadRecord, RunError, PolicyError if an endpoint is broken, and Stopped if it was interrupted or has spent
    what it may: what is finished is kept, and the same command goes on."""
    diagnoses = [diagnose(case) for case in asyncio.run(gather(run, result, means, source))]
    run.rewrite(DIAGNOSES, diagnoses)
    return diagnoses
