"""The report as Markdown, CSV and LaTeX: the digits of report.json, and no name that any of them takes for more than text."""

import csv
import io
import json
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsport.bench.measure import compare
from deepsport.bench.report import Part, Report, Timing
from deepsport.bench.reporting.figures import dollars, part_cell
from deepsport.bench.reporting.report_text import CSV_COLUMNS, csv_table, csv_text, escape_latex, escape_markdown, latex, markdown
from deepsport.bench.score import scores
from deepsport.records import Dimension, Episode
from made_episodes import episode, look, question

EVIL = "=a|b`c`<i>&%$#_{}~^\\[x](http://y) @z\n* www.y.z é東"


def answered(*answers: str, sport: str = "soccer") -> list[Episode]:
    kinds = (Dimension.RECOGNITION, Dimension.RULES)
    return [
        episode(answer, [look(28, 42)], question(f"{sport}{n}", video=f"{n}.mp4", sport=sport, dimension=kinds[n % 2]))
        for n, answer in enumerate(answers)
    ]


def report(names: Sequence[str] = ("first", "second"), sport: str = "soccer") -> Report:
    made = answered("volley", "header", "volley", "volley", sport=sport), answered("header", "header", "volley", sport=sport)
    return compare({name: scores(each) for name, each in zip(names, made, strict=True)}, seed=3)


BASE = report()


def called(name: str) -> Report:
    """The same report of a system of another name."""
    first, second = BASE.systems.values()
    pair = BASE.paired["second_minus_first"]
    return BASE.model_copy(update={"systems": {f"a{name}": first, "b": second}, "paired": {f"b_minus_a{name}": pair}})


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_figures_of_the_csv_are_those_of_report_json():
    made = report()
    stored = json.loads(made.model_dump_json())["systems"]
    found = {(row["system"], row["group"], row["name"]): row for row in rows(csv_table(made))}
    for name, one in stored.items():
        score = found[name, "Score", "Score"]
        assert (float(score["figure"]), float(score["low"]), float(score["high"])) == (one["score"], *one["ci95"])
        assert float(found[name, "Score", "Macro average"]["figure"]) == one["macro"]
        assert float(found[name, "Looking", "Temporal IoU"]["figure"]) == one["temporal_iou"]
        cell = one["by_cell"]["soccer"]["rules"]
        assert float(found[name, "By sport and dimension", "soccer, rules"]["figure"]) == cell["score"]
        assert int(found[name, "By sport and dimension", "soccer, rules"]["n"]) == cell["n"]
    pair = found["second_minus_first", "Comparison", "Difference"]
    assert float(pair["figure"]) == made.paired["second_minus_first"].difference


def test_the_digits_of_markdown_and_latex_are_those_of_the_page():
    made = report()
    for name, one in made.systems.items():
        said = part_cell(Part(score=one.score, ci95=one.ci95, n=0)).said
        assert said in markdown(made)
        figure, span = said.split(" ", 1)
        assert rf"{name} & {figure} {{\scriptsize {span}}} &" in latex(made)


def test_the_csv_is_long_with_a_row_for_each_figure_and_none_for_what_was_not_measured():
    made = rows(csv_table(report()))
    assert tuple(made[0]) == CSV_COLUMNS
    assert all(float(row["figure"]) is not None for row in made)
    assert {row["system"] for row in made} == {"first", "second", "second_minus_first"}
    assert not [row for row in made if row["name"] == "Cost per right answer"]


def test_seconds_stand_in_markdown_and_csv_where_a_clock_was_kept():
    timings = {"first": Timing(seconds_per_question=1.25, seconds_median=1, seconds_p95=2, wall_seconds_per_right=3)}
    assert "| 1.25 | – |" in markdown(report(), timings)
    assert [row["figure"] for row in rows(csv_table(report(), timings)) if row["name"] == "Seconds"] == ["1.25"]


