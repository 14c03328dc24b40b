"""A comparison in words: for a terminal, as a page, and its flips as CSV to go through by hand.

Names, questions and answers are others' text: pages escape them, CSV cells that a spreadsheet would run are made inert, and the
terminal's are cleaned by the command that prints them.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deepsport.bench.comparing.comparison import Change, Comparison, Flip
from deepsport.bench.comparing.slices import Slice
from deepsport.bench.reporting.figures import Cell, p_value
from deepsport.bench.reporting.page import render
from deepsport.bench.reporting.report_text import csv_text

CSV_COLUMNS = (
    *("question_id", "outcome", "sport", "dimension", "question", "reference"),
    *("answer_a", "answer_b", "accuracy_a", "accuracy_b"),
)
MOST_SHOWN = 200
"""Flips of one kind on the page; the CSV has them all."""
PARTED = " / "
"""Between the answers of several runs."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of one of the tables."""

    label: str
    about: str
    cells: tuple[Cell, ...]
    marked: bool = False
    """Too far apart for chance."""


def lead(comparison: Comparison) -> str:
    """The outcome in one sentence."""
    pair, a, b = comparison.pair, comparison.a, comparison.b
    by_bootstrap = "" if pair.p_bootstrap is None else f", {p_value(pair.p_bootstrap)} by bootstrap"
    span = f" ({_span(pair.ci95)})" if pair.ci95 else ""
    return (
        f"{b.name} {b.score:.1f} against {a.name} {a.score:.1f}: {pair.difference:+.1f} points{span}; {p_value(pair.p)} "
        f"by sign test over videos{by_bootstrap}. Of {pair.n} questions that both have a verdict on, "
        f"{len(comparison.flipped('fixed'))} were fixed and {len(comparison.flipped('broken'))} broken."
    )


def slice_rows(comparison: Comparison) -> list[Row]:
    """What is asked, n, both scores, the difference and its p; marked where Holm's p is below 0.05."""
    return [_slice_row(one) for one in comparison.slices]


def change_rows(comparison: Comparison) -> list[Row]:
    """What looking and answers cost per question."""
    return [_change_row(one) for one in comparison.changes]


def flips_csv(comparison: Comparison) -> str:
    """One row for each flip, in the order of the questions."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(map(_csv_row, comparison.flips))
    return out.getvalue().encode("utf-8", "replace").decode("utf-8")


def comparison_page(comparison: Comparison) -> str:
    """All of it as one self-contained page."""
    page = render(
        "comparison.html",
        title=f"{comparison.b.name} against {comparison.a.name}",
        lead=lead(comparison),
        names=(comparison.a.name, comparison.b.name),
        comparison=comparison,
        slices=slice_rows(comparison),
        changes=change_rows(comparison),
        flips=[("broken", *_first(comparison.flipped("broken"))), ("fixed", *_first(comparison.flipped("fixed")))],
    )
    return str(page)


def answers_in_words(answers: Sequence[str | None]) -> str:
    """The answers to one question."""
    return PARTED.join("no answer" if answer is None else answer for answer in answers)


def _first(flips: Sequence[Flip]) -> tuple[list[tuple[Flip, str, str]], int]:
    """Those that are shown, with their answers in words, and how many there are."""
    shown = [(flip, answers_in_words(flip.answers_a), answers_in_words(flip.answers_b)) for flip in flips[:MOST_SHOWN]]
    return shown, len(flips)


def _slice_row(one: Slice) -> Row:
    figures = (Cell(f"{one.score_a:.1f}"), Cell(f"{one.score_b:.1f}"), Cell(f"{one.difference:+.1f}", _span(one.ci95)))
    label = f"{one.by}: {one.name.replace('_', ' ')}"
    about = f"{one.n} questions, {one.n_videos} videos"
    return Row(label, about, (*figures, Cell(p_value(one.p_adjusted))), marked=one.p_adjusted < 0.05)


def _change_row(one: Change) -> Row:
    difference = Cell(f"{one.difference:+.4g}", _span(one.ci95, "+.3g"))
    return Row(one.name, "per question", (Cell(f"{one.a:.4g}"), Cell(f"{one.b:.4g}"), difference))


def _csv_row(flip: Flip) -> Iterator[str]:
    texts = (flip.question_id, flip.outcome, flip.sport or "", flip.dimension or "", flip.text, flip.reference or "")
    yield from map(csv_text, (*texts, answers_in_words(flip.answers_a), answers_in_words(flip.answers_b)))
    yield from (repr(flip.accuracy_a), repr(flip.accuracy_b))


def _span(ci95: tuple[float, float] | None, form: str = "+.1f") -> str:
    return f"{ci95[0]:{form}} to {ci95[1]:{form}}" if ci95 else ""
