"""The importers of soccer, badminton, volleyball, basketball, diving and tennis annotations, on files of their layouts."""

import csv
import json
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from deepsport.data.plain_pickle import plain_pickle
from deepsport.data.source import Drops, Source
from deepsport.data.sources import f3set, matchtime, mtl_aqa, nsva, shuttleset, soccer, soccernet, unisoccer, volleyball
from deepsport.errors import BadAnnotation
from deepsport.records import Choice, Dimension, FreeText, Number, Question, Window

GAME = "europe_uefa-champions-league_2016-2017/2016-11-23 - 22-45 Arsenal 2 - 2 Paris SG"


def asked(source: Source, path: Path) -> tuple[dict[str, Question], Drops]:
    """The questions by what follows the source's name in their ids, and what was dropped."""
    drops = Drops()
    questions = list(source.questions(path, drops))
    return {question.id.removeprefix(f"{source.name}/"): question for question in questions}, drops


def answer(question: Question) -> str | float:
    assert question.gold is not None
    return question.gold.answer


def written(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def rows(path: Path, header: str, *lines: Sequence[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header.split(","), *lines])
    return path


# UniSoccer


def unisoccer_file(folder: Path, **changes: object) -> Path:
    record = {
        "video": f"{GAME}/2_43_36.mp4",
        "caption": "clearance",
        "comments_text": "Jese (Paris SG) shoots.",
        "comments_text_anonymized": "[PLAYER] ([TEAM]) shoots.",
    }
    return written(folder / "classification_test.json", [record | changes])


def test_unisoccer_asks_for_the_event_and_a_comment_without_names(tmp_path: Path) -> None:
    questions, _ = asked(unisoccer.SOURCE, unisoccer_file(tmp_path))
    assert [(name.rsplit("/")[-1], answer(question)) for name, question in questions.items()] == [
        ("event", "a clearance"),
        ("comment", "[PLAYER] ([TEAM]) shoots."),
    ]


def test_unisoccer_keeps_a_game_together(tmp_path: Path) -> None:
    questions, _ = asked(unisoccer.SOURCE, unisoccer_file(tmp_path))
    assert {question.provenance.match for question in questions.values() if question.provenance} == {GAME}


@pytest.mark.parametrize("video", ["../../etc/1_00_01.mp4", "/etc/x/1_00_01.mp4", "C:\\x\\1.mp4", "a\\..\\..\\b/1.mp4", "1.mp4"])
def test_unisoccer_drops_a_video_outside_a_game(tmp_path: Path, video: str) -> None:
    questions, drops = asked(unisoccer.SOURCE, unisoccer_file(tmp_path, video=video))
    assert (questions, dict(drops.counts)) == ({}, {"a video path that is not <game>/<clip>": 1})


def test_unisoccer_drops_a_class_it_does_not_know_and_still_asks_for_the_comment(tmp_path: Path) -> None:
    questions, drops = asked(unisoccer.SOURCE, unisoccer_file(tmp_path, caption="streaker"))
    assert (len(questions), dict(drops.counts)) == (1, {"an unknown class": 1})


def test_unisoccer_reads_the_part_without_comments(tmp_path: Path) -> None:
    path = written(tmp_path / "classification_valid.json", [{"video": f"{GAME}/1_00_52.mp4", "caption": "goal"}])
    questions, drops = asked(unisoccer.SOURCE, path)
    assert ([answer(question) for question in questions.values()], drops.counts.total()) == (["a goal"], 0)


def test_every_genuine_record_of_unisoccer_becomes_a_question(shared_folder: Path) -> None:
    folder = shared_folder / "formats" / "UniSoccer_MatchTime_SoccerNetv2"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    questions, drops = asked(unisoccer.SOURCE, folder)
    n_records = sum(len(json.loads(file.read_text())) for file in folder.glob("*.json"))
    n_events = sum(name.endswith("/event") for name in questions)
    assert (n_events + sum(drops.counts.values()), set(drops.counts)) == (
        n_records,
        {"an id that was there before"} & set(drops.counts),
    )


# MatchTime

MATCHTIME = "league,game,half,timestamp,type,anonymized,predicted_res_0"


def matchtime_asked(folder: Path, *lines: tuple[object, ...]) -> tuple[dict[str, Question], Drops]:
    league, game = GAME.split("/")
    path = rows(folder / "sample.csv", MATCHTIME, *((league, game, *line, "what a model said") for line in lines))
    return asked(matchtime.SOURCE, path)


def test_matchtime_asks_about_the_seconds_around_an_instant(tmp_path: Path) -> None:
    questions, _ = matchtime_asked(tmp_path, (2, 2830, "soccer-ball", "[PLAYER] fires in."))
    assert {(name.rsplit("/")[-1], answer(q), str(q.window)) for name, q in questions.items()} == {
        ("event", "a goal", "start_s=2825.0 end_s=2835.0"),
        ("comment", "[PLAYER] fires in.", "start_s=2825.0 end_s=2835.0"),
    }


def test_matchtime_names_the_video_of_the_half(tmp_path: Path) -> None:
    questions, _ = matchtime_asked(tmp_path, (2, 2830, "", "[PLAYER] fires in."))
    assert [question.video for question in questions.values()] == [f"{GAME}/2_224p.mkv"]


def test_a_window_does_not_begin_before_the_half(tmp_path: Path) -> None:
    questions, _ = matchtime_asked(tmp_path, (1, 1, "", "They are off."))
    assert [question.window for question in questions.values()] == [Window(start_s=0, end_s=6)]


def test_a_speech_recognition_loop_is_asked_about_once(tmp_path: Path) -> None:
    questions, drops = matchtime_asked(tmp_path, *((1, at_s, "", "Thank  you.") for at_s in range(100, 160, 15)))
    assert (len(questions), dict(drops.counts)) == (1, {"the same comment again within 20 s": 3})


def test_the_same_comment_much_later_is_asked_about_again(tmp_path: Path) -> None:
    questions, _ = matchtime_asked(tmp_path, (1, 100, "", "Corner."), (1, 200, "", "Corner."))
    assert len(questions) == 2


def test_a_comment_within_one_that_overlaps_is_dropped(tmp_path: Path) -> None:
    questions, drops = matchtime_asked(tmp_path, (1, 100, "", "A corner."), (1, 104, "", "A corner. He takes it."))
    assert (len(questions), dict(drops.counts)) == (1, {"a comment that overlaps with another": 1})


@pytest.mark.parametrize("league", ["/etc", "..", "C:"])
def test_a_game_elsewhere_is_counted(tmp_path: Path, league: str) -> None:
    path = rows(tmp_path / "a.csv", MATCHTIME, (league, "game", 1, 100, "", "A foul.", ""))
    questions, drops = asked(matchtime.SOURCE, path)
    assert (questions, dict(drops.counts)) == ({}, {"a game that is no relative path": 1})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ((1, 100, "", "  "), "a comment without words"),
        ((3, 100, "", "Extra time."), "not in the layout: half"),
        ((1, "soon", "", "A foul."), "not in the layout: timestamp"),
        ((1, "nan", "", "A foul."), "not in the layout: timestamp"),
        ((1, -3, "", "A foul."), "not in the layout: timestamp"),
        ((1, 100, "funfact", "His tenth this year."), "a comment on nothing that is shown"),
    ],
)
def test_a_bad_line_of_matchtime_is_counted(tmp_path: Path, line: tuple[object, ...], reason: str) -> None:
    questions, drops = matchtime_asked(tmp_path, line)
    assert (questions, drops.counts[reason]) == ({}, 1)


