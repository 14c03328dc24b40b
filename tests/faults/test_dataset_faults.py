"""Fault group D: a dataset is written whole, without leaks and of records that can be scored, or it is refused by name.

Decided here: a record that could be valid but cannot be scored (an empty answer, a number that is none, no reference) is left out
and counted, in the manifest and on the card; a line that is no record, an id that is there twice and a byte that is not as the
manifest says end the command. A sport that nobody has heard of, or none, is kept and counted under its name or as unknown.
"""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepsport.data.dataset.columns import SCHEMA
from deepsport.data.dataset.folder import load_split, read_questions, taking_the_place_of
from deepsport.data.dataset.gathering import LONGEST_TEXT, QuestionFile
from deepsport.data.dataset.making import leaks_file, make_dataset
from deepsport.data.dataset.manifest import Manifest, load_manifest
from deepsport.data.dataset.publish import publish
from deepsport.data.fingerprint import Clip
from deepsport.data.importing import import_source
from deepsport.data.source import find_source
from deepsport.errors import BadRecord, LeakError, RunError
from deepsport.records import Choice, Dimension, FreeText, Number, Provenance, Question, Window

Columns = dict[str, object]
NAN, INF = float("nan"), float("inf")


def asked(name: str, **more: object) -> Question:
    origin = Provenance(source="made", file="a.json", record=name, match=f"match {name}", licence="MIT")
    question = Question(
        id=name,
        video=f"{name}.mp4",
        text="How many turns?",
        gold=Number(answer=2, unit="turns"),
        window=Window(start_s=1, end_s=2),
        sport="figure_skating",
        dimension=Dimension.RECOGNITION,
        provenance=origin,
    )
    return question.model_copy(update=more)


def of_clip(name: str, sha256: str) -> Question:
    question = asked(name)
    assert question.provenance is not None
    return question.model_copy(update={"provenance": question.provenance.model_copy(update={"video_sha256": sha256})})


def lines(*questions: Question) -> bytes:
    return "".join(question.model_dump_json() + "\n" for question in questions).encode()


def written(folder: Path, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "questions.jsonl").write_bytes(content)
    return folder / "questions.jsonl"


def made(tmp_path: Path, *questions: Question) -> Manifest:
    """All of them in one split."""
    path = written(tmp_path / "set", lines(*questions))
    return make_dataset([QuestionFile(path)], tmp_path / "dataset", shares={"train": 1})


def ids(tmp_path: Path) -> list[str]:
    return [question.id for question in read_questions(tmp_path / "dataset", "train")]


# Leaks


def given_sides(tmp_path: Path, train: Question, test: Question, clips: Iterable[Clip] = ()) -> Manifest:
    rest = written(tmp_path / "rest", lines(train))
    (tmp_path / "rest" / "clips.jsonl").write_text("".join(clip.model_dump_json() + "\n" for clip in clips))
    files = [QuestionFile(rest), QuestionFile(written(tmp_path / "test", lines(test)), "test")]
    return make_dataset(files, tmp_path / "dataset")


def clip(sha256: str, last: str) -> Clip:
    looks = tuple(f"{n}23456789abcde{n}{last}" for n in range(8))
    return Clip(video=f"{sha256[0]}.mp4", sha256=sha256, n_frames=90, duration_s=3, size_wh=(64, 48), frame_hashes=looks)


def test_the_same_video_in_train_and_test_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(LeakError, match=r"x \(train\) has the same footage as y \(test\)"):
        given_sides(tmp_path, of_clip("x", "a" * 64), of_clip("y", "a" * 64))
    assert not (tmp_path / "dataset").exists()
    assert leaks_file(tmp_path / "dataset").exists()


