"""Figures in the README come from a report, never from a hand."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from deepsport.bench.report import PairedReport, Report, SystemReport

ROOT = Path(__file__).resolve().parents[2]


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_fill", ROOT / "docs" / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load_script()


def system(score: float | None, **known: float) -> SystemReport:
    rates = ("valid_action_rate", "tool_calls_per_question", "grounding_hit_rate", "event_seen_rate", "over_call_rate")
    figures = {name: known.get(name) for name in (*rates, "frames_per_question")}
    interval = None if score is None else (score - 5, score + 5)
    empty: dict[str, dict[str, object]] = {
        name: {} for name in ("stop_reasons", "failures", "by_sport", "by_dimension", "by_ease")
    }
    content = {
        "score": score,
        "ci95": interval,
        "chance": 28.0,
        "n_questions": 40,
        "n_videos": 10,
        "unscored": 0,
        "reward": None,
        **figures,
        **empty,
    }
    return SystemReport.model_validate(content)


REPORT = Report(
    systems={"no_tool": system(25.0), "sft_rl": system(71.5, grounding_hit_rate=0.9, frames_per_question=15.25)},
    paired={"sft_rl_minus_no_tool": PairedReport(difference=46.5, ci95=(40.0, 53.0), p=0.0004, n=40, better=20, worse=2)},
    seed=7,
    seconds_per_stage={"sft": 100.0, "rl": 30.0},
    versions={"torch": "2.13.0"},
)
PAGE = f"# Title\n\n{script.BEGIN}\nold\n{script.END}\n\nthe rest\n"


def test_the_section_is_replaced_and_the_rest_of_the_page_stays() -> None:
    page = script.fill(PAGE, REPORT)
    assert page.startswith(f"# Title\n\n{script.BEGIN}\n| | no tool | SFT + RL |\n|---|---|---|\n")
    assert page.endswith(f"{script.END}\n\nthe rest\n")
    assert "old" not in page
    assert script.fill(page, REPORT) == page


@pytest.mark.parametrize(
    "line",
    [
        "| score, 0-100 (95 % interval) | 25.0 (20.0 to 30.0) | 71.5 (66.5 to 76.5) |",
        "| a blind guess would score | 28.0 | 28.0 |",
        "| questions (clips) | 40 (10) | 40 (10) |",
        "| window met the event | - | 90 % |",
        "| frames per question | - | 15.2 |",
        "- SFT + RL against no tool: +46.5 (40.0 to 53.0) points on the same 40 questions, sign test p = 0.0004.",
        "Seed 7. 2 min 10 s in all: sft 1 min 40 s, rl 30 s. torch 2.13.0.",
    ],
)
def test_every_figure_is_the_reports_and_what_was_not_measured_is_a_dash(line: str) -> None:
    assert line in script.fill(PAGE, REPORT).splitlines()


@pytest.mark.parametrize("page", ["", script.BEGIN, f"{script.END}\n{script.BEGIN}", PAGE + PAGE])
def test_a_page_without_its_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="each once"):
        script.fill(page, REPORT)


def test_the_command_rewrites_the_page(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(REPORT.model_dump_json())
    (tmp_path / "page.md").write_text(PAGE)
    script.main(str(tmp_path / "report.json"), str(tmp_path / "page.md"))
    assert "SFT + RL" in (tmp_path / "page.md").read_text()


def test_the_readme_has_a_place_for_the_figures() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert script.BEGIN in script.fill(readme, REPORT)