def test_a_csv_file_without_the_columns_of_matchtime_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadAnnotation, match="no column 'league'"):
        asked(matchtime.SOURCE, rows(tmp_path / "a.csv", "a,b", (1, 2)))


# SoccerNet


def soccernet_asked(folder: Path, *annotations: object, file: str = "Labels-v2.json") -> tuple[dict[str, Question], Drops]:
    game = folder / "england_epl" / "2015-2016" / "2016-01-23 - 20-30 West Ham 2 - 2 City"
    written(game / file, {"UrlLocal": "x", "annotations": list(annotations)})
    return asked(soccernet.SOURCE, folder)


def event(**changes: object) -> dict[str, object]:
    base = {"gameTime": "1 - 02:06", "label": "Corner", "position": "126500", "team": "home", "visibility": "visible"}
    return base | changes


def test_soccernet_takes_the_milliseconds_of_the_half(tmp_path: Path) -> None:
    questions, _ = soccernet_asked(tmp_path, event())
    assert [(answer(q), q.window) for q in questions.values()] == [("a corner kick", Window(start_s=121.5, end_s=131.5))]


def test_soccernet_and_matchtime_agree_on_the_name_of_a_match(tmp_path: Path) -> None:
    questions, _ = soccernet_asked(tmp_path, event())
    [question] = questions.values()
    assert question.provenance is not None
    assert question.provenance.match == "england_epl_2015-2016/2016-01-23 - 20-30 West Ham 2 - 2 City"
    assert question.video == "england_epl/2015-2016/2016-01-23 - 20-30 West Ham 2 - 2 City/1_224p.mkv"


