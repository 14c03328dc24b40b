"""Splitting by match: what stays together, how the shares are met, and which leaks are found when the sides are given."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from deepsport.cli.dataset import split as split_command
from deepsport.data.dataset.folder import read_questions
from deepsport.data.dataset.gathering import QuestionFile
from deepsport.data.dataset.groups import Groups
from deepsport.data.dataset.leak import Leak, leaking_rows
from deepsport.data.dataset.making import leaks_file, make_dataset
from deepsport.data.dataset.manifest import SPLITS, Manifest, Sharing, Split
from deepsport.data.dataset.near_equal import FORMULA_CLIPS, TEMPLATE_MATCHES, near_equal
from deepsport.data.dataset.traces import Traces, match_name
from deepsport.data.fingerprint import Clip
from deepsport.durable import read_records
from deepsport.errors import BadConfig, LeakError
from deepsport.records import Choice, Dimension, FreeText, Gold, Number, Provenance, Question

HUMAN = "Why does the referee stop the play after the tall defender in white slides into the striker near the corner flag?"
LONG = ("ball", "post", "line", "net", "flag", "shot", "wall", "bench", "stand", "whistle", "card", "bar", "box", "flank")
TEMPLATE = "What does the referee give the home team after this late foul near the corner flag?"
GAME = "2015-02-21 - 18-00 Chelsea 1 - 1 Burnley"


def asked(
    name: str,
    *,
    match: str | None = None,
    source: str = "made",
    text: str = "Which jump is this?",
    gold: Gold | None = None,
    sport: str = "soccer",
    sha256: str = "",
    video: str | None = None,
) -> Question:
    """A question of a match and a video of its own."""
    origin = Provenance(source=source, file="a.json", record=name, match=match or name, licence="MIT", video_sha256=sha256)
    return Question(
        id=f"{source}/{name}",
        video=video or f"{name}.mp4",
        text=text,
        gold=gold or Choice(options=("axel", "lutz"), answer="axel"),
        sport=sport,
        dimension=Dimension.RECOGNITION,
        provenance=origin,
    )


def written(folder: Path, questions: Iterable[Question], clips: Iterable[Clip] = ()) -> Path:
    """A file of questions in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "questions.jsonl").write_text("".join(question.model_dump_json() + "\n" for question in questions))
    if lines := [clip.model_dump_json() + "\n" for clip in clips]:
        (folder / "clips.jsonl").write_text("".join(lines))
    return folder / "questions.jsonl"


def sides(dataset: Path, manifest: Manifest) -> dict[str, Split]:
    """The split of every id."""
    return {question.id: split for split in manifest.parts for question in read_questions(dataset, split)}


def split(
    tmp_path: Path, questions: Sequence[Question], shares: Mapping[Split, float] | None = None, seed: int = 0
) -> dict[str, Split]:
    path = written(tmp_path / "set", questions)
    shares = shares or {"train": 50, "val": 25, "test": 25}
    manifest = make_dataset([QuestionFile(path)], tmp_path / "dataset", shares=shares, seed=seed)
    return sides(tmp_path / "dataset", manifest)


def refused(tmp_path: Path, rest: Sequence[Question], test: Sequence[Question]) -> list[Leak]:
    """The leaks that a given test set is refused for."""
    files = [QuestionFile(written(tmp_path / "rest", rest)), QuestionFile(written(tmp_path / "test", test), "test")]
    with pytest.raises(LeakError):
        make_dataset(files, tmp_path / "dataset")
    return list(read_records(leaks_file(tmp_path / "dataset"), Leak))


def many(n_matches: int, per_match: int = 3) -> list[Question]:
    return [asked(f"{match}-{n}", match=f"match {match}") for match in range(n_matches) for n in range(per_match)]


def near(*questions: Question) -> list[int]:
    """The numbers of the near-equal wordings of questions."""
    traces = Traces("/sets")
    for question in questions:
        traces.add(question)
    return near_equal(questions, traces).tolist()


def looking(sha256: str, frame_hash: str) -> Clip:
    looks = tuple(f"{int(frame_hash, 16) + 77 * n:016x}" for n in range(8))
    return Clip(video=f"/v/{sha256[:1]}.mp4", sha256=sha256, n_frames=90, duration_s=3, size_wh=(64, 48), frame_hashes=looks)


