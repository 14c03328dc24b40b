"""Files that change, break or are odd while the viewer looks at them: none of it stops the rest."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from deepsport.bench.judged.labels import read_labels
from deepsport.bench.result import Judged
from deepsport.serve.viewer import annotation_csv
from deepsport.serve.viewer.annotations import LABEL_FORM
from deepsport.serve.viewer.filters import Filters, Sort, words_of
from deepsport.serve.viewer.growing_file import GrowingFile
from deepsport.serve.viewer.line_to_row import SetKind
from deepsport.serve.viewer.verdict_files import MOST_PROBLEMS, VerdictFile
from made_runs import made_run
from viewed_runs import Visited, add_lines, many, viewing, write_lines


def address(seen: Visited, what: str) -> str:
    return f"/api/sets/{seen.the_set()}/episodes/{seen.episodes()['rows'][0]['id']}/{what}"


def test_a_link_that_leads_to_itself_hides_no_run(tmp_path: Path) -> None:
    made_run(tmp_path / "a", many(1))
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "a" / "samples").symlink_to("samples")
    with viewing(tmp_path) as seen:
        assert [run["name"] for run in seen.get("/api/runs")["runs"]] == ["a"]
        assert seen.episodes()["n_total"] == 1


def test_verdicts_that_cannot_be_read_are_told_and_episodes_are_shown(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "a", many(2)).folder
    (folder / "verdicts.jsonl").unlink(missing_ok=True)
    (folder / "verdicts.jsonl").symlink_to("/proc/self/mem")  # can be opened, and not be read
    with viewing(tmp_path / "a") as seen:
        (problem,) = seen.get("/api/runs")["runs"][0]["sets"][0]["problems"]
        assert seen.episodes()["n_total"] == 2
    assert problem.startswith("verdicts.jsonl cannot be read")


def test_of_many_broken_verdicts_the_first_are_kept(tmp_path: Path) -> None:
    (tmp_path / "v.jsonl").write_text("x\n" * 1000)
    verdicts = VerdictFile(tmp_path / "v.jsonl", Judged)
    verdicts.poll()
    assert len(verdicts.problems) == MOST_PROBLEMS


def test_a_file_that_is_written_over_with_as_many_bytes_is_read_anew(tmp_path: Path) -> None:
    path = made_run(tmp_path / "a", many(3)).folder / "episodes.jsonl"
    with viewing(tmp_path / "a") as seen:
        path.write_text(path.read_text().replace("That settles it.", "This settles it."))
        assert seen.settled().settled().episodes(text='"this settles"')["n_found"] == 3


def test_a_line_that_is_added_between_two_looks_is_not_taken_for_another_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("1\n")
    growing = GrowingFile(path)
    for number in range(3):
        assert len(growing.read()) == 1
        assert growing.is_current()
        with path.open("a") as file:
            file.write(f"{number}\n")
        assert growing.is_current()


def test_a_last_line_that_was_never_finished_is_looked_at_once_and_not_waited_for(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "e.jsonl", many(1))
    with path.open("a") as file:
        file.write('{"id": "' + "x" * 100_000)
    with viewing(path) as seen:
        assert seen.episodes()["indexed"] == 1.0
    growing = GrowingFile(path)
    assert len(growing.read()) == 1
    assert growing.read() == []
    before = Path("/proc/thread-self/io").read_text().split()[1]
    assert growing.read() == []
    after = Path("/proc/thread-self/io").read_text().split()[1]
    assert int(after) - int(before) < 10_000


def test_a_search_looks_through_the_rows_that_the_list_is_of(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "e.jsonl", many(20))
    with viewing(path) as seen:
        (one,) = seen.catalogue.sets.values()
        version, words = one.version, words_of("volley")
        before = one.choose(Filters((), words))
        add_lines(path, many(25)[20:])
        seen.settled()
        one.index.version -= one.version - version  # rows are there a moment before the version says so
        one._recent._kept.pop(version)  # as another thread's result takes its place
        after = one.choose(Filters((), words, Sort.BEST))
    assert (before.n_total, after.n_total) == (20, 25)


def test_rows_of_a_list_are_read_from_the_file_that_the_list_is_of(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "e.jsonl", many(9))
    with viewing(path) as seen:
        (one,) = seen.catalogue.sets.values()
        chosen = one.choose(Filters())
        write_lines(tmp_path / "new", many(2)[::-1]).replace(path)
        assert seen.settled().episodes()["n_total"] == 2
        found = [one.index.again(chosen.view, row) for row in chosen.rows.tolist()]
    assert [each and each.entry.episode.id for each in found] == [each.id for each in many(9)]
    assert one.index.kind is SetKind.EPISODES


@pytest.mark.parametrize("odd", ["a\rb", "a\nb", 'a"b', "a;b,c", "é", "=1+1", "a\u2028b"])
def test_an_answer_with_any_id_is_labelled_once(tmp_path: Path, odd: str) -> None:
    path = write_lines(tmp_path / "e.jsonl", [many(1)[0].model_copy(update={"id": odd})])
    with viewing(path) as seen:
        for right in (False, True):
            reply = seen.put(address(seen, "label"), {"right": right, "labeller": "anna"})
            assert [label["right"] for label in reply.json()] == [right]
    (label,) = read_labels(tmp_path / "e.labels.csv").labels
    assert label.episode_id == odd


@pytest.mark.parametrize("odd", [" a", "a\n", "\t"])
def test_an_id_that_a_csv_file_cannot_name_is_told(tmp_path: Path, odd: str) -> None:
    path = write_lines(tmp_path / "e.jsonl", [many(1)[0].model_copy(update={"id": odd})])
    with viewing(path) as seen:
        reply = seen.put(address(seen, "label"), {"right": True})
    assert reply.status_code == 409
    assert "blanks" in reply.json()["error"]["message"]
    assert not (tmp_path / "e.labels.csv").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"episode_id,right\n   \nq,yes\n",
        b'episode_id,right\n""\nq,yes\n',
        b"\n\nepisode_id,right\nq,yes\n",
        b"\xef\xbb\xbfepisode_id;right\r\nq;yes\r\n",
        "episode_id;right\nq;yes\n".encode("utf-16"),
    ],
)
def test_a_label_is_added_to_a_file_as_spreadsheets_leave_it(tmp_path: Path, content: bytes) -> None:
    run = made_run(tmp_path / "nano", many(1))
    file = tmp_path / "nano.labels.csv"
    file.write_bytes(content)
    with viewing(tmp_path / "nano") as seen:
        assert seen.put(address(seen, "label"), {"right": True}).status_code == 200
    assert {label.episode_id for label in read_labels(file).labels} == {"q", run.episodes[0].id}
    assert (b"\r\n" in file.read_bytes()) == (b"\r\n" in content)


def test_a_file_that_is_too_large_to_be_changed_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotation_csv, "LONGEST_FILE", 100)
    made_run(tmp_path / "nano", many(1))
    file = tmp_path / "nano.labels.csv"
    content = "episode_id,right\n" + "".join(f"other {number},yes\n" for number in range(50))
    file.write_text(content)
    with viewing(tmp_path / "nano") as seen:
        assert seen.put(address(seen, "label"), {"right": True}).status_code == 409
    assert file.read_text() == content


def test_labels_of_two_viewers_at_once_are_all_kept(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from deepsport.serve.viewer.annotation_csv import AnnotationFile; "
        "from deepsport.serve.viewer.annotations import LABEL_FORM; "
        "file = AnnotationFile(Path(sys.argv[1]), LABEL_FORM, lambda path: 0, 0); "
        "[file.change(lambda row: False, {'episode_id': f'{sys.argv[2]}{n}', 'right': 'yes'}) for n in range(40)]"
    )
    file = tmp_path / "l.csv"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(file), name]) for name in "ab"]
    assert [each.wait(60) for each in writers] == [0, 0]
    rows = list(csv.DictReader(file.open()))
    assert len(rows) == 80
    assert set(rows[0]) == set(LABEL_FORM.columns)


@pytest.mark.parametrize("name", ["%40anna", "%3Danna", "%00"])
def test_a_name_that_is_not_allowed_can_be_taken_back(tmp_path: Path, name: str) -> None:
    made_run(tmp_path / "nano", many(1))
    with viewing(tmp_path / "nano") as seen:
        assert seen.delete(f"{address(seen, 'label')}?labeller={name}").json() == []


def test_a_line_with_torn_letters_is_told_and_the_next_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(json.dumps({"id": "é"}, ensure_ascii=False).encode()[:-3] + b"\n")
    add_lines(path, many(1))
    with viewing(path) as seen:
        assert seen.episodes()["n_total"] == 1
        assert len(seen.get("/api/runs")["runs"][0]["sets"][0]["problems"]) == 1
