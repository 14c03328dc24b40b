"""Two sets side by side: one pair and what stands beside it, and what leads there."""

from pathlib import Path

import pytest

from made_episodes import episode, question
from made_runs import made_run
from viewed_runs import Clip, Visited, arena_clips, training_run, viewing, write_lines

RIGHT, WRONG = "volley", "header"


def two_runs(folder: Path, left: str, right: str) -> None:
    """Runs a and b over the same questions; `+` is a right answer, `-` a wrong one."""
    for name, answers in (("a", left), ("b", right)):
        asked = [question(f"q{n}") for n in range(len(answers))]
        episodes = [episode(RIGHT if sign == "+" else WRONG, [], q) for sign, q in zip(answers, asked, strict=True)]
        made_run(folder / name, episodes)


def sides(seen: Visited) -> dict[str, str]:
    return {"left": seen.the_set("a"), "right": seen.the_set("b")}


def test_one_pair_tells_its_place_and_its_neighbours_under_the_filters(tmp_path: Path) -> None:
    two_runs(tmp_path, "+++++", "-+-+-")
    with viewing(tmp_path) as seen:
        keys = [row["key"] for row in seen.get("/api/compare", **sides(seen), flip="lost")["rows"]]
        told = [seen.get("/api/compare", **sides(seen), flip="lost", key=key) for key in keys]
    assert [(each["position"], each["previous"], each["next"]) for each in told] == [
        (0, None, keys[1]),
        (1, keys[0], keys[2]),
        (2, keys[1], None),
    ]
    assert [[row["key"] for row in each["rows"]] for each in told] == [[key] for key in keys]
    assert {each["n_found"] for each in told} == {3}


def test_a_pair_that_the_filters_leave_out_is_shown_without_a_place(tmp_path: Path) -> None:
    two_runs(tmp_path, "++", "-+")
    with viewing(tmp_path) as seen:
        (other,) = seen.get("/api/compare", **sides(seen), flip="both_right")["rows"]
        told = seen.get("/api/compare", **sides(seen), flip="lost", key=other["key"])
    assert [row["question_id"] for row in told["rows"]] == ["q1"]
    assert (told["position"], told["previous"], told["next"], told["n_found"]) == (None, None, None, 1)


@pytest.mark.parametrize("key", ["0" * 16, "x", "é", "+1", "../.."])
def test_a_key_of_no_pair_shows_none(tmp_path: Path, key: str) -> None:
    two_runs(tmp_path, "+", "+")
    with viewing(tmp_path) as seen:
        told = seen.get("/api/compare", **sides(seen), key=key)
    assert (told["rows"], told["position"]) == ([], None)


def test_the_same_question_elsewhere_leads_to_the_pair(tmp_path: Path) -> None:
    two_runs(tmp_path, "++", "-+")
    with viewing(tmp_path) as seen:
        row = seen.episodes("a")["rows"][1]
        (other,) = seen.get(f"/api/sets/{seen.the_set('a')}/episodes/{row['id']}")["elsewhere"]
        (pair,) = seen.get("/api/compare", left=seen.the_set("a"), right=other["set"], key=other["key"])["rows"]
    assert (pair["left"]["id"], pair["right"]["id"]) == (row["id"], other["id"])


def test_a_second_answer_to_a_question_is_in_no_pair(tmp_path: Path) -> None:
    again = [episode(RIGHT).model_copy(update={"id": f"q/{number}"}) for number in range(2)]
    write_lines(tmp_path / "a.jsonl", again)
    write_lines(tmp_path / "b.jsonl", again[:1])
    with viewing(tmp_path / "a.jsonl", tmp_path / "b.jsonl") as seen:
        at = f"/api/sets/{seen.the_set('a')}/episodes/"
        told = [seen.get(at + row["id"])["elsewhere"] for row in seen.episodes("a")["rows"]]
        of_b = {each["key"] is None for each in seen.get(at + seen.episodes("a")["rows"][0]["id"])["elsewhere"]}
    assert [[each["key"] is None for each in others if each["set_name"] == "b"] for others in told] == [[False], [True]]
    assert of_b == {True, False}, "the other answer in the same set is no pair with it"


def test_a_row_of_sampled_episodes_has_its_advantage_and_others_have_none(tmp_path: Path) -> None:
    clips: list[Clip] = arena_clips(tmp_path / "arena", 1)
    training_run(tmp_path / "train", clips, n_steps=1)
    made_run(tmp_path / "nano", [episode(RIGHT)])
    with viewing(tmp_path / "train", tmp_path / "nano") as seen:
        sampled = [row["advantage"] for row in seen.episodes("rl, sampled")["rows"]]
        (played,) = seen.episodes("nano")["rows"]
    assert sum(sampled) == pytest.approx(0, abs=1e-5)
    assert max(sampled) > 0
    assert played["advantage"] is None
