"""Rows of a CSV file that people fill in: labels of answers, windows of events.

Commas, semicolons or tabs; UTF-8 or UTF-16; any line end. A row that cannot be read is an error with its line, not a drop: what
somebody said must not go missing in silence.
"""

from collections.abc import Iterator
from pathlib import Path

from deepsport.data.document import open_text
from deepsport.data.rows import csv_rows
from deepsport.data.source import Drops
from deepsport.durable import disk_errors
from deepsport.errors import BadAnnotation, BadRecord


def people_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows, each with its place (`labels.csv:3`); columns by their names in lower case.

    Raises BadRecord for a row that is none, RunError if the file cannot be read."""
    drops = Drops()
    try:
        for place, row in csv_rows(path, drops, delimiter=delimiter_of(path)):
            if drops.counts:
                break
            plain = {name.strip().casefold(): cell.strip() for name, cell in row.items()}
            if len(plain) < len(row):
                raise BadRecord(f"{path} has columns whose names differ in capitals only: {', '.join(plain)}. Keep one of each.")
            yield place, plain
    except BadAnnotation as error:
        raise BadRecord(str(error)) from None
    for why, places in drops.examples.items():
        raise BadRecord(f"{places[0]}: {why}. Mend or remove it.")


def delimiter_of(path: Path) -> str:
    """What parts the header's names; spreadsheets of half of Europe write semicolons. Raises RunError."""
    with disk_errors(path), open_text(path, errors="replace") as file:
        head = file.readline(65_536)
    return max(",;\t", key=head.count)