# What stays together


def test_groups_are_named_after_their_smallest_member_whatever_the_order_of_the_bonds() -> None:
    bonds = [(4, 3), (0, 3), (5, 2), (1, 1)]
    for order in (bonds, bonds[::-1]):
        groups = Groups(6)
        for bond in order:
            groups.join(*bond)
        assert groups.names().tolist() == [0, 1, 2, 0, 0, 2]


def test_equal_keys_join_and_the_key_0_joins_nothing() -> None:
    groups = Groups(5)
    groups.join_equal(np.array([7, 0, 7, 0, 9], dtype=np.uint64))
    assert groups.names().tolist() == [0, 1, 0, 3, 4]


def test_a_match_is_never_divided(tmp_path: Path) -> None:
    found: defaultdict[str, set[Split]] = defaultdict(set)
    for name, side in split(tmp_path, many(40)).items():
        found[name.split("-")[0]].add(side)
    assert {len(each) for each in found.values()} == {1}
    assert set().union(*found.values()) == set(SPLITS)


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("soccernet", f"england_epl_2014-2015/{GAME}"),
        ("unisoccer", f"england_epl_2014-2015/{GAME}"),
        ("soccernet-mvfoul", f"england_epl/2014-2015/{GAME}"),
        ("osl-json", f"england_epl\\2014-2015\\{GAME}".replace("\\", "/")),
        ("my-set", GAME.replace(" ", "_")),
    ],
)
def test_a_soccer_match_is_one_match_in_every_source(source: str, match: str) -> None:
    matchtime = asked("a", source="matchtime", match=f"england_epl_2014-2015/{GAME}")
    assert match_name(asked("b", source=source, match=match), "") == match_name(matchtime, "")


def test_other_names_of_matches_count_within_their_source() -> None:
    assert match_name(asked("a", source="finediving", match="01"), "") != match_name(asked("a", source="mtl", match="01"), "")


def test_other_matches_of_one_day_are_others() -> None:
    other = GAME.replace("Chelsea", "Arsenal")
    assert match_name(asked("a", match=GAME), "") != match_name(asked("a", match=other), "")


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "pair",
    [
        (asked("x", sha256="a" * 64), asked("y", sha256="A" * 64)),
        (asked("x", video="same.mp4"), asked("y", video="./same.mp4")),
        (asked("x", text=HUMAN), asked("y", text=HUMAN.replace("tall", "small"))),
    ],
    ids=["content", "file", "wording"],
)
def test_what_is_shared_keeps_questions_of_two_matches_together(
    pair: tuple[Question, Question], seed: int, tmp_path: Path
) -> None:
    found = split(tmp_path, [*pair, *many(4, 2)], seed=seed)
    assert found["made/x"] == found["made/y"]


def test_clips_that_look_alike_stay_together_where_we_choose(tmp_path: Path) -> None:
    clips = [looking("a" * 64, "00ff12ab34cd56ef"), looking("b" * 64, "00ff12ab34cd56ee")]
    pair = [asked("x", sha256="a" * 64), asked("y", sha256="b" * 64)]
    for seed in range(8):
        path = written(tmp_path / "set", [*pair, *many(4, 2)], clips)
        manifest = make_dataset([QuestionFile(path)], tmp_path / "dataset", shares={"train": 1, "test": 1}, seed=seed)
        found = sides(tmp_path / "dataset", manifest)
        assert found["made/x"] == found["made/y"]
        assert manifest.leaks is not None
        assert (manifest.leaks.n_fingerprints, manifest.leaks.n_lookalikes) == (2, 0)


# Near-equal wordings


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (HUMAN, True),
        (HUMAN.upper() + "!", True),
        (HUMAN.replace("tall", "small"), True),
        (HUMAN.replace("Why", "Tell me why"), True),
        (HUMAN.replace("tall", "small").replace("striker", "goalkeeper").replace("corner", "near"), False),
        ("Why does the referee stop the play after the first serve of the second set of this long final in Paris?", False),
    ],
)
def test_questions_are_near_equal_if_about_one_word_is_changed(other: str, same: bool) -> None:
    gold = FreeText(answer="A foul.")
    one, two = near(asked("a", text=HUMAN, gold=gold), asked("b", text=other, gold=gold))
    assert (one == two != 0) == same