@pytest.mark.parametrize(("aligned", "start_s"), [("1 - 02:31", 146.0), ("", 121.5)])
def test_an_aligned_time_goes_before_the_published_one(tmp_path: Path, aligned: str, start_s: float) -> None:
    caption = event(anonymized="[PLAYER] takes it.", contrastive_aligned_gameTime=aligned, label="")
    questions, _ = soccernet_asked(tmp_path, caption, file="Labels-caption.json")
    assert [(q.dimension, q.window and q.window.start_s) for q in questions.values()] == [(Dimension.COMMENTARY, start_s)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"visibility": "not shown"}, "not shown"),
        ({"gameTime": "3 - 01:00"}, "a time that is no instant of a half"),
        ({"gameTime": None}, "not in the layout: gameTime"),
        ({"label": "Streaker"}, "an unknown class"),
        ({"label": "Shots on target"}, "a class that is no event"),
    ],
)
def test_an_event_of_soccernet_that_cannot_be_asked_about_is_counted(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    questions, drops = soccernet_asked(tmp_path, event(**changes))
    assert (questions, dict(drops.counts)) == ({}, {reason: 1})


def test_an_event_of_the_same_instant_is_no_wrong_option(tmp_path: Path) -> None:
    questions, _ = soccernet_asked(tmp_path, event(), event(label="Throw-in", position="124000"))
    options = [q.gold.options for q in questions.values() if isinstance(q.gold, Choice)]
    assert [{"a corner kick", "a throw-in"} <= set(each) for each in options] == [False, False]


@pytest.mark.parametrize("families", [soccer.FAMILIES, soccer.SOCCERNET_FAMILIES])
def test_no_event_is_given_away_by_its_options(families: soccer.Families) -> None:
    members = [event for family in families for event in family]
    assert len(members) == len(set(members))
    assert set(members) <= set(soccer.EVENTS.values())


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "Labels-cameras.json", {})
    with pytest.raises(BadAnnotation, match="holds neither"):
        asked(soccernet.SOURCE, tmp_path)


# ShuttleSet22

SHUTTLESET = (
    "rally,ball_round,time,frame_num,roundscore_A,roundscore_B,player,server,type,aroundhead,backhand,hit_height,hit_area,hit_x,hit_y,"
    "landing_height,landing_area,landing_x,landing_y,lose_reason,win_reason,getpoint_player,flaw,player_location_area,"
    "player_location_x,player_location_y,opponent_location_area,opponent_location_x,opponent_location_y,db"
)


def stroke(**cells: object) -> list[object]:
    values: dict[str, object] = {"rally": "1", "ball_round": "1", "time": "00:06:10", "frame_num": "11116", "player": "B"}
    values |= {"type": "發短球", **cells}
    return [values.get(column, "") for column in SHUTTLESET.split(",")]


def last_stroke(**cells: object) -> list[object]:
    values = {"ball_round": "2.0", "time": "00:06:12", "frame_num": "11167.0", "player": "A", "type": "殺球"}
    return stroke(**values | {"lose_reason": "對手落地致勝", "win_reason": "落地致勝", "getpoint_player": "A"} | cells)


def shuttleset_asked(folder: Path, *lines: list[object]) -> tuple[dict[str, Question], Drops]:
    rows(folder / "set" / "A_B_Open_2022_Finals" / "set1.csv", SHUTTLESET, *lines)
    questions, drops = asked(shuttleset.SOURCE, folder / "set")
    return {name.removeprefix("A_B_Open_2022_Finals/set1/"): question for name, question in questions.items()}, drops


