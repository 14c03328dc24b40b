"""Labels by people: what a spreadsheet may make of them is read, and what cannot be read is named."""

from pathlib import Path

import pytest

from deepsport.bench.diagnose import Failure
from deepsport.bench.judged.labels import Label, labelled, read_labels
from deepsport.errors import BadRecord, RunError
from deepsport.records import Episode
from made_episodes import episode, question


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "labels.csv"


def read(file: Path, text: str | bytes) -> tuple[Label, ...]:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_labels(file).labels


def answered(*names: str) -> list[Episode]:
    return [episode("volley", [], question(name)) for name in names]


def test_points_are_read_under_the_id_of_the_answer(file: Path):
    (label,) = read(file, "episode_id,points\nq/0,7\n")
    assert (label.place, label.episode_id, label.judged_points) == ("labels.csv:2", "q/0", 7)


@pytest.mark.parametrize(("cell", "points"), [("yes", 10), ("No", 0), ("1", 10), ("0", 0), ("TRUE", 10), ("wrong", 0)])
def test_right_or_wrong_is_all_points_or_none(file: Path, cell: str, points: int):
    assert read(file, f"question_id,right\nq,{cell}\n")[0].judged_points == points


def test_a_class_of_failure_may_stand_alone_and_says_nothing_of_points(file: Path):
    (label,) = read(file, "question_id,failure\nq,Visual hallucination\n")
    assert (label.failure, label.judged_points) == (Failure.HALLUCINATION, None)


AS_A_SPREADSHEET_SAVES_IT = {
    "byte order mark": "\ufeffquestion_id,points\nq,7\n".encode(),
    "carriage returns": b"question_id,points\r\nq,7\r\n",
    "semicolons": b"question_id;points\nq;7\n",
    "tabs": b"question_id\tpoints\nq\t7\n",
    "utf-16": "question_id,points\nq,7\n".encode("utf-16"),
    "capitals and blanks": b" Question_ID , Points \n q , 7 \n",
    "further columns": b'note,question_id,answer,points\n"a, b",q,=1+1,7\n',
    "no line end": b"question_id,points\nq,7",
    "empty lines": b"question_id,points\n\n,\nq,7\n\n",
}


@pytest.mark.parametrize("content", AS_A_SPREADSHEET_SAVES_IT.values(), ids=AS_A_SPREADSHEET_SAVES_IT)
def test_whatever_a_spreadsheet_saves_is_read(file: Path, content: bytes):
    (label,) = read(file, content)
    assert (label.question_id, label.points) == ("q", 7)


UNREADABLE = {
    "no id": ("name,points\nq,7\n", "no column episode_id or question_id"),
    "two columns of one name but for capitals": ("question_id,Points,points\nq,3,9\n", "names differ in capitals only"),
    "nothing said": ("question_id,note\nq,7\n", "none of the columns points, right and failure"),
    "points above the scale": ("question_id,points\nq,11\n", r"labels.csv:2: points = '11' is not a whole number from 0 to 10"),
    "points with a fraction": ("question_id,points\na,1\nq,7.5\n", r"labels.csv:3: points = '7.5'"),
    "points below the scale": ("question_id,points\nq,-1\n", "points = '-1'"),
    "digits of another alphabet": ("question_id,points\nq,１\n", "points = '１'"),
    "neither yes nor no": ("question_id,right\nq,maybe\n", "right = 'maybe' is neither yes nor no"),
    "an unknown class": ("question_id,failure\nq,lazy\n", "failure = 'lazy' is none of tool_grounding, visual_hallucination"),
    "points against right": ("question_id,points,right\nq,9,no\n", "9 points and right = 'no' contradict each other"),
    "a row without an id": ("question_id,points\n,9\n", "labels.csv:2: neither episode_id nor question_id"),
    "a row too short": ("question_id,points,note\nq,9\n", "labels.csv:2: a row with more or fewer cells"),
    "two columns of one name": ("question_id,points,points\nq,9,9\n", "more than one column 'points'"),
    "an empty file": ("", "it is empty"),
    "not text": (b"question_id,points\nq\xff,9\n", "labels.csv:2: a line that is not text"),
    "two things of one answer": (
        "question_id,points\nq,9\nq,3\n",
        "labels.csv:2 and labels.csv:3: the file says two things of 'q'",
    ),
    "a quote that never closes": ('question_id,points\n"q,9\n' + "x" * 200_000, "a line that is no CSV row"),
}


@pytest.mark.parametrize(("content", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_row_that_cannot_be_read_is_named(file: Path, content: str | bytes, message: str):
    with pytest.raises(BadRecord, match=message):
        read(file, content)


def test_a_file_that_is_not_there_is_named(file: Path):
    with pytest.raises(RunError, match=r"labels\.csv"):
        read_labels(file)


def test_rows_without_a_word_and_rows_said_twice_are_counted(file: Path):
    file.write_text("question_id,points,labeller\na,7,\nb,,ann\na,7,\nc,5,ann\n")
    found = read_labels(file)
    assert (len(found.labels), found.n_blank, found.n_doubled) == (2, 1, 1)


def test_two_people_may_say_two_things_of_one_answer(file: Path):
    labels = read(file, "question_id,points,labeller\na,7,ann\na,3,bob\n")
    found = labelled(labels, answered("a"))
    assert {name: said["a/0"].points for name, said in found.by_labeller.items()} == {"ann": 7, "bob": 3}


def test_labels_of_other_answers_are_named(file: Path):
    labels = read(file, "episode_id,question_id,points\na/0,,7\n,b,7\n,z,7\na/9,a,7\n")
    found = labelled(labels, answered("a", "b"))
    assert sorted(found.by_labeller[""]) == ["a/0", "b/0"]
    assert found.unknown == ("z", "a/9")


def test_labels_of_another_run_altogether_are_refused(file: Path):
    with pytest.raises(BadRecord, match="none of the 1 labels is about this run: it does not hold z"):
        labelled(read(file, "question_id,points\nz,7\n"), answered("a"))


def test_a_question_that_was_answered_twice_has_to_be_labelled_by_answer(file: Path):
    twice = [made.model_copy(update={"id": f"a/{number}"}) for number, made in enumerate(answered("a", "a"))]
    with pytest.raises(BadRecord, match=r"question 'a' was answered 2 times\. Name the answer in a column episode_id"):
        labelled(read(file, "question_id,points\na,7\n"), twice)
    labels = read(file, "question_id,episode_id,points\na,a/1,7\n")
    assert list(labelled(labels, twice).by_labeller[""]) == ["a/1"]


def test_one_answer_named_in_two_ways_is_still_one(file: Path):
    labels = read(file, "question_id,episode_id,points\na,,7\n,a/0,3\n")
    with pytest.raises(BadRecord, match="two things of"):
        labelled(labels, answered("a"))


def test_an_answer_and_a_question_that_do_not_belong_together_are_named(file: Path):
    found = read(file, "episode_id,question_id,points\nq/0,other,7\n")
    with pytest.raises(BadRecord, match=r"labels.csv:2: 'q/0' answers question 'q', not 'other'"):
        labelled(found, answered("q"))


def test_an_answers_name_is_no_questions_name(file: Path):
    assert len(read(file, "episode_id,question_id,points\nquestion q,,7\n,q,3\n")) == 2
