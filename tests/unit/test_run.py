"""The run directory: locked, tied to its configuration, and never worse off for a kill."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from deepsport.config import Config
from deepsport.durable import RecordFile, read_records, write_atomic
from deepsport.errors import BadRecord, RunError
from deepsport.records import SCHEMA_VERSION
from deepsport.run import BEAT_S, Run


class Rl(Config):
    steps: int = 20


class Recipe(Config):
    seed: int = 0
    rl: Rl = Rl()


class Line(BaseModel):
    n: int
    text: str = ""
    schema_version: int = SCHEMA_VERSION


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another Python process, told what to do on its command line."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


HOLD = """
    import sys, time
    from pathlib import Path
    from deepsport.run import Run
    run = Run.open(Path(sys.argv[1]), None)
    print("open", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "demo"


# ---- records


def test_appended_records_are_read_back_in_order(folder: Path) -> None:
    with Run.open(folder, None) as run:
        run.append("episodes.jsonl", Line(n=1, text="Tor ⚽\n"))
        run.append("episodes.jsonl", {"n": 2})
        assert run.read("episodes.jsonl", Line) == [Line(n=1, text="Tor ⚽\n"), Line(n=2)]


def test_a_file_that_was_never_written_holds_no_records(folder: Path) -> None:
    with Run.open(folder, None) as run:
        assert run.read("episodes.jsonl", Line) == []


def test_records_may_stand_in_a_folder_of_the_run(folder: Path) -> None:
    with Run.open(folder, None) as run:
        run.append("bench/sft/episodes.jsonl", Line(n=1))
        assert run.path("bench/sft/episodes.jsonl").read_text() == Line(n=1).model_dump_json() + "\n"


@pytest.mark.parametrize("name", ["../x.jsonl", "/tmp/x.jsonl", "a/../../x.jsonl"])
def test_a_name_that_leads_out_of_the_run_is_refused(folder: Path, name: str) -> None:
    with Run.open(folder, None) as run, pytest.raises(ValueError, match="leads out of the run"):
        run.append(name, Line(n=1))


@pytest.mark.parametrize("torn", ['{"n": 2, "te', "{", '{"n": 2, "text": "half', "\x00\x00\x00", '{"n": 2'])
def test_a_torn_last_line_is_passed_over_and_cut_off_by_the_next_append(folder: Path, torn: str) -> None:
    with Run.open(folder, None) as run:
        run.append("e.jsonl", Line(n=1))
    with (folder / "e.jsonl").open("a") as file:
        file.write(torn)
    with Run.open(folder, None) as run:
        assert run.read("e.jsonl", Line) == [Line(n=1)]
        run.append("e.jsonl", Line(n=3))
        assert run.read("e.jsonl", Line) == [Line(n=1), Line(n=3)]
    assert (folder / "e.jsonl").read_text().count("\n") == 2


def test_a_torn_first_line_and_a_torn_line_longer_than_a_block_are_cut_off_too(folder: Path) -> None:
    Run.open(folder, None).close()
    (folder / "first.jsonl").write_text('{"n": 1')
    (folder / "long.jsonl").write_text('{"n": 1}\n{"n": 2, "text": "' + "x" * 300_000)
    with Run.open(folder, None) as run:
        for name in ("first.jsonl", "long.jsonl"):
            run.append(name, Line(n=9))
        assert run.read("first.jsonl", Line) == [Line(n=9)]
        assert run.read("long.jsonl", Line) == [Line(n=1), Line(n=9)]


def test_a_whole_last_line_without_newline_is_kept(folder: Path) -> None:
    Run.open(folder, None).close()
    (folder / "e.jsonl").write_text('{"n": 1}\n{"n": 2}')
    with Run.open(folder, None) as run:
        assert run.read("e.jsonl", Line) == [Line(n=1), Line(n=2)]
        run.append("e.jsonl", Line(n=3))
        assert run.read("e.jsonl", Line) == [Line(n=1), Line(n=2), Line(n=3)]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'{"n": 1}\n{"n": \n{"n": 3}\n', 2),
        (b'{"n": 1}\n{"n": "x"}\n{"n": 3}\n', 2),
        (b'{"n": 1}\n\n{"n": null}\n', 3),
        (b'{"m": 1}\n', 1),
        (b'{"n": 1}\n{"n": "whole but wrong"}', 2),
        ('{"n": 1}\n'.encode("utf-16"), 1),
        (b"[1]\n", 1),
    ],
)
def test_a_broken_line_that_is_not_torn_is_refused_with_file_and_line(tmp_path: Path, content: bytes, line: int) -> None:
    path = tmp_path / "episodes.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadRecord, match=rf"episodes\.jsonl:{line} is not a valid Line"):
        list(read_records(path, Line))


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"n": 1}\r\n\r\n{"n": 2}\r\n')
    assert [line.n for line in read_records(path, Line)] == [1, 2]


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1])
@pytest.mark.parametrize("extra", ["", ', "n": 1'])
def test_a_record_of_another_schema_version_is_refused_by_that_name(tmp_path: Path, version: int, extra: str) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text(f'{{"schema_version": {version}{extra}}}\n')
    with pytest.raises(BadRecord, match=rf"e\.jsonl:1 was written with record schema {version}; this deepsport reads schema"):
        list(read_records(path, Line))