def test_shuttleset_asks_for_stroke_winner_reason_and_number(tmp_path: Path) -> None:
    questions, drops = shuttleset_asked(tmp_path, stroke(), last_stroke())
    assert {name: (answer(q), q.dimension) for name, q in questions.items()} == {
        "1/strokes": (2, Dimension.RECOGNITION),
        "1/stroke": ("smash", Dimension.RECOGNITION),
        "1/winner": ("the player who received the serve", Dimension.RULES),
        "1/reason": ("the last stroke lands in court and is not returned", Dimension.RULES),
    }
    assert not drops.counts


def test_shuttleset_names_the_rally_by_when_it_begins(tmp_path: Path) -> None:
    questions, _ = shuttleset_asked(tmp_path, stroke(), last_stroke())
    assert all("0:06:10" in question.text for question in questions.values())


def test_shuttleset_counts_frames_of_the_match(tmp_path: Path) -> None:
    questions, _ = shuttleset_asked(tmp_path, stroke(), last_stroke())
    provenance = questions["1/strokes"].provenance
    assert provenance is not None
    assert (provenance.event_frames, provenance.match) == ((11116, 11167), "A_B_Open_2022_Finals")


def test_a_correction_out_of_order_does_not_break_a_rally(tmp_path: Path) -> None:
    questions, _ = shuttleset_asked(tmp_path, stroke(time="00:07:46", frame_num="14003"), last_stroke())
    assert questions["1/strokes"].window == Window(start_s=372, end_s=467)


@pytest.mark.parametrize(
    ("cells", "reason", "absent"),
    [
        ({"type": "魔球"}, "an unknown stroke type", "1/stroke"),
        ({"type": "未知球種"}, "a last stroke without a type", "1/stroke"),
        ({"lose_reason": "停電"}, "an unknown reason", "1/reason"),
        ({"lose_reason": "出界", "win_reason": "對手掛網"}, "reasons that contradict each other", "1/reason"),
        ({"lose_reason": "", "win_reason": ""}, "a rally without a reason", "1/reason"),
        ({"getpoint_player": "C"}, "a player who is neither A nor B", "1/winner"),
    ],
)
def test_only_what_is_unknown_of_a_rally_is_dropped(tmp_path: Path, cells: dict[str, object], reason: str, absent: str) -> None:
    questions, drops = shuttleset_asked(tmp_path, stroke(), last_stroke(**cells))
    assert (absent in questions, len(questions), dict(drops.counts)) == (False, 3, {reason: 1})


@pytest.mark.parametrize(
    "cells", [{"frame_num": ""}, {"ball_round": "3"}, {"getpoint_player": ""}, {"time": "later"}, {"rally": "8.5"}]
)
def test_a_rally_with_a_stroke_missing_is_dropped(tmp_path: Path, cells: dict[str, object]) -> None:
    questions, drops = shuttleset_asked(tmp_path, stroke(), last_stroke(**cells))
    assert (questions, drops.counts["a rally with missing or repeated strokes"]) == ({}, 1)


# Volleyball


def test_volleyball_asks_which_team_does_what(tmp_path: Path) -> None:
    written(
        tmp_path / "7" / "annotations.txt", "48075.jpg r_winpoint 372 442 86 130 falling 1 2 3 4 standing \n13.jpg l-pass\n\n"
    )
    questions, _ = asked(volleyball.SOURCE, tmp_path)
    assert {name: (answer(q), q.video) for name, q in questions.items()} == {
        "7/48075/activity": ("the right team wins the point", "7/48075"),
        "7/13/activity": ("the left team passes", "7/13"),
    }


def test_the_event_of_volleyball_is_the_middle_of_its_clip(tmp_path: Path) -> None:
    written(tmp_path / "7" / "annotations.txt", "48075.jpg r_set")
    [question] = asked(volleyball.SOURCE, tmp_path)[0].values()
    assert question.provenance is not None
    assert question.provenance.event_frames == (15, 25)


@pytest.mark.parametrize(
    ("line", "reason"),
    [("48075.jpg r_dance", "an unknown activity"), ("../1.jpg r_set", "a line that is not <frame>.jpg <activity>")],
)
def test_a_bad_line_of_volleyball_is_counted(tmp_path: Path, line: str, reason: str) -> None:
    written(tmp_path / "7" / "annotations.txt", f"1.jpg r_set\n{line}\n")
    questions, drops = asked(volleyball.SOURCE, tmp_path)
    assert (len(questions), dict(drops.counts)) == (1, {reason: 1})


