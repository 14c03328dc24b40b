"""Annotation files that nobody vouches for: read one record at a time in any encoding, and refused where they are none."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deepsport.data.annotation import annotation_files, json_items, json_records
from deepsport.data.source import Drops
from deepsport.data.sources.spot import SpotClip
from deepsport.errors import BadAnnotation

ITEMS = [{"video": "a", "num_frames": 10, "events": []}, {"video": "é", "num_frames": 3, "events": []}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_array_is_read_in_any_encoding_that_says_which_it_is(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ITEMS, ensure_ascii=False).replace(", ", ",\r\n"), encoding=encoding)
    assert list(json_items(tmp_path / "a.json")) == ITEMS


def test_records_longer_than_a_piece_of_the_file_are_whole(tmp_path: Path) -> None:
    items = ["x" * n for n in (10, 300_000, 1_000_000, 262_140)] + [123456789] * 40_000
    (tmp_path / "a.json").write_text(json.dumps(items))
    assert list(json_items(tmp_path / "a.json")) == items


def test_records_come_before_the_end_of_the_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" + '{"n": 1},' * 100_000 + "nonsense")
    items = json_items(tmp_path / "a.json")
    assert [next(items) for _ in range(1000)] == [{"n": 1}] * 1000
    with pytest.raises(BadAnnotation, match="no whole record at 'nonsense'"):
        list(items)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "ends within the array"),
        ("{}", "where '\\[' should be"),
        ("[1", "no whole record"),
        ("[1,", "ends within the array"),
        ("[1,]", "no whole record"),
        ("[1 2]", "where ',' should be"),
        ("[NaN]", "NaN is not a number of JSON"),
        ("[" * 200_000, "nested too deeply"),
        ("\x00\x01", "where '\\[' should be"),
    ],
)
def test_what_is_no_array_is_refused_with_the_file_and_the_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(BadAnnotation, match=rf"odd\.json cannot be read.*{said}"):
        list(json_items(tmp_path / "odd.json"))


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b'["\xff\xfe"]'), lambda path: path.mkdir()])
def test_what_is_no_text_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "odd.json")
    with pytest.raises(BadAnnotation, match=r"odd\.json"):
        list(json_items(tmp_path / "odd.json"))


def test_a_folder_without_such_files_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadAnnotation, match=r"neither a file nor a folder with .*data sources"):
        annotation_files(tmp_path, "*.json")


def test_a_record_of_another_layout_is_dropped_with_its_place_and_the_others_stay(tmp_path: Path) -> None:
    odd = [{"video": "", "num_frames": 3, "events": []}, {"video": "b", "num_frames": 0, "events": []}, 7, {"video": "c"}]
    (tmp_path / "a.json").write_text(json.dumps([*ITEMS, *odd]))
    drops = Drops()
    records = list(json_records(tmp_path / "a.json", SpotClip, drops))
    assert [name for name, _ in records] == ["a.json[0]", "a.json[1]"]
    assert drops.counts.total() == 4
    assert {name for names in drops.examples.values() for name in names} == {f"a.json[{place}]" for place in (2, 3, 4, 5)}


def test_half_a_surrogate_pair_is_read_as_something_that_a_file_can_hold(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"video": "a\\ud800b"}, {"video": "\\ud83c\\udfbe"}]')
    assert list(json_items(tmp_path / "a.json")) == [{"video": "a?b"}, {"video": "🎾"}]
