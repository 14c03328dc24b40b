"""Lists of episodes: what they show, how filters count, and what becomes of them while files grow."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from deepsport.bench.diagnosis.record import Cause, Diagnosis, Evidence
from deepsport.bench.result import Judged
from deepsport.bench.score import score
from deepsport.records import Episode
from deepsport.serve.viewer.comparison import Flip, pair_up
from deepsport.serve.viewer.episode_table import Table, View
from deepsport.serve.viewer.filters import Filters, Sort, choose, code, holds, words_of
from deepsport.serve.viewer.growing_file import GrowingFile, Line, LongLineError, Place
from deepsport.serve.viewer.line_to_row import Entry, SetKind, facts_of, text_of
from made_episodes import episode, look, question
from made_runs import judged, made_run
from viewed_runs import add_lines, judge_says, many, samples_of_step, unreal_clip, viewing, write_lines


def viewed(episodes: list[Episode], *, runs: tuple[int, ...] = ()) -> View:
    """A table of these episodes."""
    table = Table()
    for number, each in enumerate(episodes):
        run = runs[number] if runs else 0
        table.put(facts_of(Entry(episode=each), Line(1, Place(0, 0), b""), table, run=run), text_of(each))
    return table.view()


def listed(view: View, filters: Filters) -> list[int]:
    """The rows that filters leave."""
    coded = code(view, np.zeros(view.n, dtype=np.int8))
    return choose(coded, holds(view.texts, filters.words, coded.shown), filters).rows.tolist()


def test_a_row_says_what_the_score_says(tmp_path: Path) -> None:
    run = made_run(tmp_path / "nano", many(10))
    with viewing(tmp_path / "nano") as seen:
        rows = seen.episodes()["rows"]
    assert [row["accuracy"] for row in rows] == [each.accuracy for each in run.scores]
    assert [row["failure"] for row in rows] == [each.failure for each in run.scores]
    assert [row["reward"] for row in rows] == pytest.approx([each.reward.total for each in run.scores], abs=1e-6)
    assert [(row["n_calls"], row["n_turns"], row["n_frames"]) for row in rows] == [
        (each.n_calls, each.n_turns, each.n_frames) for each in run.scores
    ]


def test_a_row_shows_the_beginning_of_a_long_answer_and_the_episode_all_of_it(tmp_path: Path) -> None:
    made_run(tmp_path / "nano", [episode("long " * 20_000, asked=question("q"))])
    with viewing(tmp_path / "nano") as seen:
        (row,) = seen.episodes()["rows"]
        whole = seen.get(f"/api/sets/{seen.the_set()}/episodes/{row['id']}")
    assert row["answer"] == ("long " * 20_000)[:400] + "…"
    assert whole["episode"]["answer"] == "long " * 20_000


def test_each_facet_is_counted_under_all_other_filters(tmp_path: Path) -> None:
    episodes = many(40)
    made_run(tmp_path / "nano", episodes)
    right = [score(each).accuracy == 1 for each in episodes]
    with viewing(tmp_path / "nano") as seen:
        found = seen.episodes(outcome="wrong", stop="answered")
    stops = [each.stop for each, is_right in zip(episodes, right, strict=True) if not is_right]
    answered = [is_right for each, is_right in zip(episodes, right, strict=True) if each.stop == "answered"]
    assert dict(found["facets"]["stop"]) == {stop: stops.count(stop) for stop in set(stops)}
    assert dict(found["facets"]["outcome"]) == {"right": sum(answered), "wrong": len(answered) - sum(answered)}
    assert found["n_found"] == len(found["rows"]) == len(answered) - sum(answered)


def test_filters_leave_what_going_through_the_rows_one_by_one_leaves() -> None:
    rng = random.Random(3)
    sports = ("soccer", "tennis", None)
    asked = [question(f"q{n}", sport=rng.choice(sports), easy=rng.random() < 0.3) for n in range(60)]
    episodes = [episode(rng.choice(("volley", "header")), [look(30, 34)] * rng.randrange(3), each) for each in asked]
    view = viewed(episodes)
    for _ in range(30):
        wanted = rng.sample(["soccer", "tennis", "none"], rng.randrange(1, 3))
        easy = rng.choice(["yes", "no"])
        by_hand = [
            n
            for n, each in enumerate(episodes)
            if (each.question.sport or "none") in wanted
            and each.question.easy == (easy == "yes")
            and "volley" in (each.answer or "")
        ]
        filters = Filters((("sport", frozenset(wanted)), ("easy", frozenset({easy}))), ())
        rows = [row for row in listed(view, filters) if episodes[row].answer == "volley"]
        assert rows == by_hand


@pytest.mark.parametrize(
    ("text", "words"),
    [("", ()), ("Red CARD", ("card", "red")), ('"free kick" keeper', ("free kick", "keeper")), ('"', ()), ("ß ß", ("ss",))],
)
def test_a_search_is_words_and_quoted_phrases_without_case(text: str, words: tuple[str, ...]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize("text", ["SCORE changes", "volley", "a.mp4", "q7", '"goal scored"', "q7/0"])
def test_question_answer_thought_file_and_ids_are_searched(text: str) -> None:
    view = viewed([episode("volley", [look(10, 14)], question("q7")), episode(None, [], question("z", video="b.mp4"))])
    words = words_of(text)
    assert 0 in listed(view, Filters((), words))
    assert listed(view, Filters((), (*words, "nowhere"))) == []


def test_sorting_keeps_equal_rows_in_the_order_of_the_file() -> None:
    episodes = [episode("volley" if n % 3 else "header", [], question(f"q{n}")) for n in range(9)]
    view = viewed(episodes)
    assert listed(view, Filters(sort=Sort.WORST)) == [0, 3, 6, 1, 2, 4, 5, 7, 8]
    assert listed(view, Filters(sort=Sort.BEST)) == [1, 2, 4, 5, 7, 8, 0, 3, 6]


def test_unscored_rows_come_last_whichever_end_is_wanted() -> None:
    view = viewed([episode("x", [], question("a", gold=None)), episode("header"), episode("volley", [], question("b"))])
    assert listed(view, Filters(sort=Sort.WORST))[-1] == listed(view, Filters(sort=Sort.BEST))[-1] == 0


def test_neighbours_follow_the_list_and_end_with_it(tmp_path: Path) -> None:
    made_run(tmp_path / "nano", many(20))
    with viewing(tmp_path / "nano") as seen:
        name = seen.the_set()
        ids = [row["id"] for row in seen.episodes(outcome="wrong", sort="frames")["rows"]]
        told = [seen.get(f"/api/sets/{name}/episodes/{each}/neighbours", outcome="wrong", sort="frames") for each in ids]
        other = next(row["id"] for row in seen.episodes(outcome="right")["rows"])
        left_out = seen.get(f"/api/sets/{name}/episodes/{other}/neighbours", outcome="wrong")
    assert [each["position"] for each in told] == list(range(len(ids)))
    assert [each["previous"] for each in told] == [None, *ids[:-1]]
    assert [each["next"] for each in told] == [*ids[1:], None]
    assert (left_out["position"], left_out["previous"], left_out["next"]) == (None, None, None)


def test_new_lines_are_shown_and_a_torn_one_waits(tmp_path: Path) -> None:
    episodes = many(6)
    path = made_run(tmp_path / "nano", episodes[:4]).folder / "episodes.jsonl"
    with viewing(tmp_path / "nano") as seen:
        add_lines(path, [episodes[4]])
        line = episodes[5].model_dump_json()
        with path.open("a") as file:
            file.write(line[:200])
            file.flush()
            assert seen.settled().episodes()["n_total"] == 5
            file.write(line[200:] + "\n")
        assert seen.settled().episodes()["n_total"] == 6
        assert seen.get("/api/runs")["runs"][0]["sets"][0]["problems"] == []


def test_a_file_that_was_put_in_order_shows_each_episode_once(tmp_path: Path) -> None:
    episodes = many(12)
    path = made_run(tmp_path / "nano", episodes).folder / "episodes.jsonl"
    with viewing(tmp_path / "nano") as seen:
        before = [row["id"] for row in seen.episodes()["rows"]]
        write_lines(path.with_name("new"), episodes[::-1]).replace(path)
        after = seen.settled().episodes()
        assert [row["id"] for row in after["rows"]] == before[::-1]
        assert after["n_total"] == 12


def test_a_file_that_is_written_over_in_place_is_read_anew(tmp_path: Path) -> None:
    path = made_run(tmp_path / "nano", many(12)).folder / "episodes.jsonl"
    with viewing(tmp_path / "nano") as seen:
        write_lines(path, [each.model_copy(update={"id": f"new {each.id}"}) for each in many(13)])
        found = seen.settled().episodes(text="new")
        assert (found["n_total"], found["n_found"]) == (13, 13)


def test_of_several_lines_about_one_episode_the_last_counts(tmp_path: Path) -> None:
    episodes = many(3)
    again = episodes[0].model_copy(update={"detail": "asked once more"})
    path = write_lines(tmp_path / "e.jsonl", [*episodes, again])
    with viewing(path) as seen:
        rows = seen.episodes(text="once more")
    assert (rows["n_total"], rows["n_found"]) == (3, 1)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "it is not JSON"),
        (b'{"id": 3}', "Input should be a valid string"),
        (b'{"schema_version": 9}', "record schema 9"),
        (b'"text"', "an object"),
        (b"\xff\xfe{", "UTF-16"),
    ],
)
def test_a_broken_line_is_told_with_its_number_and_the_others_are_shown(tmp_path: Path, line: bytes, told: str) -> None:
    good = [each.model_dump_json().encode() for each in many(2)]
    path = tmp_path / "e.jsonl"
    path.write_bytes(b"\n".join([good[0], line, b"", good[1]]) + b"\n")
    with viewing(path) as seen:
        (problem,) = seen.get("/api/runs")["runs"][0]["sets"][0]["problems"]
        assert seen.episodes()["n_total"] == 2
    assert problem.startswith("e.jsonl:2 is passed over")
    assert told in problem


def test_a_verdict_that_comes_later_changes_its_row(tmp_path: Path) -> None:
    from deepsport.records import FreeText

    asked = [question(f"q{n}", gold=FreeText(answer="a clean volley")) for n in range(3)]
    episodes = [episode("he volleys it", [look(30, 34)], each) for each in asked]
    run = made_run(tmp_path / "nano", episodes)
    with viewing(tmp_path / "nano") as seen:
        assert seen.episodes(outcome="unscored")["n_found"] == 3
        said: list[Judged] = [judged(episodes[0], judge_says(10, "the same")), judged(episodes[1], judge_says(0, "another"))]
        stale = said[0].model_copy(update={"episode_id": episodes[2].id, "case": "of another answer"})
        write_lines(run.folder / "verdicts.jsonl", [*said, stale])
        rows = seen.settled().episodes()["rows"]
        detail = seen.get(f"/api/sets/{seen.the_set()}/episodes/{rows[0]['id']}")
    assert [row["outcome"] for row in rows] == ["right", "wrong", "unscored"]
    assert rows[1]["failure"] == "visual_hallucination"
    assert detail["verdict"]["reason"] == "the same"


def test_a_diagnosis_gives_the_cause_and_one_of_another_answer_does_not(tmp_path: Path) -> None:
    episodes = [episode("header", [look(30, 34)], question(f"q{n}")) for n in range(2)]
    run = made_run(tmp_path / "nano", episodes)
    found = [_diagnosis(episodes[0], "header"), _diagnosis(episodes[1], "another answer")]
    with viewing(tmp_path / "nano") as seen:
        write_lines(run.folder / "diagnoses.jsonl", found)
        rows = seen.settled().episodes()["rows"]
        detail = seen.get(f"/api/sets/{seen.the_set()}/episodes/{rows[0]['id']}")
    assert [row["cause"] for row in rows] == ["knowledge", None]
    assert [row["failure"] for row in rows] == ["other", "visual_hallucination"]
    assert detail["diagnosis_text"] == ["It was said rightly."]


def test_of_a_step_that_was_sampled_anew_only_the_later_samples_are_shown(tmp_path: Path) -> None:
    clip = unreal_clip()
    first = [sample for step in range(3) for sample in samples_of_step(clip, step)]
    anew = [
        sample.model_copy(update={"episode": sample.episode.model_copy(update={"id": f"anew {sample.episode.id}"})})
        for step in (1, 2)
        for sample in samples_of_step(clip, step)[:2]
    ]
    write_lines(tmp_path / "run" / "samples" / "rl.jsonl", [*first, *anew])
    with viewing(tmp_path / "run") as seen:
        found = seen.episodes()
        (of_two,) = {row["step"] for row in seen.episodes(step="2", text="anew")["rows"]}
    assert dict(found["facets"]["step"]) == {"0": 4, "1": 2, "2": 2}
    assert found["n_total"] == 8
    assert of_two == 2


def test_two_sets_are_paired_by_question_and_run() -> None:
    left = viewed([episode("volley"), episode("header", [], question("b")), episode("volley", [], question("only"))])
    right = viewed([episode("volley", [], question("b")), episode("header")])
    pairs = pair_up(left, right)
    assert (pairs.left_P.tolist(), pairs.right_P.tolist()) == ([0, 1], [1, 0])
    assert [list(Flip)[flip] for flip in pairs.flips_P] == [Flip.LOST, Flip.GAINED]
    assert (pairs.n_only_left, pairs.n_only_right, pairs.n_differ) == (1, 0, 0)


def test_an_id_that_means_another_question_is_not_paired() -> None:
    other = question("q").model_copy(update={"text": "Who scored?"})
    pairs = pair_up(viewed([episode("volley")]), viewed([episode("volley", [], other)]))
    assert (len(pairs.left_P), pairs.n_differ) == (0, 1)


def test_a_comparison_shows_what_flipped(tmp_path: Path) -> None:
    asked = [question(f"q{n}") for n in range(4)]
    made_run(
        tmp_path / "a",
        [episode(answer, [], q) for answer, q in zip(("volley", "volley", "header", "header"), asked, strict=True)],
    )
    made_run(
        tmp_path / "b",
        [episode(answer, [], q) for answer, q in zip(("volley", "header", "volley", "header"), asked, strict=True)],
    )
    with viewing(tmp_path) as seen:
        sides = {"left": seen.the_set("a"), "right": seen.the_set("b")}
        whole = seen.get("/api/compare", **sides)
        lost = seen.get("/api/compare", **sides, flip="lost")
        one = seen.get("/api/compare", **sides, key=lost["rows"][0]["key"])
    assert whole["counts"] == {"gained": 1, "lost": 1, "both_right": 1, "both_wrong": 1, "unscored": 0}
    assert [row["question_id"] for row in lost["rows"]] == ["q1"]
    assert [row["question_id"] for row in one["rows"]] == ["q1"]
    assert (whole["left"]["score"], whole["right"]["score"]) == (50.0, 50.0)


def test_lines_are_read_again_by_their_places_after_the_file_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text('{"a": 1}\n{"b": 2}\n')
    followed = GrowingFile(path)
    first, second = followed.read()
    path.unlink()
    path.write_text("another\n")
    assert not followed.is_current()
    assert (followed.at(first.place), followed.at(second.place)) == (b'{"a": 1}', b'{"b": 2}')


def test_a_line_without_an_end_counts_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text('{"a": 1}\n{"b": ')
    followed = GrowingFile(path)
    assert [line.number for line in followed.read()] == [1]
    assert followed.read() == []
    with path.open("a") as file:
        file.write("2}")
    assert [(line.number, line.content) for line in followed.read()] == [(2, b'{"b": 2}')]
    with path.open("a") as file:
        file.write('\n{"c": 3}\n')
    assert [(line.number, line.content) for line in followed.read()] == [(3, b'{"c": 3}')]


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepsport.serve.viewer.growing_file.CHUNK_BYTES", 64)
    monkeypatch.setattr("deepsport.serve.viewer.growing_file.LONGEST_LINE", 256)
    path = tmp_path / "a"
    path.write_text("1\n" + "x" * 1000 + "\n2\n")
    followed = GrowingFile(path)
    assert [line.content for line in followed.read()] == [b"1"]
    with pytest.raises(LongLineError, match="a:2 is longer"):
        followed.read()
    assert [(line.number, line.content) for line in followed.read()] == [(3, b"2")]


def test_the_raw_record_leaves_tokens_out_unless_asked_for(tmp_path: Path) -> None:
    with_tokens = json.loads(many(1)[0].model_dump_json())
    with_tokens["tokens"] = {"ids": [1, 2], "sampled": [False, True], "logprobs": [0.0, -0.5], "images": []}
    path = tmp_path / "e.jsonl"
    path.write_text(json.dumps(with_tokens) + "\n")
    with viewing(path) as seen:
        at = f"/api/sets/{seen.the_set()}/episodes/{seen.episodes()['rows'][0]['id']}"
        assert "tokens" not in seen.get(f"{at}/raw")
        assert "tokens" not in seen.get(at)["episode"]
        assert seen.get(f"{at}/raw", tokens=1)["tokens"]["ids"] == [1, 2]


def test_the_same_question_elsewhere_is_named(tmp_path: Path) -> None:
    made_run(tmp_path / "a", [episode("volley")])
    made_run(tmp_path / "b", [episode("header")])
    with viewing(tmp_path) as seen:
        name = seen.the_set("a")
        detail = seen.get(f"/api/sets/{name}/episodes/{seen.episodes('a')['rows'][0]['id']}")
    assert [(each["run_name"], each["outcome"], each["answer"]) for each in detail["elsewhere"]] == [("b", "wrong", "header")]


def _diagnosis(each: Episode, answer: str) -> Diagnosis:
    return Diagnosis(
        episode_id=each.id,
        question_id=each.question.id,
        run=0,
        video="a.mp4",
        cluster="a.mp4",
        sport="soccer",
        dimension=None,
        failure="other",  # pyright: ignore[reportArgumentType]
        cause=Cause.KNOWLEDGE,
        by=Evidence.EXAMINER,
        evidence=("It was said rightly.",),
        clip_s=4.0,
        window=None,
        asked=(),
        n_refused=0,
        offset_s=None,
        answer=answer,
        reference="volley",
    )


def test_the_kind_of_a_file_decides_how_its_lines_are_read(tmp_path: Path) -> None:
    assert SetKind("samples") is SetKind.SAMPLES
    path = write_lines(tmp_path / "run" / "samples" / "rl.jsonl", many(1))
    with viewing(path.parents[1]) as seen:
        (problem,) = seen.get("/api/runs")["runs"][0]["sets"][0]["problems"]
    assert "rl.jsonl:1" in problem