# NSVA


def nsva_folder(folder: Path, *captions: str, plays: object = None) -> Path:
    sentences = [{"video_id": "video10326", "caption": caption} for caption in captions]
    written(folder / "captions.json", {"videos": [{"video_id": "video10326"}], "sentences": sentences})
    written(folder / "videoid2gameid_eventid.json", {"video10326": "0021801071-4"} if plays is None else plays)
    written(folder / "split2video_id.json", {"train": ["video10326"], "val": [], "test": []})
    written(folder / "action_list_Fine.json", ["not an object"])
    return folder


def test_nsva_drops_task_prefixes_and_repeated_captions(tmp_path: Path) -> None:
    folder = nsva_folder(tmp_path, "<T1>_PLAYER1 misses a layup", "<T2>_player1  misses a layup", "<T4>_PLAYER1")
    questions, drops = asked(nsva.SOURCE, folder)
    assert [answer(question) for question in questions.values()] == ["PLAYER1 misses a layup", "PLAYER1"]
    assert dict(drops.counts) == {"a caption that the clip has already": 1}


def test_nsva_names_clip_and_game(tmp_path: Path) -> None:
    [question] = asked(nsva.SOURCE, nsva_folder(tmp_path, "<T1>_a dunk"))[0].values()
    assert question.provenance is not None
    assert (question.video, question.provenance.match) == ("0021801071-4.mp4", "0021801071")


@pytest.mark.parametrize("plays", [{}, {"video10326": "../etc-4"}, {"video10326": 7}])
def test_nsva_drops_a_clip_without_a_game(tmp_path: Path, plays: object) -> None:
    questions, drops = asked(nsva.SOURCE, nsva_folder(tmp_path, "<T1>_a dunk", plays=plays))
    assert (questions, dict(drops.counts)) == ({}, {"a clip without a game": 1})


def test_nsva_without_the_games_of_its_clips_is_refused(tmp_path: Path) -> None:
    (nsva_folder(tmp_path, "<T1>_a dunk") / "videoid2gameid_eventid.json").unlink()
    with pytest.raises(BadAnnotation, match="is not there"):
        asked(nsva.SOURCE, tmp_path)


# MTL-AQA

DIVE = {
    "primary_view": 0,
    "start_frame": 1000,
    "end_frame": 1102,
    "position": 2,
    "difficulty": 3.2,
    "armstand": 0,
    "rotation_type": 3,
    "ss_no": 4,
    "tw_no": 0,
    "final_score": 83.2,
}


def mtl_aqa_folder(folder: Path, key: object = (1, 19), protocol: int = 4, **changes: object) -> Path:
    (folder / "final_annotations_dict.pkl").write_bytes(pickle.dumps({key: DIVE | changes}, protocol))
    tokens = ["<sos>", "a", "lovely", "dive", ",", "that", "<eos>"]
    (folder / "final_captions_dict.pkl").write_bytes(pickle.dumps({key: tokens}, protocol))
    return folder


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_mtl_aqa_asks_for_what_is_known_of_a_dive(tmp_path: Path, protocol: int) -> None:
    questions, drops = asked(mtl_aqa.SOURCE, mtl_aqa_folder(tmp_path, protocol=protocol))
    assert {name: answer(question) for name, question in questions.items()} == {
        "01_19/score": 83.2,
        "01_19/position": "pike",
        "01_19/rotation": "forward",
        "01_19/start": "from the feet",
        "01_19/caption": "a lovely dive, that",
    }
    assert not drops.counts


def test_the_score_of_a_dive_is_asked_for_with_its_difficulty(tmp_path: Path) -> None:
    question = asked(mtl_aqa.SOURCE, mtl_aqa_folder(tmp_path))[0]["01_19/score"]
    assert isinstance(question.gold, Number)
    assert (question.gold.tolerance, question.dimension, "3.2" in question.text) == (5.0, Dimension.ASSESSMENT, True)