def test_a_refused_split_leaves_the_dataset_that_was_there(tmp_path: Path) -> None:
    made(tmp_path, asked("old"))
    with pytest.raises(LeakError):
        given_sides(tmp_path, of_clip("x", "a" * 64), of_clip("y", "a" * 64))
    assert ids(tmp_path) == ["old"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_same_video_encoded_again_is_written_with_a_warning(tmp_path: Path) -> None:
    looks = [clip("a" * 64, "0"), clip("b" * 64, "1")]
    manifest = given_sides(tmp_path, of_clip("x", "a" * 64), of_clip("y", "b" * 64), looks)
    assert manifest.leaks is not None
    assert manifest.leaks.n_lookalikes == 1
    assert "| clips that look alike (for a person to judge) | 2 | 1 |" in (tmp_path / "dataset" / "README.md").read_text()


def test_a_broken_line_among_the_clips_is_refused_by_file_and_line(tmp_path: Path) -> None:
    path = written(tmp_path / "set", lines(asked("x")))
    (tmp_path / "set" / "clips.jsonl").write_text('{"video": 3}\n')
    with pytest.raises(BadRecord, match=r"clips\.jsonl:1"):
        make_dataset([QuestionFile(path)], tmp_path / "dataset")


# Records


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"gold": FreeText(answer="")}, "an empty answer"),
        ({"gold": FreeText(answer=" \n\t")}, "an empty answer"),
        ({"gold": Choice(options=("", "yes"), answer="")}, "an empty answer"),
        ({"gold": None}, "no reference answer"),
        ({"text": "  "}, "an empty question"),
        ({"gold": Number(answer=NAN)}, "a number that is not finite"),
        ({"gold": Number(answer=2, tolerance=INF)}, "a number that is not finite"),
        ({"window": Window(start_s=1, end_s=INF)}, "a window that is not finite"),
        ({"text": "x" * (LONGEST_TEXT + 1)}, "longer than 65,536 characters"),
        ({"gold": FreeText(answer="word " * LONGEST_TEXT)}, "longer than 65,536 characters"),
    ],
)
def test_a_record_that_cannot_be_scored_is_left_out_and_counted(more: Columns, reason: str, tmp_path: Path) -> None:
    manifest = made(tmp_path, asked("bad", **more), asked("good"))
    assert ids(tmp_path) == ["good"]
    assert manifest.left_out == {reason: 1}


def test_nothing_that_can_be_asked_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match="1 left out: no reference answer"):
        made(tmp_path, asked("bad", gold=None))


@pytest.mark.parametrize("sport", ["underwater chess", None, "", "soccer/../x", "<b>"])
def test_a_sport_that_nobody_knows_is_kept_and_counted(sport: str | None, tmp_path: Path) -> None:
    manifest = made(tmp_path, asked("x", sport=sport))
    assert manifest.parts["train"].by_sport == {sport or "unknown": {"recognition": 1}}
    assert ids(tmp_path) == ["x"]


OPTIONS = b'"options":["a","b"],"answer":"%s"'
CLOSED = b'{"id":"x","video":"x.mp4","text":"?","gold":{"kind":"choice",%s}}\n'


