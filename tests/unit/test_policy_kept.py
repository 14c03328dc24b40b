"""What is kept within a number of bytes, against a plain list of what was used when."""

from hypothesis import given
from hypothesis import strategies as st

from deepsport.policy.kept import Kept

KEYS = st.integers(0, 9)


def test_what_was_used_longest_ago_goes_first():
    kept: Kept[str, bytes] = Kept(4, len)
    kept.add({"a": b"12", "b": b"12"})
    assert kept.found(["a"]) == {"a": b"12"}
    kept.add({"c": b"12"})
    assert set(kept.found("abc")) == {"a", "c"}


def test_what_was_just_added_stays_however_large_it_is():
    kept: Kept[str, bytes] = Kept(4, len)
    kept.add({"a": b"123", "b": b"123"})
    assert set(kept.found("ab")) == {"a", "b"}
    kept.add({"c": b"1"})
    assert set(kept.found("abc")) == {"b", "c"}


@given(st.lists(st.one_of(st.tuples(KEYS, st.integers(1, 5)), KEYS), max_size=60), st.integers(0, 12))
def test_it_holds_the_last_used_that_fit(doings: list[tuple[int, int] | int], most: int):
    kept: Kept[int, bytes] = Kept(most, len)
    used: list[tuple[int, int]] = []
    for doing in doings:
        if isinstance(doing, int):
            sizes = dict(used)
            assert set(kept.found([doing])) == ({doing} & sizes.keys())
            used = [each for each in used if each[0] != doing] + ([(doing, sizes[doing])] if doing in sizes else [])
        else:
            kept.add({doing[0]: bytes(doing[1])})
            used = [each for each in used if each[0] != doing[0]] + [doing]
            while len(used) > 1 and sum(size for _, size in used) > most:
                used.pop(0)
    assert set(kept.found(range(10))) == {key for key, _ in used}


def test_nothing_is_left_when_everything_was_let_go():
    kept: Kept[str, bytes] = Kept(4, len)
    kept.add({"a": b"1234"})
    kept.clear()
    kept.add({"b": b"1234"})
    assert set(kept.found("ab")) == {"b"}