def test_a_long_question_with_two_words_changed_is_another() -> None:
    text = f"{HUMAN} {' '.join(LONG)}"
    assert len(set(near(asked("a", text=text), asked("b", text=text.replace("tall", "small").replace("stand", "bank"))))) == 2


def test_the_answer_counts_where_the_text_is_a_formula() -> None:
    line = "[PLAYER] drills a low cross through the box and the keeper pushes it over the bar with one hand."
    formula = [asked(f"{n}", text="Comment on what happens.", gold=FreeText(answer=f"Word {n}.")) for n in range(FORMULA_CLIPS)]
    pair = [asked(name, text="Comment on what happens.", gold=FreeText(answer=line)) for name in "xy"]
    *rest, one, two = near(*formula, *pair)
    assert one == two != 0
    assert set(rest) == {0}


@pytest.mark.parametrize("gold", [None, Number(answer=3)], ids=["choice", "number"])
def test_a_closed_question_that_its_source_asks_of_a_few_matches_is_a_formula(gold: Gold | None) -> None:
    some = [asked(f"{n}", text=TEMPLATE, gold=gold) for n in range(TEMPLATE_MATCHES)]
    assert set(near(*some)) == {0}
    assert 0 not in near(*some[1:])


def test_a_long_option_that_is_right_in_a_few_matches_of_its_source_is_a_formula() -> None:
    gold = Choice(options=(TEMPLATE, "a fault"), answer=TEMPLATE)
    some = [asked(f"{n}", text="Why?", gold=gold) for n in range(TEMPLATE_MATCHES)]
    assert set(near(*some)) == {0}
    assert 0 not in near(*some[1:])


@pytest.mark.parametrize(
    "pair",
    [
        (asked("a", text=TEMPLATE, match="final"), asked("b", text=TEMPLATE, match="final")),
        (asked("a", text=TEMPLATE, source="tennis2"), asked("b", text=TEMPLATE, source="tennis3")),
        (asked("a", text=TEMPLATE, gold=FreeText(answer="Ann.")), asked("b", text=TEMPLATE, gold=FreeText(answer="Ann."))),
    ],
    ids=["one match", "two sources", "open"],
)
def test_a_few_equal_questions_of_one_match_of_two_sources_or_in_free_words_are_no_formula(
    pair: tuple[Question, Question],
) -> None:
    one, two = near(*pair)
    assert one == two != 0


def test_a_wording_that_recurs_on_many_clips_is_a_formula_and_no_leak() -> None:
    some = [asked(f"{n}", text=HUMAN, gold=FreeText(answer="A foul.")) for n in range(FORMULA_CLIPS)]
    assert len(set(near(*some[:-1])) - {0}) == 1
    assert set(near(*some)) == {0}


def test_wordings_that_are_only_nearly_the_same_on_many_clips_are_a_formula_too() -> None:
    words = ("tall", "small", "young", "injured")
    assert set(near(*(asked(word, text=HUMAN.replace("tall", word)) for word in words))) == {0}


def test_a_formula_with_a_time_in_it_is_one() -> None:
    times = ("01:10", "12:34", "23:09", "40:51", "40:51")
    assert set(near(*(asked(f"{n}", text=f"What mainly happens at {at} of this half?") for n, at in enumerate(times)))) == {0}


def test_a_long_formula_does_not_hide_that_two_answers_are_nearly_equal() -> None:
    golds = [FreeText(answer=" ".join(f"{letter}{word}" for word in LONG)) for letter in "abcdef"]
    some = [asked(f"{n}", text=f"{HUMAN} " * 9, gold=gold) for n, gold in enumerate([*golds, golds[0]])]
    found = near(*some)
    assert found[0] == found[-1] != 0
    assert len(set(found)) == len(golds)


def test_the_same_wording_on_one_clip_many_times_is_no_formula() -> None:
    gold = FreeText(answer="A foul.")
    some = [asked(f"{n}", text=HUMAN, gold=gold, video="one.mp4") for n in range(FORMULA_CLIPS + 2)]
    assert len(set(near(*some, asked("copy", text=HUMAN, gold=gold)))) == 1
    assert 0 not in near(*some)


