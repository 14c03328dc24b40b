"""The page of an episode: it shows what happened, holds no secret path, and is inert whatever text it is given."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsport.bench.reporting.episode_html import episode_card, episode_page, verdict
from deepsport.bench.reporting.thumbnails import data_uri
from deepsport.bench.reporting.timeline import clock, timeline
from deepsport.records import Choice, Episode, FreeText, Gold, Number, StopReason
from deepsport.reward.gated import GatedReward
from deepsport.video.source import FrameSource
from made_episodes import episode, look, malformed, question, refused

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'</title></style></svg>"
SOURCE = FrameSource()


def tags(page: str) -> set[str]:
    return set(re.findall(r"<([a-z][a-z0-9]*)", page))


def poisoned(text: str) -> Episode:
    """An episode with `text` wherever text can stand."""
    asked = question(video=f"{text}.mp4", gold=Choice(options=(text, f"not {text}"), answer=text))
    turns = [look(28, 42, thought=text), malformed(text).model_copy(update={"note": text, "answer": text})]
    made = episode(text, turns, asked.model_copy(update={"id": text, "text": text, "sport": text}))
    return made.model_copy(update={"detail": text, "policy": text})


def test_a_page_shows_question_options_windows_and_answer():
    page = episode_page(episode("header", [look(28, 42), refused(90, 20)]), SOURCE)
    for shown in (
        "How was the goal scored?",
        "volley",
        "frames 28 to 42 (1.12 to 1.68 s)",
        "(refused)",
        "Answers: header",
        ">wrong<",
    ):
        assert shown in page


def test_text_of_a_model_adds_no_element_to_the_page():
    assert tags(episode_page(poisoned(EVIL), SOURCE)) == tags(episode_page(poisoned("harmless"), SOURCE))
    assert "<script" not in episode_page(poisoned(EVIL), SOURCE)


@given(st.text())
def test_no_text_at_all_adds_an_element(text: str):
    assert tags(episode_page(poisoned(text + "x"), SOURCE)) == tags(episode_page(poisoned("x"), SOURCE))


def test_the_page_forbids_itself_scripts_and_requests():
    page = episode_page(episode("volley"), SOURCE)
    assert "default-src 'none'; img-src data:;" in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)


def test_of_the_path_of_a_video_only_the_name_is_told():
    page = episode_page(episode("volley", [], question(video="/home/someone/secret/final.mp4")), SOURCE)
    assert "final.mp4" in page
    assert "secret" not in page


def test_a_video_that_is_gone_costs_the_pictures_and_not_the_page(tmp_path: Path):
    page = episode_page(episode("volley", [look(28, 42)], question(video=str(tmp_path / "gone.mp4"))), SOURCE)
    assert "The video cannot be read" in page
    assert "<img" not in page
    assert "28 · 1.12 s" in page


def test_half_a_surrogate_pair_from_a_model_does_not_keep_the_page_from_being_written():
    page = episode_page(poisoned("\ud83d"), SOURCE)
    assert page.encode("utf-8")


def test_an_episode_that_never_began_still_has_a_page():
    lost = Episode(id="e", question=question(), policy="p", stop=StopReason.VIDEO_ERROR, detail="a.mp4 has no video stream")
    page = episode_page(lost, SOURCE)
    assert "a.mp4 has no video stream" in page
    assert "not scored" in page


def test_the_timeline_marks_event_windows_and_frames():
    drawn = str(timeline(episode("volley", [look(28, 42), refused(90, 20)])))
    assert (drawn.count('class="event"'), drawn.count('class="window"'), drawn.count('class="seen"')) == (1, 1, 16)
    assert drawn.count('class="track"') == 3


def test_where_no_frame_is_on_record_no_look_is_drawn():
    with FrameSource() as source:
        card = episode_card(episode("volley").model_copy(update={"first_frames": ()}), source)
    assert "no frame on record" in card
    assert "timeline" not in card
    assert "Shown at the start" not in card


def test_an_event_of_one_instant_is_still_wide_enough_to_see():
    assert 'width="0.400%"' in timeline(episode("volley", [], question(event=(30, 30))))


@pytest.mark.parametrize(("time_s", "end_s", "said"), [(1.25, 4, "1.2 s"), (61, 3600, "1:01"), (59.6, 3600, "1:00")])
def test_long_videos_are_told_in_minutes(time_s: float, end_s: float, said: str):
    assert clock(time_s, end_s) == said


@pytest.mark.parametrize(
    ("answer", "gold", "kind"),
    [("3", Number(answer=3), "right"), ("4", Number(answer=3, tolerance=0.5), "partly"), ("9", Number(answer=3), "wrong"),
     ("so", FreeText(answer="thus"), "open"), ("so", None, "open")],
)  # fmt: skip
def test_the_verdict_says_right_partly_wrong_or_open(answer: str, gold: Gold | None, kind: str):
    assert verdict(GatedReward().score(episode(answer, [], question(gold=gold))), gold).kind == kind


def test_pictures_are_made_no_wider_than_asked_and_keep_their_shape():
    assert data_uri(np.zeros((126, 224, 3), np.uint8), 112).startswith("data:image/jpeg;base64,/9j/")
    assert len(data_uri(np.zeros((1080, 1920, 3), np.uint8), 160)) < 2000