@pytest.mark.parametrize("protocol", [2, 4])
def test_numpy_scalars_are_read_as_keys_and_values(tmp_path: Path, protocol: int) -> None:
    numpy = pytest.importorskip("numpy", reason="numpy writes the scalars of this test")
    key = (numpy.int64(1), numpy.int32(19))
    folder = mtl_aqa_folder(tmp_path, key, protocol, final_score=numpy.float64(83.2), position=numpy.uint8(1))
    questions, _ = asked(mtl_aqa.SOURCE, folder)
    assert (answer(questions["01_19/score"]), answer(questions["01_19/position"])) == (83.2, "tuck")


def test_numpy_scalars_keep_their_byte_order(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy", reason="numpy writes the scalars of this test")
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([numpy.array([258], ">i4")[0], numpy.float32(0.5), numpy.bool_(True), numpy.str_("pike")]))
    assert plain_pickle(path) == [258, 0.5, True, "pike"]


@pytest.mark.parametrize(
    ("key", "changes", "reason"),
    [
        ("01_19", {}, "a key that is not (video, sample)"),
        ((1, 19), {"final_score": "83"}, "not in the layout: final_score"),
        ((1, 19), {"final_score": float("nan")}, "not in the layout: final_score"),
        ((1, 19), {"difficulty": 0}, "not in the layout: difficulty"),
        ((1, 19), {"position": 7}, "an unknown code of the position"),
    ],
)
def test_a_bad_dive_is_counted(tmp_path: Path, key: object, changes: dict[str, object], reason: str) -> None:
    _, drops = asked(mtl_aqa.SOURCE, mtl_aqa_folder(tmp_path, key, **changes))
    assert drops.counts[reason] >= 1