@pytest.mark.parametrize(
    "line",
    [
        CLOSED % b'"options":["a","b"],"answer":"c"',
        CLOSED % b'"options":["a","a"],"answer":"a"',
        CLOSED % b'"options":[],"answer":""',
        CLOSED % b'"options":["a","b"],"answer":null',
        b'{"id":"x"}\n',
        b"[]\n",
        b"not json\n",
        lines(asked("x"))[:-20] + b"\n",
        b'{"id":"\xff","video":"x","text":"?"}\n',
    ],
)
def test_a_line_that_is_no_record_is_refused_by_file_and_number(line: bytes, tmp_path: Path) -> None:
    path = written(tmp_path / "set", lines(asked("a")) + line + lines(asked("b")))
    with pytest.raises(BadRecord, match=r"questions\.jsonl:2 is not a valid Question"):
        make_dataset([QuestionFile(path)], tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()


def test_an_id_that_is_there_twice_is_refused_with_both_files(tmp_path: Path) -> None:
    files = [QuestionFile(written(tmp_path / name, lines(asked(name), asked("twice")))) for name in "ab"]
    with pytest.raises(BadRecord, match=r"'twice' stands in .*a/questions\.jsonl and again in .*b/questions\.jsonl"):
        make_dataset(files, tmp_path / "dataset")


def test_one_file_given_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "set", lines(asked("x")))
    with pytest.raises(BadRecord, match="'x' stands in"):
        make_dataset([QuestionFile(path), QuestionFile(path, "test")], tmp_path / "dataset")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + lines(asked("x"), asked("y")),
        lines(asked("x"), asked("y")).replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf\r\n\r\n" + lines(asked("x"), asked("y")).replace(b"\n", b"\r\n") + b"\r\n",
        lines(asked("x"), asked("y"))[:-1],
        lines(asked("x"), asked("y"), asked("torn"))[:-30],
    ],
    ids=["BOM", "CRLF", "BOM and CRLF", "no last newline", "torn last line"],
)
def test_lines_of_other_editors_are_read(content: bytes, tmp_path: Path) -> None:
    make_dataset([QuestionFile(written(tmp_path / "set", content))], tmp_path / "dataset", shares={"train": 1})
    assert ids(tmp_path) == ["x", "y"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", ""], ids=["newline", "no newline"])
def test_another_encoding_is_refused_by_name(encoding: str, end: str, tmp_path: Path) -> None:
    content = (lines(asked("x")).decode().strip() + end).encode(encoding)
    with pytest.raises(BadRecord, match=r"questions\.jsonl"):
        make_dataset([QuestionFile(written(tmp_path / "set", content))], tmp_path / "dataset")


def test_a_line_of_50_mb_is_left_out_and_the_next_is_read(tmp_path: Path) -> None:
    manifest = made(tmp_path, asked("long", text="word " * 10_000_000), asked("x"))
    assert ids(tmp_path) == ["x"]
    assert manifest.left_out == {"longer than 65,536 characters": 1}


def test_50_mb_that_are_no_record_are_refused_by_line_in_a_short_message(tmp_path: Path) -> None:
    path = written(tmp_path / "set", lines(asked("x")) + b"[" * 50_000_000 + b"\n")
    with pytest.raises(BadRecord, match=r"questions\.jsonl:2") as refusal:
        make_dataset([QuestionFile(path)], tmp_path / "dataset")
    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize("there", ["missing", "folder"])
def test_a_file_that_is_none_is_refused_by_name(there: str, tmp_path: Path) -> None:
    if there == "folder":
        (tmp_path / "x.jsonl").mkdir()
    with pytest.raises(BadRecord, match=r"x\.jsonl is not a file"):
        make_dataset([QuestionFile(tmp_path / "x.jsonl")], tmp_path / "dataset")


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    from deepsport.data.dataset.making import unwatched

    path = written(tmp_path / "set", lines(asked("x"), asked("y")))

    def changing(step: str, n: int | None):  # type: ignore[no-untyped-def]
        if step == "writing":
            written(tmp_path / "set", lines(asked("x"), asked("z")))
        return unwatched(step, n)

    with pytest.raises(BadRecord, match="has changed while it was read"):
        make_dataset([QuestionFile(path)], tmp_path / "dataset", watch=changing)
    assert not (tmp_path / "dataset").exists()


def test_a_missing_clip_is_kept_apart_and_never_part_of_a_dataset(tmp_path: Path) -> None:
    event = {"frame": 3, "label": "near_court_serve", "comment": ""}
    (tmp_path / "val.json").write_text(json.dumps([{"video": "a_1_2", "num_frames": 9, "events": [event], "fps": -1}]))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "other.mp4").write_bytes(b"")
    report = import_source(find_source("tennis"), tmp_path / "val.json", tmp_path / "set", tmp_path / "videos")
    assert (report.n_questions, report.n_missing) == (0, 3)
    with pytest.raises(BadRecord, match="no question that can be asked"):
        make_dataset([QuestionFile(tmp_path / "set" / "questions.jsonl")], tmp_path / "dataset")


@pytest.mark.parametrize("licence", ["", " ", "\n"])
def test_a_record_without_a_licence_is_not_exported(licence: str, tmp_path: Path) -> None:
    origin = Provenance(source="made", file="", record="", match="m", licence=licence)
    made(tmp_path, asked("mine"), asked("theirs", provenance=origin))
    report = publish(tmp_path / "dataset", tmp_path / "public", "parquet")
    assert [question.id for question in load_split(tmp_path / "public")] == ["mine"]
    assert report.left_out == {"no licence is stated": 1}


# Shards


def shard(tmp_path: Path) -> Path:
    return tmp_path / "dataset" / "train" / "00000.parquet"