def test_a_short_question_is_never_near_equal() -> None:
    assert near(*(asked(name, text="Is this action a foul, or fair?") for name in "ab")) == [0, 0]


def test_options_are_no_part_of_a_wording() -> None:
    text = "Is it right of the line judge to raise the flag here?"
    golds = [Choice(options=options, answer="yes") for options in (("yes", "no"), ("no", "yes", "cannot be said"))]
    texts = [f"{text} Options: {', '.join(gold.options)}." for gold in golds]
    pair = [asked(f"{n}", text=texts[n], gold=gold, match="final") for n, gold in enumerate(golds)]
    one, two = near(*pair)
    assert one == two != 0


def test_two_of_many_that_share_half_of_their_words_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepsport.data.dataset.near_equal.MOST_COMPARED", 1)  # neighbours only, as in a large group
    draw = random.Random(2)

    def ending() -> str:
        return " ".join("".join(draw.choices("abcdefghij", k=6)) for _ in range(6))

    some = [asked(f"{n}", text=f"{HUMAN} {ending()}") for n in range(100)]
    found = near(*some, asked("copy", text=some[7].text + " indeed"))
    assert found[7] == found[-1]
    assert len(set(found)) == len(some)


def test_near_equal_wordings_do_not_depend_on_the_order_of_questions() -> None:
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghij", k=6)) for _ in range(30)]
    some = [asked(f"{n}", text=" ".join(draw.choices(words, k=14))) for n in range(200)]
    copies = [asked(f"copy {n}", text=some[n].text + " indeed") for n in range(20)]
    questions = [*some, *copies]

    def pairs(order: list[Question]) -> set[frozenset[str]]:
        groups: defaultdict[int, set[str]] = defaultdict(set)
        for question, group in zip(order, near(*order), strict=True):
            groups[group].add(question.id)
        groups.pop(0, None)
        return {frozenset(group) for group in groups.values() if len(group) > 1}

    found = pairs(questions)
    assert len(found) == 20
    draw.shuffle(questions)
    assert pairs(questions) == found


# Shares


def test_shares_are_met_for_every_sport_as_nearly_as_matches_allow(tmp_path: Path) -> None:
    questions = [
        asked(f"{sport}{match}-{n}", match=f"{sport} {match}", sport=sport)
        for sport, n_matches in (("soccer", 100), ("tennis", 30))
        for match in range(n_matches)
        for n in range(1 + match % 5)
    ]
    found = split(tmp_path, questions, {"train": 80, "val": 10, "test": 10})
    for sport in ("soccer", "tennis"):
        counts = Counter(side for name, side in found.items() if sport in name)
        total = counts.total()
        assert [counts[side] / total for side in SPLITS] == pytest.approx([0.8, 0.1, 0.1], abs=0.03)


def test_a_share_of_nothing_is_no_split(tmp_path: Path) -> None:
    assert set(split(tmp_path, many(10), {"train": 90, "val": 10, "test": 0}).values()) == {"train", "val"}


def test_the_order_of_questions_and_files_decides_nothing(tmp_path: Path) -> None:
    questions = [*many(30), *(asked(f"t{n}", sport="tennis") for n in range(9))]
    one = [QuestionFile(written(tmp_path / name, part)) for name, part in (("a", questions[:40]), ("b", questions[40:]))]
    shuffled = random.Random(3).sample(questions, len(questions))
    other = [QuestionFile(written(tmp_path / name, part)) for name, part in (("d", shuffled[:9]), ("c", shuffled[9:]))]
    first, second = (sides(tmp_path / "x", make_dataset(files, tmp_path / "x")) for files in (one, other))
    assert first == second


def test_another_seed_is_another_split(tmp_path: Path) -> None:
    assert split(tmp_path, many(40)) != split(tmp_path, many(40), seed=1)