class Poison:
    """An object whose pickle writes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return exec, (f"open({str(self.trace)!r}, 'w').close()",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_poisoned_pickle_is_refused_by_name_and_runs_nothing(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "was here"
    folder = mtl_aqa_folder(tmp_path, protocol=protocol, final_score=Poison(trace))
    with pytest.raises(BadAnnotation, match=r"final_annotations_dict\.pkl names '(__builtin__|builtins)\.exec'"):
        asked(mtl_aqa.SOURCE, folder)
    assert not trace.exists()


@pytest.mark.parametrize(
    "payload", [b"cos\nsystem\n.", b"cnumpy\nload\n.", b"\x80\x04\x8c\x02os\x8c\x06system\x93.", b"(ios\nsystem\n."]
)
def test_a_pickle_that_names_a_function_is_refused(tmp_path: Path, payload: bytes) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(payload)
    with pytest.raises(BadAnnotation, match=r"a\.pkl"):
        plain_pickle(path)


BROKEN = {
    "empty": b"",
    "not a pickle": b"hello",
    "cut short": pickle.dumps({"a": [1, 2, 3]})[:-4],
    "takes what is not there": b"\x80\x02\x87.",
    "a mark that is not there": b"\x80\x02u.",
    "a memory that is not there": b"\x80\x02h\x05.",
    "an unhashable key": b"\x80\x02}]K\x01s.",
    "a nested key": pickle.dumps({((1,),): 1}),
    "a set": pickle.dumps({1, 2}, 4),
    "a scalar of too few bytes": b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(U\x02i8I0\nI1\ntRU\x01atR.",
    "an unknown numpy type": b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(U\x02O8I0\nI1\ntRU\x01atR.",
    "the state of a list": b"\x80\x02](K\x03X\x01\x00\x00\x00<tb.",
    "a text as long as memory": b"\x80\x02X" + struct.pack("<I", 2**31) + b"a.",
}


@pytest.mark.parametrize("payload", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_pickle_is_refused_with_its_name(tmp_path: Path, payload: bytes) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(payload)
    with pytest.raises(BadAnnotation, match=r"a\.pkl"):
        plain_pickle(path)


def test_what_is_written_once_and_meant_twice_is_read_twice(tmp_path: Path) -> None:
    once = ["a", (1, 2.5, None, True, b"\x00\xff", 2**80)]
    for protocol in range(6):
        path = tmp_path / f"{protocol}.pkl"
        path.write_bytes(pickle.dumps({"x": once, "y": once}, protocol))
        assert plain_pickle(path) == {"x": once, "y": once}


def test_a_pickle_that_is_no_dict_of_dives_is_refused(tmp_path: Path) -> None:
    (tmp_path / "final_annotations_dict.pkl").write_bytes(pickle.dumps([(1, 19)]))
    with pytest.raises(BadAnnotation, match="no dict of dives"):
        asked(mtl_aqa.SOURCE, tmp_path)


# F3Set

CLIP = "20210909-W-US_Open-SF-Aryna_Sabalenka-Leylah_Fernandez_170943_171285"


def f3set_asked(folder: Path, *labels: str, fps: float = 29.0) -> tuple[dict[str, Question], Drops]:
    events = [{"frame": 84 + 30 * place, "label": label, "outcome": "in"} for place, label in enumerate(labels)]
    clip = {"fps": fps, "height": 720, "width": 1280, "num_frames": 342, "video": CLIP, "far_name": "A", "near_name": "B"}
    questions, drops = asked(f3set.SOURCE, written(folder / "val.json", [clip | {"events": events}]))
    return {name.removeprefix(f"{CLIP}/"): question for name, question in questions.items()}, drops


SERVE = "far_deuce_serve_fh_gs_T_non-approach_in"
VOLLEY = "near_deuce_stroke_bh_volley_CC_approach_winner"


def test_f3set_asks_for_ending_last_stroke_serve_and_number(tmp_path: Path) -> None:
    questions, drops = f3set_asked(tmp_path, SERVE, VOLLEY)
    assert {name: answer(question) for name, question in questions.items()} == {
        "strokes": 2,
        "serve": "down the T",
        "hand": "backhand",
        "technique": "volley",
        "ending": "with a winner",
    }
    assert not drops.counts


def test_how_a_rally_of_f3set_ends_is_a_matter_of_rules(tmp_path: Path) -> None:
    assert f3set_asked(tmp_path, SERVE, VOLLEY)[0]["ending"].dimension is Dimension.RULES


def test_a_serve_fault_is_not_asked_about_as_a_stroke(tmp_path: Path) -> None:
    questions, _ = f3set_asked(tmp_path, "far_deuce_serve_fh_gs_W_non-approach_unforced-err")
    assert {name: answer(q) for name, q in questions.items()} == {
        "strokes": 1,
        "serve": "wide",
        "ending": "with an unforced error",
    }


@pytest.mark.parametrize(
    ("stated", "true"), [(29.0, 30000 / 1001), (59.0, 60000 / 1001), (23.0, 24000 / 1001), (25.0, 25), (24.0, 24)]
)
def test_a_frame_rate_that_lost_its_fraction_gets_it_back(stated: float, true: float) -> None:
    assert f3set.true_rate(stated) == true


@pytest.mark.parametrize("stated", [-1, 0, float("nan"), 1e9])
def test_a_frame_rate_that_cannot_be_is_not_believed(stated: float) -> None:
    assert f3set.true_rate(stated) is None


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ((SERVE, "near_court_swing"), "a stroke whose label is unknown"),
        ((), "a clip without strokes"),
        ((SERVE,), "a rally that does not end in its clip"),
        (("far_deuce_serve_fh_gs_CC_non-approach_in", VOLLEY), "an unknown direction of a serve"),
        ((SERVE, VOLLEY.replace("volley", "tweener")), "an unknown technique"),
    ],
)
def test_what_is_unknown_of_a_rally_of_f3set_is_counted(tmp_path: Path, labels: tuple[str, ...], reason: str) -> None:
    _, drops = f3set_asked(tmp_path, *labels)
    assert dict(drops.counts) == {reason: 1}


# All of them


@pytest.mark.parametrize("source", [unisoccer, matchtime, soccernet, shuttleset, volleyball, nsva, mtl_aqa, f3set])
def test_an_empty_folder_is_refused(tmp_path: Path, source: object) -> None:
    with pytest.raises(BadAnnotation):
        asked(source.SOURCE, tmp_path)  # type: ignore[attr-defined]


def test_an_import_made_again_is_the_same(tmp_path: Path) -> None:
    folder = mtl_aqa_folder(tmp_path)
    assert asked(mtl_aqa.SOURCE, folder)[0] == asked(mtl_aqa.SOURCE, folder)[0]


def test_a_comment_is_a_free_text(tmp_path: Path) -> None:
    questions, _ = matchtime_asked(tmp_path, (1, 100, "", "A foul."))
    assert [type(question.gold) for question in questions.values()] == [FreeText]
