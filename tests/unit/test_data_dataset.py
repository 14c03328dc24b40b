"""A dataset on disk: questions come back as they went in, the same questions give the same bytes, the card says what it is."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsport.data.dataset.card import card
from deepsport.data.dataset.columns import content_hash, question_of, row_of
from deepsport.data.dataset.folder import load_split, read_questions
from deepsport.data.dataset.gathering import QuestionFile
from deepsport.data.dataset.making import make_dataset
from deepsport.data.dataset.manifest import Manifest, Part, is_dataset, load_manifest
from deepsport.data.dataset.publish import PublishReport, publish
from deepsport.data.dataset.shards import Form
from deepsport.durable import read_records
from deepsport.errors import BadRecord, LeakError, RunError
from deepsport.records import Choice, Dimension, Fact, FreeText, Number, Provenance, Question, Window

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
CHOICES = st.lists(TEXT, min_size=1, max_size=4, unique=True).flatmap(
    lambda options: st.builds(Choice, options=st.just(tuple(options)), answer=st.sampled_from(options))
)
FACTS = st.builds(Fact, options=st.lists(TEXT, max_size=3).map(tuple), answer=TEXT)
FREE_TEXTS = st.builds(FreeText, answer=TEXT, facts=st.lists(FACTS, max_size=2).map(tuple))
NUMBERS = st.builds(Number, answer=FINITE, unit=TEXT, tolerance=FINITE)
WINDOWS = st.tuples(*[st.floats(0, 1e6)] * 2).map(lambda ends: Window(start_s=min(ends), end_s=max(ends)))
FRAMES = st.tuples(st.integers(0, 2**40), st.integers(0, 2**40))
ORIGINS = st.builds(
    Provenance,
    source=TEXT,
    file=TEXT,
    record=TEXT,
    match=TEXT,
    licence=TEXT,
    event_frames=st.none() | FRAMES,
    video_sha256=TEXT,
)
QUESTIONS = st.builds(
    Question,
    id=TEXT,
    video=TEXT,
    text=TEXT,
    gold=st.none() | CHOICES | NUMBERS | FREE_TEXTS,
    window=st.none() | WINDOWS,
    sport=st.none() | TEXT,
    dimension=st.none() | st.sampled_from(Dimension),
    easy=st.booleans(),
    provenance=st.none() | ORIGINS,
)


def asked(name: str, *, licence: str = "MIT", source: str = "made", video: str | None = None, **more: object) -> Question:
    origin = Provenance(source=source, file="a.json", record=name, match=f"match {name}", licence=licence, video_sha256="")
    question = Question(
        id=f"{source}/{name}",
        video=video or f"clips/{name}.mp4",
        text="Which jump is this?",
        gold=Choice(options=("axel", "lutz"), answer="axel"),
        sport="figure_skating",
        dimension=Dimension.RECOGNITION,
        provenance=origin,
    )
    return question.model_copy(update=more)


def written(folder: Path, questions: Iterable[Question]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "questions.jsonl").write_text("".join(question.model_dump_json() + "\n" for question in questions))
    return folder / "questions.jsonl"


def made(tmp_path: Path, questions: Sequence[Question] | None = None, name: str = "dataset") -> Path:
    """A dataset of some questions, ten unless told."""
    some = [asked(f"{n}") for n in range(10)] if questions is None else questions
    make_dataset([QuestionFile(written(tmp_path / "set", some))], tmp_path / name)
    return tmp_path / name


def everything(dataset: Path) -> list[Question]:
    return [question for split in load_manifest(dataset).parts for question in read_questions(dataset, split)]


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# Rows


@given(QUESTIONS)
def test_a_question_comes_back_from_its_row(question: Question) -> None:
    assert question_of(row_of(question)) == question


@given(QUESTIONS, QUESTIONS)
def test_two_questions_have_one_hash_only_if_they_are_equal(one: Question, other: Question) -> None:
    assert (content_hash(one) == content_hash(other)) == (one == other)


def test_a_question_of_every_kind_comes_back_from_a_dataset(tmp_path: Path) -> None:
    facts = (Fact(options=("left", "right"), answer="left"),)
    golds = (
        Number(answer=2.5, unit="turns", tolerance=0.25),
        FreeText(answer="A fall.", facts=facts),
        FreeText(answer="轉身 ⛸"),
        Choice(options=("a, b", "c"), answer="a, b"),
    )
    questions = [asked(f"{n}", gold=gold) for n, gold in enumerate(golds)]
    questions += [asked("window", window=Window(start_s=0.1, end_s=0.30000000000000004)), asked("easy", easy=True)]
    questions += [asked("arena", provenance=None, sport=None, dimension=None)]
    back = {question.id: question for question in everything(made(tmp_path, questions))}
    expected = {q.id: q.model_copy(update={"video": f"../set/{q.video}"}) for q in questions}
    assert back == expected


def test_anybody_can_query_the_columns(tmp_path: Path) -> None:
    dataset = made(tmp_path, [asked("x", gold=Number(answer=2.5, unit="turns"), window=Window(start_s=1, end_s=2))])
    (shard,) = (dataset / "train").glob("*.parquet")
    (row,) = pq.read_table(shard).to_pylist()
    assert {name: row[name] for name in ("id", "answer_kind", "answer", "number", "unit", "start_s", "licence", "match")} == {
        "id": "made/x",
        "answer_kind": "number",
        "answer": "2.5",
        "number": 2.5,
        "unit": "turns",
        "start_s": 1.0,
        "licence": "MIT",
        "match": "match x",
    }


# The folder


def test_a_dataset_made_again_has_the_same_bytes(tmp_path: Path) -> None:
    questions = [asked(f"{n}") for n in range(50)]
    first = digests(made(tmp_path, questions))
    assert digests(made(tmp_path, questions)) == first
    assert {"manifest.json", "README.md", "train/00000.parquet", "val/00000.parquet", "test/00000.parquet"} == set(first)


def test_the_order_of_the_files_makes_no_difference_to_a_byte(tmp_path: Path) -> None:
    files = [QuestionFile(written(tmp_path / name, [asked(f"{name}{n}") for n in range(9)])) for name in "ab"]
    make_dataset(files, tmp_path / "x")
    first = digests(tmp_path / "x")
    make_dataset(files[::-1], tmp_path / "x")
    assert digests(tmp_path / "x") == first


def test_many_questions_are_several_shards_and_come_back_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepsport.data.dataset.shards.ROWS_PER_GROUP", 4)
    monkeypatch.setattr("deepsport.data.dataset.shards.ROWS_PER_SHARD", 8)
    path = written(tmp_path / "set", [asked(f"{n}") for n in range(19)])
    manifest = make_dataset([QuestionFile(path)], tmp_path / "dataset", shares={"train": 1})
    assert [shard.n_questions for shard in manifest.parts["train"].shards] == [8, 8, 3]
    assert [question.id for question in everything(tmp_path / "dataset")] == [f"made/{n}" for n in range(19)]


def test_the_manifest_counts_what_is_there(tmp_path: Path) -> None:
    same_match = Provenance(source="made", file="", record="", match="match 1", licence="CC-BY-4.0")
    questions = [asked("1"), asked("2", provenance=same_match), asked("3", gold=Number(answer=1), sport=None)]
    path = written(tmp_path / "set", questions)
    part = make_dataset([QuestionFile(path)], tmp_path / "dataset", shares={"train": 1}).parts["train"]
    assert (part.n_questions, part.n_matches, part.n_clips) == (3, 2, 3)
    assert part.by_licence == {"CC-BY-4.0": 1, "MIT": 2}
    assert part.by_answer == {"choice": 2, "number": 1}
    assert part.by_sport == {"figure_skating": {"recognition": 2}, "unknown": {"recognition": 1}}
    (shard,) = part.shards
    assert digests(tmp_path / "dataset")[shard.path] == shard.sha256


def test_a_video_counts_from_the_dataset_and_is_still_found(tmp_path: Path) -> None:
    (tmp_path / "set" / "clips").mkdir(parents=True)
    (tmp_path / "set" / "clips" / "0.mp4").write_text("footage")
    path = written(tmp_path / "set", [asked("0"), asked("1", video="/footage/1.mp4")])
    make_dataset([QuestionFile(path)], tmp_path / "deep" / "er" / "dataset", shares={"train": 1})
    first, second = load_split(tmp_path / "deep" / "er" / "dataset" / "train")
    assert Path(first.video).read_text() == "footage"
    assert second.video == "/footage/1.mp4"


def test_a_split_is_read_by_its_folder_and_a_dataset_of_several_wants_one_named(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    assert {is_dataset(path) for path in (dataset, dataset / "val", dataset / "manifest.json")} == {True}
    assert not is_dataset(tmp_path / "set")
    assert len(load_split(dataset / "train")) == 8
    with pytest.raises(BadRecord, match=r"several splits.*dataset/test"):
        load_split(dataset)


def test_a_split_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    path = written(tmp_path / "set", [asked("0")])
    make_dataset([QuestionFile(path)], tmp_path / "dataset", shares={"train": 1})
    with pytest.raises(BadRecord, match=r"no split 'val'. It has train"):
        list(read_questions(tmp_path / "dataset", "val"))


def test_a_new_dataset_replaces_an_old_one_and_leaves_nothing_beside(tmp_path: Path) -> None:
    made(tmp_path)
    dataset = made(tmp_path, [asked("new")])
    assert [question.id for question in everything(dataset)] == ["made/new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "set"]
    assert not (dataset / "val").exists()


@pytest.mark.parametrize("foreign", ["notes.txt", "train/mine.parquet", "clips/a.mp4"])
@pytest.mark.parametrize("is_there", [True, False], ids=["in a dataset", "alone"])
def test_a_folder_with_other_files_is_not_replaced(foreign: str, is_there: bool, tmp_path: Path) -> None:
    dataset = made(tmp_path) if is_there else tmp_path / "dataset"
    (dataset / foreign).parent.mkdir(parents=True, exist_ok=True)
    (dataset / foreign).write_text("mine")
    with pytest.raises(RunError, match=f"{foreign}, which is no part of a dataset"):
        made(tmp_path, [asked("new")])
    assert (dataset / foreign).read_text() == "mine"


def test_a_link_to_a_folder_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "disk" / "there").mkdir(parents=True)
    (tmp_path / "dataset").symlink_to(tmp_path / "disk" / "there")
    for name in ("old", "new"):
        made(tmp_path, [asked(name)])
    assert (tmp_path / "dataset").is_symlink()
    assert [question.id for question in everything(tmp_path / "disk" / "there")] == ["made/new"]
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["there"]


def linked(tmp_path: Path) -> Path:
    """A folder that another, deeper one is by its link."""
    (tmp_path / "disk" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "deep" / "er")
    return tmp_path / "link"


@pytest.mark.parametrize("questions_at", ["set", "link/set"])
@pytest.mark.parametrize("dataset_at", ["dataset", "link/dataset"])
def test_a_video_is_found_through_folders_that_are_links(questions_at: str, dataset_at: str, tmp_path: Path) -> None:
    linked(tmp_path)
    path = written(tmp_path / questions_at, [asked("0")])
    (path.parent / "clips").mkdir()
    (path.parent / "clips" / "0.mp4").write_text("footage")
    make_dataset([QuestionFile(path)], tmp_path / dataset_at, shares={"train": 1})
    (loaded,) = load_split(tmp_path / dataset_at)
    (asked_of,) = read_questions(tmp_path / dataset_at, "train")
    assert Path(loaded.video).read_text() == "footage"
    assert (tmp_path / dataset_at / asked_of.video).read_text() == "footage"


def test_a_video_is_one_file_by_whatever_link_it_is_named(tmp_path: Path) -> None:
    link = linked(tmp_path)
    written(link / "a", [asked("0", video="../clips/x.mp4")])
    written(link / "b", [asked("1", video="../clips/x.mp4")])
    files = [QuestionFile(link / "a" / "questions.jsonl"), QuestionFile(link.resolve() / "b" / "questions.jsonl", "test")]
    with pytest.raises(LeakError, match="the same file"):
        make_dataset(files, link / "dataset")


def test_what_is_passed_on_from_a_linked_folder_is_named_from_where_it_lies(tmp_path: Path) -> None:
    link = linked(tmp_path)
    make_dataset([QuestionFile(written(link / "set", [asked("0"), asked("1", video="more/1.mp4")]))], link / "dataset")
    _, found = published(tmp_path, link / "dataset")
    assert {question.video for question in found} == {"clips/0.mp4", "more/1.mp4"}


# The card


def test_the_card_has_a_head_that_the_hub_reads(tmp_path: Path) -> None:
    text = (made(tmp_path, [asked("0"), asked("1", source="b", licence="own terms")]) / "README.md").read_text()
    head = re.fullmatch(r"---\n(.*?)\n---\n.*", text, re.DOTALL)
    assert head is not None
    assert 'license:\n- "mit"\n- "other"\n' in head[1]
    assert 'size_categories:\n- "n<1K"\n' in head[1]
    assert '  - split: "train"\n    path:\n    - "train/00000.parquet"' in head[1]


def test_the_card_says_what_is_in_it_and_what_is_not(tmp_path: Path) -> None:
    text = (made(tmp_path, [*(asked(f"{n}") for n in range(10)), asked("no", gold=None)]) / "README.md").read_text()
    assert "| figure\\_skating | recognition | 8 | 1 | 1 |" in text
    assert "| made | MIT | 8 | 1 | 1 |" in text
    assert "| no reference answer | 1 |" in text
    assert "| the same match | 10 | 0 |" in text
    assert "footage is not part of it" in text


@pytest.mark.parametrize(("form", "said", "unsaid"), [("parquet", "flat", "`gold`"), ("jsonl", "`gold`", "flat")])
def test_the_card_says_how_its_own_form_is_read(form: Form, said: str, unsaid: str, tmp_path: Path) -> None:
    publish(made(tmp_path), tmp_path / "public", form)
    how = (tmp_path / "public" / "README.md").read_text().partition("## How to read it")[2]
    assert said in how
    assert unsaid not in how


def test_names_in_a_card_are_text_and_nothing_else() -> None:
    name = "<script>alert(1)</script> | [x](javascript:y)\n# head\n---"
    part = Part(
        shards=(),
        n_questions=1,
        n_matches=1,
        n_clips=1,
        by_source={name: 1},
        by_licence={name: 1},
        by_answer={},
        by_sport={name: {"rules": 1}},
    )
    licences = {name: (name,)}
    text = card(Manifest(deepsport="1", parts={"train": part}, licences=licences, left_out={}, splitting=None, leaks=None))
    assert "<script>" not in text
    assert "\n# head" not in text
    assert "[x](" not in text
    assert text.count("\n---\n") == 1


# Passing on


def published(tmp_path: Path, source: Path, form: Form = "parquet") -> tuple[PublishReport, list[Question]]:
    report = publish(source, tmp_path / "public", form)
    return report, everything(tmp_path / "public")


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_record_without_a_licence_is_not_passed_on(form: Form, tmp_path: Path) -> None:
    dataset = made(tmp_path, [asked("0"), asked("1", licence=""), asked("2", licence="  ", source="b")])
    report, questions = published(tmp_path, dataset, form)
    assert [question.id for question in questions] == ["made/0"]
    assert report.left_out == {"no licence is stated": 2}
    assert report.without_licence == {"b": 1, "made": 1}
    assert report.by_licence == {"MIT": 1}
    assert "| no licence is stated | 2 |" in (tmp_path / "public" / "README.md").read_text()


def test_a_question_that_names_no_source_is_not_passed_on(tmp_path: Path) -> None:
    report, questions = published(tmp_path, made(tmp_path, [asked("0"), asked("1", provenance=None)]))
    assert [question.id for question in questions] == ["made/0"]
    assert report.without_licence == {"none": 1}


def test_what_is_passed_on_keeps_its_split(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    published(tmp_path, dataset)
    for split in load_manifest(dataset).parts:
        assert [q.id for q in read_questions(tmp_path / "public", split)] == [q.id for q in read_questions(dataset, split)]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_file_of_questions_is_passed_on_as_one_part(form: Form, tmp_path: Path) -> None:
    report, questions = published(tmp_path, written(tmp_path / "set", [asked("0"), asked("1", gold=None)]), form)
    assert report.left_out == {"no reference answer": 1}
    assert load_manifest(tmp_path / "public").splitting is None
    assert [question.video for question in questions] == ["clips/0.mp4"]


def test_lines_that_are_passed_on_are_questions_as_every_stage_reads_them(tmp_path: Path) -> None:
    published(tmp_path, written(tmp_path / "set", [asked("0")]), "jsonl")
    (question,) = read_records(tmp_path / "public" / "train.jsonl", Question)
    assert question == asked("0")


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_no_path_of_this_machine_is_passed_on(form: Form, tmp_path: Path) -> None:
    footage = tmp_path / "very-secret-user" / "footage"
    videos = [str(footage / "2019" / "a.mp4"), str(footage / "2020" / "a.mp4")]
    questions = [asked(f"{n}", video=video) for n, video in enumerate(videos)]
    dataset = made(tmp_path, [*questions, asked("beside", source="other"), asked("else", source="other", video="clips/b/c.mp4")])
    _, found = published(tmp_path, dataset, form)
    assert {q.id: q.video for q in found} == {
        "made/0": "made/2019/a.mp4",
        "made/1": "made/2020/a.mp4",
        "other/beside": "other/beside.mp4",
        "other/else": "other/b/c.mp4",
    }
    for file in (tmp_path / "public").rglob("*"):
        assert file.is_dir() or b"very-secret-user" not in file.read_bytes()


def test_videos_that_lie_all_over_a_machine_stay_different_ones(tmp_path: Path) -> None:
    questions = [asked("0", video="/home/ann/x.mp4"), asked("1", video="/data/x.mp4")]
    _, found = published(tmp_path, made(tmp_path, questions))
    names = {question.video for question in found}
    assert len(names) == 2
    assert all(re.fullmatch(r"[0-9a-f]{16}/x\.mp4", name) for name in names)


def names(tmp_path: Path, *asked_of: tuple[str, str]) -> list[str]:
    """What the videos of sources are called when they are passed on."""
    questions = [asked(f"{n}", source=source, video=video) for n, (source, video) in enumerate(asked_of)]
    _, found = published(tmp_path, written(tmp_path / "set", questions))
    return [question.video for question in found]


@pytest.mark.parametrize(
    "videos",
    [
        ["/sets/x/alpha/clips/1.mp4", "/sets/x/beta/clips/1.mp4"],
        ["1.mp4", "../alpha/clips/1.mp4"],
        ["/sets/x/alpha/1.mp4", "/1.mp4"],
        ["/sets/x/alpha/1.mp4", "/sets/x/alpha/beta/1.mp4"],
        ["/sets/x/beta/1.mp4", "/sets/x/alpha/beta/1.mp4", "1.mp4", "../1.mp4", "clips/1.mp4"],
    ],
)
@pytest.mark.parametrize("sources", ["abcde", ["a b", "a/b", "..", "", "a"], "aaaaa"], ids=["plain", "strange", "one"])
def test_two_videos_never_get_one_name(videos: list[str], sources: Sequence[str], tmp_path: Path) -> None:
    found = names(tmp_path, *zip(sources, videos, strict=False))
    assert len(set(found)) == len(videos)
    assert not [name for name in found if name.startswith("/") or ".." in Path(name).parts]


def test_the_source_stands_in_front_where_the_videos_of_several_lie_apart(tmp_path: Path) -> None:
    found = names(tmp_path, ("alpha", "/sets/x/alpha/clips/1.mp4"), ("b/c", "/sets/x/beta/clips/1.mp4"))
    assert found[0] == "alpha/1.mp4"
    assert re.fullmatch(r"[0-9a-f]{16}/1\.mp4", found[1])


def test_a_video_that_two_sources_ask_about_keeps_one_name(tmp_path: Path) -> None:
    league = "/footage/soccer/2015/epl"
    asked_of = [("matchtime", f"{league}/1.mkv"), ("soccernet", f"{league}/1.mkv"), ("soccernet", f"{league}/../2.mkv")]
    assert names(tmp_path, *asked_of) == ["epl/1.mkv", "epl/1.mkv", "2.mkv"]


def test_footage_is_never_copied(tmp_path: Path) -> None:
    (tmp_path / "set" / "clips").mkdir(parents=True)
    (tmp_path / "set" / "clips" / "0.mp4").write_text("footage")
    published(tmp_path, made(tmp_path, [asked("0")]))
    there = {path.name for path in (tmp_path / "public").rglob("*") if path.is_file()}
    assert there == {"README.md", "manifest.json", "00000.parquet"}


def test_one_split_is_passed_on_alone(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    _, questions = published(tmp_path, dataset / "val")
    assert [question.id for question in questions] == [question.id for question in read_questions(dataset, "val")]
    assert list(load_manifest(tmp_path / "public").parts) == ["val"]


def test_of_one_split_nothing_is_said_that_holds_for_all_of_them(tmp_path: Path) -> None:
    report, _ = published(tmp_path, made(tmp_path, [*(asked(f"{n}") for n in range(10)), asked("no", gold=None)]) / "val")
    manifest = load_manifest(tmp_path / "public")
    assert (manifest.splitting, manifest.leaks) == (None, None)
    assert manifest.left_out == report.left_out == {}


def test_of_a_whole_dataset_all_that_was_said_is_passed_on(tmp_path: Path) -> None:
    dataset = made(tmp_path, [*(asked(f"{n}") for n in range(10)), asked("no", gold=None)])
    report, _ = published(tmp_path, dataset)
    before, manifest = load_manifest(dataset), load_manifest(tmp_path / "public")
    assert (manifest.splitting, manifest.leaks) == (before.splitting, before.leaks)
    assert manifest.left_out == report.left_out == {"no reference answer": 1}


def test_a_dataset_is_not_replaced_by_what_may_be_passed_on_of_it(tmp_path: Path) -> None:
    dataset = made(tmp_path, [asked("0"), asked("1", licence="")])
    before = digests(dataset)
    with pytest.raises(RunError, match="Choose another folder"):
        publish(dataset, dataset, "parquet")
    assert digests(dataset) == before


def test_nothing_to_pass_on_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match="1 left out: no licence is stated"):
        publish(made(tmp_path, [asked("0", licence="")]), tmp_path / "public", "parquet")
    assert not (tmp_path / "public").exists()


def test_the_manifest_is_plain_json_without_a_time_or_a_path(tmp_path: Path) -> None:
    text = (made(tmp_path) / "manifest.json").read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["manifest_version"] == 1