def test_records_of_a_missing_file_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none\.jsonl: there is no such file"):
        list(read_records(tmp_path / "none.jsonl", Line))


def test_threads_may_append_to_one_file(folder: Path) -> None:
    with Run.open(folder, None) as run:

        def work(start: int) -> None:
            for n in range(start, start + 50):
                run.append("e.jsonl", Line(n=n, text="x" * 500))

        threads = [threading.Thread(target=work, args=(50 * i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(line.n for line in run.read("e.jsonl", Line)) == list(range(200))


def test_every_record_that_append_returned_from_survives_kill_9(folder: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from deepsport.run import Run
        run = Run.open(Path(sys.argv[1]), None)
        for n in range(10**9):
            run.append("e.jsonl", {"n": n, "text": "x" * 200})
            print(n, flush=True)
    """
    with child(code, folder) as process:
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(200)][-1]
        process.kill()
        seen = max([seen, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
    with Run.open(folder, None) as run:
        numbers = [line.n for line in run.read("e.jsonl", Line)]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > seen
        run.append("e.jsonl", Line(n=len(numbers)))
        assert len(run.read("e.jsonl", Line)) == len(numbers) + 1


# ---- whole files


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_else(folder: Path) -> None:
    with Run.open(folder, None) as run:
        run.write("report.json", "old")
        assert run.write("report.json", b"new").read_bytes() == b"new"
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "report.json", "versions.json"]


def test_a_file_that_cannot_be_written_leaves_the_old_one_standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    write_atomic(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"report\.json: the disk is full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]


# ---- the disk


def test_a_full_disk_is_told_in_clear_words(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"e\.jsonl: the disk is full\. Free some space and run the same command again"):
        RecordFile(tmp_path / "e.jsonl").append(Line(n=1))


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no right to mount a small file system here, so a disk cannot be filled")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def append_forever(run: Run) -> None:
    for n in itertools.count():
        run.append("e.jsonl", Line(n=n, text="x" * 3000))


def test_on_a_disk_that_fills_up_what_is_finished_is_kept_and_the_run_goes_on_once_there_is_space(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "256k"), Run.open(tmp_path / "disk" / "run", None) as run:
        (tmp_path / "disk" / "ballast").write_bytes(bytes(100_000))
        with pytest.raises(RunError, match="the disk is full"):
            append_forever(run)
        written = len(run.read("e.jsonl", Line))
        assert written > 10
        assert [line.n for line in run.read("e.jsonl", Line)] == list(range(written))
        (tmp_path / "disk" / "ballast").unlink()
        run.append("e.jsonl", Line(n=written, text="x" * 3000))
        assert [line.n for line in run.read("e.jsonl", Line)] == list(range(written + 1))


@contextlib.contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder that this process may read but not write."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_a_folder_that_may_not_be_written_is_told_in_clear_words() -> None:
    with as_nobody() as folder, pytest.raises(RunError, match=r"permission denied\. Choose a folder that you may write"):
        Run.open(folder / "run", None)


def test_a_file_where_the_run_should_be_is_told_in_clear_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="a file of this name is in the way"):
        Run.open(tmp_path / "file", None)
    with pytest.raises(RunError, match="a part of this path is a file"):
        Run.open(tmp_path / "file" / "run", None)


# ---- the lock


def test_a_second_process_is_refused_with_the_holders_id(folder: Path) -> None:
    with child(HOLD, folder) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(RunError, match=f"in use by process {holder.pid}"):
            Run.open(folder, None)
        holder.send_signal(signal.SIGKILL)
    Run.open(folder, None).close()


def test_one_process_cannot_open_a_run_twice_but_again_after_closing_it(folder: Path) -> None:
    with Run.open(folder, None) as run:
        with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
            Run.open(folder, None)
        run.close()
        Run.open(folder, None).close()


def test_closing_a_run_twice_does_not_close_somebody_elses_lock(tmp_path: Path) -> None:
    first = Run.open(tmp_path / "a", None)
    first.close()
    with Run.open(tmp_path / "b", None):
        first.close()
        with pytest.raises(RunError, match="in use"):
            Run.open(tmp_path / "b", None)


def test_a_forked_worker_that_outlives_its_killed_parent_does_not_hold_the_run(folder: Path) -> None:
    code = """
        import os, signal, sys, time
        from pathlib import Path
        from deepsport.run import Run
        run = Run.open(Path(sys.argv[1]), None)
        born, tell = os.pipe()
        worker = os.fork()
        if worker == 0:
            os.write(tell, b"!")
            time.sleep(60)
        os.read(born, 1)
        print(worker, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with child(code, folder) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.wait()
        try:
            Run.open(folder, None).close()
        finally:
            os.kill(worker, signal.SIGKILL)


def test_a_failed_opening_leaves_the_run_unlocked(folder: Path) -> None:
    Run.open(folder, Recipe()).close()
    with pytest.raises(RunError, match="another configuration"):
        Run.open(folder, Recipe(seed=1))
    Run.open(folder, Recipe()).close()


# ---- the configuration


def test_the_resolved_config_is_written_once_and_the_same_one_opens_the_run_again(folder: Path) -> None:
    Run.open(folder, Recipe(seed=3)).close()
    before = (folder / "config.toml").stat()
    Run.open(folder, Recipe(seed=3)).close()
    assert (folder / "config.toml").read_text() == "seed = 3\n\n[rl]\nsteps = 20\n"
    assert (folder / "config.toml").stat().st_mtime_ns == before.st_mtime_ns


def test_a_changed_config_is_refused_with_the_difference_and_what_to_do(folder: Path) -> None:
    Run.open(folder, Recipe()).close()
    with pytest.raises(RunError) as refused:
        Run.open(folder, Recipe(rl=Rl(steps=30)))
    lines = [line.strip() for line in str(refused.value).splitlines()]
    assert lines[1:3] == ["- rl.steps = 20", "+ rl.steps = 30"]
    assert "seed" not in str(refused.value)
    assert "Use another folder, or start afresh (--fresh, FRESH=1)" in str(refused.value)


def test_a_setting_that_is_newer_than_the_run_counts_as_its_default(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("seed = 0\n")
    Run.open(folder, Recipe()).close()


def test_a_setting_that_no_longer_exists_is_shown_in_the_difference(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("seed = 0\nwarmth = 3\n")
    with pytest.raises(RunError, match="- warmth = 3"):
        Run.open(folder, Recipe())


def test_a_run_without_config_opens_for_reading_whatever_its_config_is(folder: Path) -> None:
    Run.open(folder, Recipe(seed=5)).close()
    Run.open(folder, None).close()
    assert "seed = 5" in (folder / "config.toml").read_text()


def test_a_moved_run_goes_on(folder: Path, tmp_path: Path) -> None:
    with Run.open(folder, Recipe()) as run:
        run.append("e.jsonl", Line(n=1))
        run.mark_done("sft", accuracy=0.5)
    moved = tmp_path / "elsewhere" / "run"
    moved.parent.mkdir()
    folder.rename(moved)
    with Run.open(moved, Recipe()) as run:
        assert run.done("sft")
        run.append("e.jsonl", Line(n=2))
        assert [line.n for line in run.read("e.jsonl", Line)] == [1, 2]
    assert not any(str(tmp_path) in path.read_text() for path in moved.iterdir())


def test_fresh_deletes_what_an_earlier_run_left(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").touch()
    with Run.open(folder, Recipe()) as run:
        run.append("bench/e.jsonl", Line(n=1))
        run.mark_done("sft")
        (folder / "link").symlink_to(outside)
    with Run.open(folder, Recipe(seed=9), fresh=True) as run:
        assert run.read("bench/e.jsonl", Line) == []
        assert not run.done("sft")
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "config.toml", "versions.json"]
    assert (outside / "keep").exists()


def test_fresh_does_not_empty_a_folder_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="holds files and is not a run directory"):
        Run.open(tmp_path, None, fresh=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_run_is_not_begun_among_somebodys_own_files(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text("years of work")
    with pytest.raises(RunError, match="holds files and is not a run directory"):
        Run.open(tmp_path, None)
    assert [path.name for path in tmp_path.iterdir()] == ["questions.jsonl"]


def test_fresh_does_not_empty_a_run_that_another_process_holds(folder: Path) -> None:
    with Run.open(folder, None) as run:
        run.append("e.jsonl", Line(n=1))
        with pytest.raises(RunError, match="in use"):
            Run.open(folder, None, fresh=True)
        assert run.read("e.jsonl", Line) == [Line(n=1)]


# ---- stages


def test_a_stage_is_done_after_a_clean_end_and_remembers_its_seconds_and_facts(folder: Path) -> None:
    clock = Clock()
    with Run.open(folder, None, clock=clock) as run:
        assert not run.done("sft")
        with run.stage("sft") as facts:
            clock.now += 12.5
            facts["accuracy"] = 0.5
    with Run.open(folder, None) as run:
        assert run.done("sft")
        assert run.stage_record("sft").facts == {"accuracy": 0.5}
        assert run.seconds_per_stage() == {"sft": 12.5}


def test_seconds_of_failed_and_repeated_attempts_add_up(folder: Path) -> None:
    clock = Clock()
    for attempt in range(3):
        with Run.open(folder, None, clock=clock) as run, contextlib.suppress(KeyboardInterrupt), run.stage("rl"):
            clock.now += 10
            if attempt < 2:
                raise KeyboardInterrupt
    with Run.open(folder, None) as run:
        assert run.done("rl")
        assert run.seconds_per_stage() == {"rl": 30.0}


def test_a_stage_within_a_stage_has_its_own_time_and_neither_is_counted_twice(folder: Path) -> None:
    clock = Clock()
    with Run.open(folder, None, clock=clock) as run, run.stage("sft"):
        clock.now += 1
        with run.stage("teach"):
            clock.now += 10
        clock.now += 100
        assert not run.done("sft")
    with Run.open(folder, None) as run:
        assert run.seconds_per_stage() == {"sft": 101.0, "teach": 10.0}


def test_a_failed_stage_is_not_done(folder: Path) -> None:
    with Run.open(folder, None) as run:
        with pytest.raises(ZeroDivisionError), run.stage("rl"):
            raise ZeroDivisionError
        assert not run.done("rl")


def test_the_seconds_of_a_killed_attempt_count_up_to_its_last_beat(folder: Path) -> None:
    clock = Clock()
    with Run.open(folder, None, clock=clock) as run, run.stage("rl"):
        clock.now += BEAT_S + 1
        run.append("e.jsonl", Line(n=1))
        clock.now += 1
        killed = json.loads((folder / "stages.json").read_text())
    assert killed["rl"] == {"done": False, "seconds": BEAT_S + 1, "facts": {}}
    with Run.open(folder, None) as run:
        assert run.seconds_per_stage() == {"rl": BEAT_S + 2}


def test_a_stage_file_changed_by_hand_is_refused_by_name(folder: Path) -> None:
    Run.open(folder, None).close()
    (folder / "stages.json").write_text("[]")
    with pytest.raises(BadRecord, match=r"stages\.json was changed by hand"):
        Run.open(folder, None)


def test_the_environment_is_noted_once_and_again_when_it_changes(folder: Path) -> None:
    Run.open(folder, None).close()
    Run.open(folder, None).close()
    path = folder / "versions.json"
    (first,) = json.loads(path.read_text())
    assert {"python", "platform", "deepsport", "av", "numpy"} <= first.keys()
    path.write_text(json.dumps([{**first, "av": "1.0"}]))
    Run.open(folder, None).close()
    assert [entry["av"] for entry in json.loads(path.read_text())] == ["1.0", first["av"]]


def test_what_is_appended_after_a_file_was_rewritten_is_kept(tmp_path: Path) -> None:
    with Run.open(tmp_path, None) as run:
        run.append("e.jsonl", Line(n=1))
        run.rewrite("e.jsonl", [Line(n=2), Line(n=3)])
        run.append("e.jsonl", Line(n=4))
        assert [line.n for line in run.read("e.jsonl", Line)] == [2, 3, 4]