def sign(tmp_path: Path, **changes: object) -> None:
    """Puts the hash of the shard as it is now into the manifest, so that only what is in it can be wrong."""
    path = tmp_path / "dataset" / "manifest.json"
    manifest = json.loads(path.read_text())
    (entry,) = manifest["parts"]["train"]["shards"]
    entry |= {"sha256": hashlib.sha256(shard(tmp_path).read_bytes()).hexdigest()} | changes
    path.write_text(json.dumps(manifest))


def rewritten(tmp_path: Path, changes: Mapping[str, object]) -> None:
    """The shard with its second row changed, and signed."""
    made(tmp_path, asked("x"), asked("y", gold=Choice(options=("a", "b"), answer="a")), asked("z"))
    rows = pq.read_table(shard(tmp_path)).to_pylist()
    rows[1] |= changes
    schema = pa.schema([field.with_nullable(True) for field in SCHEMA])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), shard(tmp_path))
    sign(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"answer_kind": "number", "number": NAN, "unit": "", "tolerance": 0.0}, "number is nan"),
        ({"answer_kind": "number", "number": INF, "unit": "", "tolerance": 0.0}, "number is inf"),
        ({"tolerance": -INF}, "tolerance is -inf"),
        ({"start_s": NAN}, "start_s is nan"),
        ({"end_s": INF}, "end_s is inf"),
        ({"start_s": None}, r"window\.start_s"),
        ({"start_s": 3.0}, "window"),
        ({"start_s": 1.5}, "record_sha256"),
        ({"answer": "c"}, "gold"),
        ({"answer": None}, "gold"),
        ({"options": ["a"]}, "record_sha256"),
        ({"options": None}, "gold"),
        ({"answer_kind": "essay"}, "gold"),
        ({"answer_kind": None}, "record_sha256"),
        ({"dimension": "taste"}, "dimension"),
        ({"licence": None}, r"provenance\.licence"),
        ({"licence": "CC0-1.0"}, "record_sha256"),
        ({"source": None}, "record_sha256"),
        ({"event_first_index": 3}, r"provenance\.event_frames"),
        ({"record_sha256": "0" * 64}, "record_sha256"),
    ],
)
def test_a_row_that_is_not_as_it_was_written_is_refused_by_file_and_row(changes: Columns, said: str, tmp_path: Path) -> None:
    rewritten(tmp_path, changes)
    with pytest.raises(BadRecord, match=rf"00000\.parquet, row 2: .*{said}"):
        ids(tmp_path)


@pytest.mark.parametrize("column", ["id", "video", "text", "easy", "record_sha256"])
def test_a_null_where_there_must_be_a_value_is_refused(column: str, tmp_path: Path) -> None:
    rewritten(tmp_path, {column: None})
    with pytest.raises(BadRecord, match=rf"00000\.parquet, row 2: its {column} is null"):
        ids(tmp_path)


Change = Callable[[pa.Table], pa.Table]
TABLES: dict[str, Change] = {
    "number is string": lambda table: with_type(table, "number", pa.string()),
    "number is float": lambda table: with_type(table, "number", pa.float32()),
    "easy is missing": lambda table: table.drop_columns(["easy"]),
    "extra is string": lambda table: table.append_column("extra", pa.array(["x"] * table.num_rows)),
    "in another order": lambda table: table.select(table.column_names[::-1]),
}


def with_type(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, table.column(name).cast(kind))


@pytest.mark.parametrize("said", TABLES)
def test_other_columns_are_refused_with_the_first_that_differs(said: str, tmp_path: Path) -> None:
    made(tmp_path, asked("x"))
    pq.write_table(TABLES[said](pq.read_table(shard(tmp_path))), shard(tmp_path))
    sign(tmp_path)
    with pytest.raises(BadRecord, match=rf"00000\.parquet has other columns.*{said}"):
        ids(tmp_path)


def flipped(content: bytes) -> bytes:
    return content[:200] + bytes([content[200] ^ 1]) + content[201:]


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda raw: raw[:-1], lambda raw: raw[: len(raw) // 2], flipped, lambda raw: raw + b"\0"]
)
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_a_damaged_shard_is_refused_by_name(damage: Callable[[bytes], bytes], signed: bool, tmp_path: Path) -> None:
    made(tmp_path, *(asked(f"{n}") for n in range(50)))
    shard(tmp_path).write_bytes(damage(shard(tmp_path).read_bytes()))
    if signed:
        sign(tmp_path)
    with pytest.raises(BadRecord, match=r"00000\.parquet" if signed else r"00000\.parquet is not the shard"):
        ids(tmp_path)