@pytest.mark.parametrize(("n_sports", "n_matches"), [(6, 3), (6, 4), (12, 1), (13, 2), (6, 5)])
def test_the_whole_is_shared_out_where_no_sport_has_matches_enough(n_sports: int, n_matches: int, tmp_path: Path) -> None:
    questions = [
        asked(f"{sport}-{match}-{n}", match=f"{sport} {match}", sport=f"sport {sport}")
        for sport in range(n_sports)
        for match in range(n_matches)
        for n in range(4)
    ]
    counts = Counter(split(tmp_path, questions, {"train": 80, "val": 10, "test": 10}).values())
    assert [counts[side] / len(questions) for side in SPLITS] == pytest.approx([0.8, 0.1, 0.1], abs=0.05)


# Sides that are given


def test_a_test_set_that_is_given_stays_as_it_is_and_the_rest_is_divided(tmp_path: Path) -> None:
    rest, test = many(20), [asked("official", match="final")]
    files = [QuestionFile(written(tmp_path / "rest", rest)), QuestionFile(written(tmp_path / "test", test), "test")]
    manifest = make_dataset(files, tmp_path / "dataset")
    found = sides(tmp_path / "dataset", manifest)
    assert [name for name, side in found.items() if side == "test"] == ["made/official"]
    assert Counter(found.values())["val"] / len(rest) == pytest.approx(10 / 90, abs=0.04)
    assert manifest.splitting is not None
    assert manifest.splitting.fixed == ("test",)


@pytest.mark.parametrize(
    ("sharing", "train", "test"),
    [
        (Sharing.MATCH, asked("a", match="m"), asked("b", match="m")),
        (
            Sharing.MATCH,
            asked("a", source="matchtime", match=f"england_epl_2014-2015/{GAME}"),
            asked("b", source="mvfoul", match=f"england_epl/2014-2015/{GAME}"),
        ),
        (Sharing.FOOTAGE, asked("a", sha256="a" * 64), asked("b", sha256="a" * 64)),
        (Sharing.FILE, asked("a", video="/footage/x.mp4"), asked("b", video="/footage/x.mp4")),
        (Sharing.WORDING, asked("a", text=HUMAN), asked("b", text=HUMAN.replace("white", "red"))),
    ],
)
def test_what_a_given_test_set_shares_with_the_rest_is_refused_and_listed(
    sharing: Sharing, train: Question, test: Question, tmp_path: Path
) -> None:
    leaks = refused(tmp_path, [train, *many(3)], [test])
    assert [(leak.sharing, leak.id, leak.other_id, leak.other_split) for leak in leaks] == [(sharing, train.id, test.id, "test")]
    assert not (tmp_path / "dataset").exists()


def test_a_given_split_is_kept_and_what_was_put_in_another_is_named_to_go() -> None:
    traces = Traces("/sets")
    for question in (asked("official", match="m"), asked("free", match="m"), asked("other")):
        traces.add(question)
    unworded, placed = np.zeros(3, dtype=np.uint64), np.array([SPLITS.index(each) for each in ("val", "test", "train")], np.int8)
    assert [(leak.row, leak.other) for leak in leaking_rows(traces, unworded, placed, given=("val",))] == [(1, 0)]
    assert [(leak.row, leak.other) for leak in leaking_rows(traces, unworded, placed)] == [(0, 1)]


def test_a_test_set_may_use_a_phrasing_of_its_importer(tmp_path: Path) -> None:
    rest = [*(asked(f"a{n}", text=TEMPLATE, match=f"cup {n}") for n in range(2)), *many(3)]
    files = [
        QuestionFile(written(tmp_path / "rest", rest)),
        QuestionFile(written(tmp_path / "t", [asked("t", text=TEMPLATE)]), "test"),
    ]
    assert make_dataset(files, tmp_path / "dataset").parts["test"].n_questions == 1


def test_every_question_that_leaks_is_listed_and_some_are_named(tmp_path: Path) -> None:
    files = [
        QuestionFile(written(tmp_path / "rest", many(4, 5))),
        QuestionFile(written(tmp_path / "test", [asked("t", match="match 1")]), "test"),
    ]
    with pytest.raises(LeakError, match=r"5 questions .* made/1-0 .* has the same match as made/t \(test\).*leaks\.jsonl"):
        make_dataset(files, tmp_path / "dataset")
    leaks = list(read_records(leaks_file(tmp_path / "dataset"), Leak))
    assert [leak.id for leak in leaks] == [f"made/1-{n}" for n in range(5)]