def test_without_a_second_turn_nothing_is_said_of_turns():
    assert "Learning from each turn" in markdown(report())
    at_once = compare({"a": scores([episode("volley", [], question("q"))])})
    assert "Learning from each turn" not in markdown(at_once) + csv_table(at_once)


def test_markdown_says_notes_comparisons_and_the_cells():
    made = markdown(report(), notes=["one | is missing"])
    assert "> one \\| is missing" in made
    assert "- **second against first**: " in made
    assert "## By sport and dimension: second" in made


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "  =1", "\t=1", "\n=1", "＝1", "－1"])
def test_no_name_is_a_formula_in_a_spreadsheet(text: str):
    assert csv_text(text)[0] == "'"
    assert not any(row["system"].startswith(tuple("=+-@＝－")) for row in rows(csv_table(report([text, "b"]))))


def test_a_negative_figure_of_the_csv_stays_a_number():
    difference = next(row for row in rows(csv_table(report())) if row["name"] == "Difference")
    assert float(difference["figure"]) < 0


@given(st.text())
def test_no_name_breaks_the_rows_of_the_csv(text: str):
    table = list(csv.reader(io.StringIO(csv_table(called(text)))))
    assert {len(row) for row in table} == {len(CSV_COLUMNS)}
    assert len(table) == len(list(csv.reader(io.StringIO(csv_table(BASE)))))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("`x`", r"\`x\`"),
        ("<script>", "&lt;script&gt;"),
        ("R&D", "R&amp;D"),
        ("**x** _y_", r"\*\*x\*\* \_y\_"),
        ("[x](y)", r"\[x\](y)"),
        ("a\\|b", r"a\\\|b"),
        ("@team", "&#64;team"),
        ("see http://y", "see http&#58;//y"),
        ("www.y.z", "www&#46;y.z"),
        ("one\ntwo", "one two"),
        ("é東", "é東"),
    ],
)
def test_markdown_shows_the_characters_that_a_name_holds(text: str, escaped: str):
    assert escape_markdown(text) == escaped


@given(st.text())
def test_no_name_breaks_the_tables_of_markdown(text: str):
    def shape(name: str) -> list[int]:
        return [len(re.findall(r"(?<!\\)\|", line.replace(r"\\", ""))) for line in markdown(called(name)).split("\n")]

    assert shape(text) == shape("")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("100 % & $5", r"100 \% \& \$5"),
        ("a_b #1 {x}", r"a\_b \#1 \{x\}"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("[red]", "{[}red{]}"),
        ("*", "{*}"),
        ("one\n\ntwo", "one  two"),
        ("é東 –", "é東 –"),
    ],
)
def test_latex_prints_the_characters_that_a_name_holds(text: str, escaped: str):
    assert escape_latex(text) == escaped


@given(st.text())
def test_no_name_breaks_the_table_of_latex(text: str):
    def shape(name: str) -> list[int]:
        lines = latex(called(name)).split("\n")
        return [len(re.findall(r"(?<!\\)&", line)) for line in lines if not line.startswith("%")]

    assert shape(text) == shape("")


def test_hostile_names_leave_no_command_in_latex_and_no_tag_in_markdown():
    made = report([EVIL, "b"], sport=EVIL)
    commands = set(re.findall(r"\\[a-zA-Z]+", re.sub("(?m)^%.*$", "", latex(made))))
    assert commands <= {
        *(r"\begin", r"\end", r"\toprule", r"\midrule", r"\bottomrule", r"\scriptsize"),
        *(r"\textbackslash", r"\textasciitilde", r"\textasciicircum", r"\textless", r"\textgreater", r"\textbar"),
    }
    assert not re.search(r"<[a-z]|https?://", markdown(made, notes=[EVIL]))


@pytest.mark.parametrize(
    ("usd", "said"), [(0, "$0.00"), (12.345, "$12.35"), (0.5, "$0.50"), (0.01234, "$0.0123"), (1234, "$1,234.00")]
)
def test_small_prices_keep_their_digits(usd: float, said: str):
    assert dollars(usd) == said