def test_a_shard_that_is_gone_is_refused_by_name(tmp_path: Path) -> None:
    made(tmp_path, asked("x"))
    shard(tmp_path).unlink()
    with pytest.raises(RunError, match=r"00000\.parquet"):
        ids(tmp_path)


def test_more_rows_than_the_manifest_says_are_refused(tmp_path: Path) -> None:
    made(tmp_path, asked("x"), asked("y"))
    sign(tmp_path, n_questions=1)
    with pytest.raises(BadRecord, match="holds 2 questions; the manifest says 1"):
        ids(tmp_path)


@pytest.mark.parametrize(
    "way", ["../secret.parquet", "train/../../secret.parquet", "{}", "link.parquet", "..\\secret.parquet", "a\0b"]
)
def test_no_shard_leads_out_of_the_dataset(way: str, tmp_path: Path) -> None:
    made(tmp_path, asked("x"))
    secret = tmp_path / "secret.parquet"
    secret.write_bytes(shard(tmp_path).read_bytes())
    (tmp_path / "dataset" / "link.parquet").symlink_to(secret)
    sign(tmp_path, path=way.format(secret))
    with pytest.raises(BadRecord, match="leads out of its folder"):
        ids(tmp_path)


# Manifests


def test_a_manifest_of_another_version_is_refused_with_its_version(tmp_path: Path) -> None:
    made(tmp_path, asked("x"))
    path = tmp_path / "dataset" / "manifest.json"
    path.write_text(path.read_text().replace('"manifest_version": 1', '"manifest_version": 2'))
    with pytest.raises(BadRecord, match="version 2; this deepsport reads version 1"):
        load_manifest(tmp_path / "dataset")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"manifest_version": 1}', b"\xff", b"[" * 100_000, b"NaN"])
def test_what_is_no_manifest_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(BadRecord, match=r"manifest\.json"):
        load_manifest(tmp_path)


def test_a_folder_without_a_manifest_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"manifest\.json: there is no such file"):
        load_manifest(tmp_path)


# Kills

KILLED = """
import os, signal, sys
from pathlib import Path
from deepsport.data.dataset import making
from deepsport.data.dataset.gathering import QuestionFile
step = sys.argv[1]
if step == "before the rename":
    Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
else:
    shown = making.unwatched
    def watch(name, n):
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return shown(name, n)
making.make_dataset([QuestionFile(Path(sys.argv[2]))], Path(sys.argv[3]), watch=locals().get("watch", making.unwatched))
"""


