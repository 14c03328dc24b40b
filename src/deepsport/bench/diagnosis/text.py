"""A diagnosis as Markdown and as CSV: the page's figures without its drawings, and one row per failed answer."""

import csv
import io
from collections.abc import Iterator, Sequence

from deepsport.bench.diagnosis.record import Diagnosis
from deepsport.bench.diagnosis.summary import PAPER_SHARES, DiagnosisReport
from deepsport.bench.diagnosis.words import BY_NAMES, CAUSE_NAMES, CLASS_NAMES, lead, notes, percent, span
from deepsport.bench.reporting.report_text import csv_text, escape_markdown
from deepsport.records import Window

COLUMNS = (
    *("episode_id", "question_id", "run", "sport", "dimension", "failure", "cause", "also", "decided_by", "answer", "reference"),
    *("replayed_answer", "replayed_accuracy", "offset_s", "clip_s", "event", "windows", "finding", "evidence"),
)
MOST_ROWS = 20
Row = Sequence[str | float | None]


def csv_rows(diagnoses: Sequence[Diagnosis]) -> str:
    """One row per failed answer."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in diagnoses:
        writer.writerow([csv_text(cell) if isinstance(cell, str) else "" if cell is None else repr(cell) for cell in _row(each)])
    return out.getvalue().encode("utf-8", "replace").decode("utf-8")


def markdown(report: DiagnosisReport) -> str:
    """The figures as tables."""
    lines = [f"# Why {escape_markdown(report.system)} fails", "", escape_markdown(lead(report)), ""]
    lines += [f"- {escape_markdown(note)}" for note in notes(report)]
    lines += ["", *_table(("class", "n", "share", "95 %", "the paper's"), list(_classes(report)))]
    lines += ["", "The paper's shares are of its own failures on its own benchmark (arXiv 2511.12908), for reference only."]
    causes = [(CAUSE_NAMES[cause], str(n)) for cause, n in report.causes.items()]
    decided = [(BY_NAMES[by], str(n)) for by, n in report.decided_by.items()]
    lines += ["", *_table(("cause", "n"), causes), "", *_table(("decided by", "n"), decided)]
    lines += ["", *_table(("clip", "questions", "hit", "failures", "median offset", "of the clip"), list(_lengths(report)))]
    lines += ["", *_table(("right", "answered instead", "sport", "times", "of"), list(_confused(report)))]
    lines += ["", *_table(("sport", "dimension", "class", "failed", "of", "rate", "95 %"), list(_worst(report)))]
    return "\n".join(lines).encode("utf-8", "replace").decode("utf-8") + "\n"


def _row(each: Diagnosis) -> Row:
    return (
        *(each.episode_id, each.question_id, each.run, each.sport, each.dimension, each.failure, each.cause, each.also, each.by),
        *(each.answer, each.reference, each.replayed_answer, each.replayed_accuracy, each.offset_s, each.clip_s),
        *(_said(each.window), "; ".join(map(_said, each.asked)), each.finding, " ".join(each.evidence)),
    )


def _said(window: Window | None) -> str:
    return f"{window.start_s:.3f} to {window.end_s:.3f}" if window else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield "| " + " | ".join(escape_markdown(cell) for cell in row) + " |"


def _classes(report: DiagnosisReport) -> Iterator[Sequence[str]]:
    for failure, share in report.classes.items():
        yield CLASS_NAMES[failure], str(share.n), percent(share.share), span(share.ci95), percent(PAPER_SHARES[failure])


def _lengths(report: DiagnosisReport) -> Iterator[Sequence[str]]:
    for each in report.by_length:
        offset = "–" if each.offset_s is None else f"{each.offset_s:.2f} s"
        where = f"{each.from_s:g} to {each.to_s:g} s"
        yield where, str(each.n), percent(each.hit), str(each.n_failed), offset, percent(each.offset_share)


def _confused(report: DiagnosisReport) -> Iterator[Sequence[str]]:
    for each in report.confused[:MOST_ROWS]:
        yield each.right, each.said, each.sport or "", str(each.n), str(each.n_right)


def _worst(report: DiagnosisReport) -> Iterator[Sequence[str]]:
    for each in report.worst[:MOST_ROWS]:
        few = " (few)" if each.few else ""
        failure = each.failure.replace("_", " ")
        yield each.sport, each.dimension, failure, str(each.n_failed), f"{each.n}{few}", percent(each.rate), span(each.ci95)
