"""`ds.load_run`: what a run has found, and its table."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import deepsport as ds
from deepsport.api.table import COLUMNS
from deepsport.bench.result import report_of
from deepsport.bench.suite import write_report
from deepsport.records import Episode, FreeText
from deepsport.reward.judge import Verdict
from deepsport.run import Run
from deepsport.video.source import FrameSource
from made_episodes import episode, look, malformed, question
from made_runs import made_run

ROOT = Path(__file__).resolve().parents[2]
OPEN = FreeText(answer="he slipped")


def played() -> list[Episode]:
    return [
        episode("volley", [look(28, 35)], question("right")),
        episode("header", [look(60, 90)], question("wrong", sport="tennis")),
        episode(None, [malformed()], question("broken"), stop=ds.StopReason.FORMAT_ERROR),
        episode(None, [], question("lost"), stop=ds.StopReason.POLICY_ERROR),
        episode("he fell", [], question("judged", gold=OPEN, event=None)),
        episode("who knows", [], question("open", gold=OPEN, event=None)),
    ]


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    said = {"judged/0": Verdict(points=5.0, reason="partly", judge="wise")}
    return made_run(tmp_path / "run", played(), said, system="mine").folder


def finish(folder: Path) -> None:
    """Writes what the end of a run writes."""
    run = ds.load_run(folder)
    lines = "".join(f"{score.model_dump_json()}\n" for score in run.scores)
    (folder / "scores.jsonl").write_text(lines)


def test_a_run_has_episodes_scores_and_a_report(bench):
    run = ds.load_run(bench)
    assert (run.systems, len(run)) == (("mine",), 6)
    assert [one.question.id for one in run.episodes] == ["right", "wrong", "broken", "lost", "judged", "open"]
    assert [one.accuracy for one in run.scores] == [1, 0, 0, None, 0.5, None]
    assert run.score == pytest.approx(37.5)
    assert run.report.systems["mine"].unscored == 2
    assert sum(run.unscored.values()) == 2


def test_the_report_that_a_run_has_written_is_the_one_that_is_read(bench):
    report = report_of(ds.load_run(str(bench))._answers[0].config, ds.load_run(bench).scores)
    changed = report.systems["mine"].model_copy(update={"score": 12.0})
    (bench / "report.json").write_text(report.model_copy(update={"systems": {"mine": changed}}).model_dump_json())
    assert ds.load_run(bench).score == 12
    (bench / "report.json").write_text("{}")
    assert ds.load_run(bench).score == pytest.approx(37.5)


def test_the_table_of_a_finished_run_is_that_made_from_its_episodes(bench):
    from pandas.testing import assert_frame_equal

    made = ds.load_run(bench).to_pandas()
    finish(bench)
    assert_frame_equal(ds.load_run(bench).to_pandas(), made)


def test_scores_on_record_are_read_while_there_is_one_for_every_episode(bench):
    finish(bench)
    scores = bench / "scores.jsonl"
    scores.write_text(scores.read_text().replace('"answer":"volley"', '"answer":"on record"'))
    assert ds.load_run(bench).scores[0].answer == "on record"
    with (bench / "episodes.jsonl").open("a") as file:
        file.write(f"{episode('volley', [], question('lost')).model_dump_json()}\n")
    scores_now = ds.load_run(bench).scores
    assert [score.answer for score in scores_now if score.question_id in ("right", "lost")] == ["volley", "volley"]
    assert len(scores_now) == 6


def test_scores_of_other_questions_are_refused(bench):
    finish(bench)
    lines = (bench / "scores.jsonl").read_text().splitlines(keepends=True)
    (bench / "scores.jsonl").write_text("".join(reversed(lines)))
    with pytest.raises(ds.BadRecord, match=r"Remove scores\.jsonl"):
        ds.load_run(bench).to_pandas()


def test_a_run_of_several_systems_keeps_their_order_and_leaves_its_teacher_out(tmp_path):
    with Run.open(tmp_path, None) as run, FrameSource() as source:
        systems = {"no_tool": played()[1:2], "sft": played()[:2], "sft_rl": played()[:1]}
        for name, episodes in {**systems, "teacher": played()}.items():
            run.rewrite(f"episodes/{name}.jsonl", episodes)
        unfinished = ds.load_run(tmp_path)
        assert unfinished.systems == ("no_tool", "sft", "sft_rl", "teacher")
        write_report(run, systems, source, seed=0)
    loaded = ds.load_run(tmp_path)
    assert loaded.systems == ("no_tool", "sft", "sft_rl")
    assert loaded.score == 100
    table = loaded.to_pandas()
    assert table.groupby("system", observed=True)["accuracy"].mean().to_dict() == {"no_tool": 0, "sft": 0.5, "sft_rl": 1}
    assert {one.name for one in (tmp_path / "episodes").iterdir()} >= {"teacher.jsonl"}


def test_a_file_of_episodes_is_a_run_of_its_own(bench):
    run = ds.load_run(bench / "episodes.jsonl")
    assert run.systems == ("episodes",)
    assert [one.accuracy for one in run.scores] == [1, 0, 0, None, None, None]
    assert run.score == pytest.approx(100 / 3)


def test_of_two_episodes_under_one_id_the_last_one_counts_at_the_place_of_the_first(tmp_path):
    lines = [one.model_dump_json() for one in (*played()[:2], episode("volley", [], question("wrong")))]
    (tmp_path / "run.jsonl").write_text("\n".join(lines) + "\n")
    run = ds.load_run(tmp_path / "run.jsonl")
    assert [(one.question.id, one.answer) for one in run.episodes] == [("right", "volley"), ("wrong", "volley")]
    assert [one.accuracy for one in run.scores] == [1, 1]


@pytest.mark.parametrize(
    ("what", "says"), [("nothing", "does not exist"), ("a folder", "holds no run"), ("other records", "1 is not")]
)
def test_what_is_no_run_is_told(what, says, tmp_path):
    path = tmp_path / "runs"
    if what == "a folder":
        path.mkdir()
    if what == "other records":
        path = tmp_path / "questions.jsonl"
        path.write_text(f"{question().model_dump_json()}\n")
    with pytest.raises(ds.BadRecord, match=says):
        _ = ds.load_run(path).episodes


def test_a_damaged_line_is_told_with_its_number(bench):
    lines = (bench / "episodes.jsonl").read_text().splitlines()
    (bench / "episodes.jsonl").write_text("\n".join([lines[0], '{"id": 3}', *lines[1:]]) + "\n")
    with pytest.raises(ds.BadRecord, match=r"episodes\.jsonl:2"):
        _ = ds.load_run(bench).scores


def test_the_table_has_a_row_for_each_answer_and_leaves_unknown_cells_empty(bench):
    table = ds.load_run(bench).to_pandas().set_index("question_id")
    assert table["accuracy"].isna().to_dict() == {
        "right": False, "wrong": False, "broken": False, "lost": True, "judged": False, "open": True
    }  # fmt: skip
    right, wrong, lost = table.loc["right"], table.loc["wrong"], table.loc["lost"]
    assert (right["answer"], right["sport"], right["n_frames"], bool(right["hit"])) == ("volley", "soccer", 16, True)
    assert (right["event_start_s"], right["event_end_s"]) == (30 / 25, 34 / 25)
    assert (wrong["failure"], wrong["stop"], lost["stop"]) == ("tool_grounding", "answered", "policy_error")
    assert table.loc["judged", "judge_points"] == 5
    assert table["answer"].isna().sum() == 2


def test_the_types_of_columns_hold_whatever_is_in_them(bench, tmp_path):
    expected = {column.name: column.dtype for column in COLUMNS}
    (tmp_path / "empty.jsonl").write_text("")
    for run in (bench, tmp_path / "empty.jsonl"):
        assert {name: str(dtype) for name, dtype in ds.load_run(run).to_pandas().dtypes.items()} == expected


def test_columns_can_be_calculated_with(bench):
    table = ds.load_run(bench).to_pandas()
    by_sport = table.groupby("sport", observed=True)["accuracy"].mean()
    assert by_sport.to_dict() == {"soccer": 0.5, "tennis": 0.0}
    assert table["hit"].sum() == 1


def test_the_page_lists_every_column_and_no_other():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", page, re.M)
    assert listed == [(column.name, column.dtype, column.about) for column in COLUMNS]


def test_without_pandas_the_rest_works_and_the_table_says_what_to_install(bench):
    code = (
        "import sys; sys.modules['pandas'] = None; import deepsport as ds\n"
        f"run = ds.load_run({str(bench)!r}); assert len(run.scores) == 6\n"
        "try: run.to_pandas()\nexcept ds.BadConfig as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "tables need pandas: pip install 'deepsport[pandas]'\n"


def test_a_run_may_be_moved(bench, tmp_path):
    shutil.move(bench, tmp_path / "moved")
    assert ds.load_run(tmp_path / "moved").score == pytest.approx(37.5)


def test_a_run_is_found_again_once_the_working_directory_has_changed(bench, tmp_path, monkeypatch):
    monkeypatch.chdir(bench.parent)
    run = ds.load_run(bench.name)
    monkeypatch.chdir(tmp_path.parent)
    assert len(run.episodes) == len(run.scores) == 6


def logged(folder: Path) -> Path:
    """What a training run of two stages leaves, the second of which was killed and did a step anew."""
    with Run.open(folder, None) as run:
        for step, loss in enumerate((2.0, 1.0)):
            run.append("metrics.jsonl", {"stage": "sft", "step": step, "loss": loss})
        for step, reward in ((0, 0.1), (1, 0.2), (1, 0.4)):
            run.append("metrics.jsonl", {"stage": "rl", "step": step, "reward": reward})
    return folder


def test_a_training_run_has_metrics_step_by_step_and_no_answers(tmp_path):
    run = ds.load_run(logged(tmp_path / "train"))
    table = run.metrics()
    assert list(zip(table.stage, table.step, strict=True)) == [("sft", 0), ("sft", 1), ("rl", 0), ("rl", 1)]
    assert table.loss.tolist()[:2] == [2.0, 1.0]
    assert table.loss.isna().tolist() == [False, False, True, True]
    assert table.reward.tolist()[2:] == [0.1, 0.4]
    assert (run.systems, len(run), run.episodes, run.score, run.report.systems) == ((), 0, [], None, {})
    assert len(run.to_pandas()) == 0


def test_a_run_that_trained_nothing_has_no_metrics_and_says_so(bench):
    with pytest.raises(ds.BadRecord, match="logged no metrics"):
        ds.load_run(bench).metrics()