@pytest.mark.parametrize("step", ["comparing", "writing", "checking", "checking words", "before the rename"])
def test_a_kill_leaves_the_old_dataset_whole(step: str, tmp_path: Path) -> None:
    made(tmp_path, asked("old"))
    path = written(tmp_path / "other", lines(asked("new")))
    done = subprocess.run([sys.executable, "-c", KILLED, step, path, tmp_path / "dataset"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert ids(tmp_path) == ["old"]
    make_dataset([QuestionFile(path)], tmp_path / "dataset", shares={"train": 1})
    assert ids(tmp_path) == ["new"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_old_dataset_that_a_kill_left_aside_comes_back(tmp_path: Path) -> None:
    made(tmp_path, asked("old"))
    (tmp_path / "dataset").rename(tmp_path / ".dataset.old")
    with pytest.raises(LeakError):
        given_sides(tmp_path, of_clip("x", "a" * 64), of_clip("y", "a" * 64))
    assert ids(tmp_path) == ["old"]


# Two at once, and places that cannot be taken

WAITING = """
import sys
from pathlib import Path
from deepsport.data.dataset.folder import taking_the_place_of
with taking_the_place_of(Path(sys.argv[1])) as folder:
    (folder / "whole").write_text("mine")
    print("making", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another_making(out: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that is making the dataset until it reads a line."""
    command = [sys.executable, "-c", WAITING, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "making\n"
        yield process
        process.communicate("\n")


@pytest.mark.parametrize("way", ["dataset", "link"])
def test_the_second_to_make_a_dataset_is_refused_by_the_first_and_spoils_nothing(way: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "dataset")
    path = written(tmp_path / "set", lines(asked("x")))
    with another_making(tmp_path / "dataset") as first:
        with pytest.raises(RunError, match=f"in use by process {first.pid}"):
            make_dataset([QuestionFile(path)], tmp_path / way)
        with pytest.raises(RunError, match=f"in use by process {first.pid}"):
            publish(path, tmp_path / way, "jsonl")
    assert first.returncode == 0
    assert (tmp_path / "dataset" / "whole").read_text() == "mine"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_another_dataset_beside_is_made_meanwhile(tmp_path: Path) -> None:
    with another_making(tmp_path / "other"):
        made(tmp_path, asked("x"))
    assert ids(tmp_path) == ["x"]


def test_what_a_killed_process_held_is_free(tmp_path: Path) -> None:
    with another_making(tmp_path / "dataset") as first:
        first.kill()
        first.wait()
        made(tmp_path, asked("x"))
    assert ids(tmp_path) == ["x"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_lock_that_its_last_holder_removed_meanwhile_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def too_late(file: int, how: int) -> None:
        (tmp_path / ".dataset.lock").unlink()
        monkeypatch.setattr(fcntl, "flock", flock)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", too_late)
    with taking_the_place_of(tmp_path / "dataset"), pytest.raises(RunError, match="in use by process"):
        made(tmp_path, asked("x"))


def test_of_many_at_once_every_one_is_whole_or_refused(tmp_path: Path) -> None:
    def make(number: int) -> bool:
        """Whether it was made."""
        try:
            with taking_the_place_of(tmp_path / "dataset") as folder:
                (folder / "manifest.json").write_text(EMPTY)
                (folder / "README.md").write_text(f"{number}")
                assert (folder / "README.md").read_text() == f"{number}"
        except RunError as refusal:
            assert "in use by process" in str(refusal)  # noqa: PT017
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert any(list(pool.map(make, range(200))))
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


EMPTY = Manifest(deepsport="1", parts={}, licences={}, left_out={}, splitting=None, leaks=None).model_dump_json()


@pytest.mark.parametrize("place", [".", "..", "../here", "/"])
def test_a_folder_that_one_stands_in_is_not_replaced(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "set", lines(asked("x")))
    (tmp_path / "a" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "here")
    with pytest.raises(RunError, match="another folder"):
        make_dataset([QuestionFile(path)], Path(place))
    with pytest.raises(RunError, match="another folder"):
        publish(path, Path(place), "parquet")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "here", "questions.jsonl", "set"]


@pytest.mark.parametrize(
    ("place", "where"), [(".", "a/here.leaks.jsonl"), ("..", "a.leaks.jsonl"), ("link", "dataset.leaks.jsonl")]
)
def test_leaks_are_listed_beside_the_folder_itself(
    place: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "here").mkdir(parents=True)
    (tmp_path / "a" / "here" / "link").symlink_to(tmp_path / "dataset")
    monkeypatch.chdir(tmp_path / "a" / "here")
    assert leaks_file(Path(place)) == tmp_path.resolve() / where


def test_a_split_that_is_read_is_not_replaced(tmp_path: Path) -> None:
    path = written(tmp_path / "set", lines(*(asked(f"{n}") for n in range(10))))
    publish(path, tmp_path / "dataset", "jsonl")
    (tmp_path / "link").symlink_to(tmp_path / "dataset" / "train.jsonl")
    for read in (tmp_path / "dataset" / "train.jsonl", tmp_path / "link"):
        with pytest.raises(RunError, match=r"is read and lies within .*Choose another folder"):
            make_dataset([QuestionFile(path), QuestionFile(read, "val")], tmp_path / "dataset")
    assert len(ids(tmp_path)) == 10


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    path = written(tmp_path / "set", lines(asked("x")))
    with pytest.raises(RunError, match="permission denied"):
        make_dataset([QuestionFile(path)], tmp_path / "closed" / "dataset")


def test_a_file_in_the_place_of_the_dataset_is_said(tmp_path: Path) -> None:
    (tmp_path / "dataset").write_text("mine")
    with pytest.raises(RunError, match="is a file"):
        made(tmp_path, asked("x"))
    assert (tmp_path / "dataset").read_text() == "mine"