def test_a_given_val_and_a_given_test_set_must_not_share_either(tmp_path: Path) -> None:
    files = [QuestionFile(written(tmp_path / name, [asked(name, match="m")]), name) for name in ("val", "test")]  # type: ignore[arg-type]
    with pytest.raises(LeakError):
        make_dataset([QuestionFile(written(tmp_path / "rest", many(3))), *files], tmp_path / "dataset")


def test_what_only_looks_alike_across_given_sides_is_written_and_said(tmp_path: Path) -> None:
    rest = written(tmp_path / "rest", [asked("x", sha256="a" * 64), *many(5)], [looking("a" * 64, "00ff12ab34cd56ef")])
    test = written(tmp_path / "test", [asked("y", sha256="b" * 64)], [looking("b" * 64, "00ff12ab34cd56ee")])
    manifest = make_dataset([QuestionFile(rest), QuestionFile(test, "test")], tmp_path / "dataset")
    assert manifest.leaks is not None
    assert [(each.clip, each.other_clip, each.other_split) for each in manifest.leaks.lookalikes] == [("a.mp4", "b.mp4", "test")]
    assert "a.mp4" in (tmp_path / "dataset" / "README.md").read_text()


# The command

app = typer.Typer()
app.command()(split_command)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_says_what_went_where(tmp_path: Path) -> None:
    path = written(tmp_path / "set", [*many(10), asked("no", gold=FreeText(answer=" "))])
    done = run(path, "-o", tmp_path / "dataset", "--shares", "60,20,20")
    assert done.exit_code == 0, done.stderr
    assert "train: 18 questions (60.0%) of 6 matches" in done.stdout
    assert "left out 1 x an empty answer" in done.stdout
    assert json.loads((tmp_path / "dataset" / "manifest.json").read_text())["splitting"]["shares"]["train"] == 0.6


def test_the_command_warns_of_a_split_that_got_nothing(tmp_path: Path) -> None:
    done = run(written(tmp_path / "set", many(1)), "-o", tmp_path / "dataset", "--shares", "80,20,0")
    assert done.exit_code == 0, done.stderr
    assert "warning: val got nothing" in done.stdout
    assert "test got nothing" not in done.stdout


@pytest.mark.parametrize("option", ["--test", "--val"])
@pytest.mark.parametrize("given", [(), (asked("no", gold=FreeText(answer=" ")),)], ids=["empty", "nothing to ask"])
def test_the_command_refuses_a_given_split_without_a_question(option: str, given: Sequence[Question], tmp_path: Path) -> None:
    done = run(written(tmp_path / "rest", many(9)), option, written(tmp_path / "given", given), "-o", tmp_path / "dataset")
    assert done.exit_code == 2
    assert "holds no question" in done.stderr
    assert not (tmp_path / "dataset").exists()


def test_the_command_refuses_a_leaking_test_set_in_one_line(tmp_path: Path) -> None:
    rest, test = written(tmp_path / "rest", many(3)), written(tmp_path / "test", [asked("t", match="match 1")])
    done = run(rest, "--test", test, "-o", tmp_path / "dataset")
    assert done.exit_code == 2
    assert "share a match, a video or a wording" in done.stderr


@pytest.mark.parametrize("shares", ["80,20", "a,b,c", "80,-10,30", "0,0,0", "nan,1,1", "inf,0,0", ""])
def test_shares_that_are_none_are_refused(shares: str, tmp_path: Path) -> None:
    done = run(written(tmp_path / "set", many(3)), "-o", tmp_path / "dataset", "--shares", shares)
    assert done.exit_code == 2
    assert "80,10,10" in done.stderr


def test_shares_that_leave_nothing_for_what_is_not_given_are_refused(tmp_path: Path) -> None:
    files = [QuestionFile(written(tmp_path / "a", many(2))), QuestionFile(written(tmp_path / "b", [asked("b")]), "test")]
    with pytest.raises(BadConfig, match="leave nothing"):
        make_dataset(files, tmp_path / "dataset", shares={"test": 100})
