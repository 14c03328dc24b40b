"""The viewer where things go otherwise: late answers, a server that is gone, a run that goes on, odd clips, odd records."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from deepsport.bench.result import EPISODES
from deepsport.records import Episode, Frame
from deepsport.video.source import FrameSource
from made_runs import made_run
from video_files import Recipe, write
from viewed_runs import Clip, add_lines, bench_run, many, played, samples_of_step, training_run
from visited_pages import open_all, overflow_px
from visited_viewer import Desk, desk_of

HEARD = """() => {
    window.heard = 0;
    const spoken = document.querySelectorAll('[role=status], [role=alert], [aria-live], output');
    const count = new MutationObserver(changes => (window.heard += changes.length));
    for (const each of spoken) count.observe(each, {childList: true, characterData: true, subtree: true});
}"""
"""Begins to count what a screen reader would say unasked."""

TYPE_AND_OPEN = """() => {
    const search = document.getElementById('search');
    search.value = 'colour';
    search.dispatchEvent(new Event('input'));
    document.querySelector('.row a').click();
}"""
"""A search, and a row opened before the search has begun."""


@pytest.fixture(scope="module")
def shared_desk(browser: Any, clips: list[Clip], folder: Path) -> Iterator[Desk]:
    bench_run(folder / "nano", clips)
    bench_run(folder / "big", clips, start=2)
    training_run(folder / "train", clips, n_steps=5)
    with desk_of(browser, folder) as desk:
        yield desk


def log_step(folder: Path, clip: Clip, step: int) -> None:
    """What a training run writes in a step."""
    with (folder / "train" / "metrics.jsonl").open("a") as file:
        print(f'{{"stage": "rl", "step": {step}, "reward": 0.9, "accuracy": 0.9, "tool_calls": 1.2}}', file=file)
    add_lines(folder / "train" / "samples" / "rl.jsonl", samples_of_step(clip, step))


def test_a_search_that_was_not_waited_for_leaves_the_next_page_alone(desk: Desk) -> None:
    page = desk.open(desk.list("nano"))
    page.rows()
    page.page.evaluate(TYPE_AND_OPEN)
    page.page.locator(".player").wait_for()
    page.page.wait_for_timeout(400)  # longer than the search waits
    assert page.page.evaluate("location.hash.split('?')[0].split('/').length") == 4  # still the episode's address


def test_samples_that_come_late_do_not_take_the_place_of_newer_ones(desk: Desk) -> None:
    page = desk.open(desk.curves())
    late: list[Any] = []
    page.page.route("**/episodes?step=1&*", lambda route: late.append(route))
    page.page.evaluate("location.hash += '&step=1'")
    page.page.wait_for_timeout(100)
    page.page.evaluate("location.hash = location.hash.replace('step=1', 'step=2')")
    page.page.locator("h2", has_text="Sampled at step 2").wait_for()
    for each in late:
        each.continue_()
    page.page.wait_for_timeout(200)
    page.page.unroute("**/episodes?step=1&*")
    assert (len(late), page.page.locator(".samples h2").inner_text()) == (1, "Sampled at step 2")


def test_a_label_that_is_taken_back_does_not_go_on(desk: Desk) -> None:
    page = desk.open(desk.address("nano"))
    page.page.keyboard.press("w")
    page.labelled("saved")
    page.page.get_by_label("go on to the next").check()
    page.page.keyboard.press("z")
    page.labelled("removed")
    page.page.wait_for_timeout(150)
    assert "1 of" in page.page.locator(".walk").inner_text()


def test_wrong_waits_for_the_reason_before_it_goes_on(desk: Desk) -> None:
    page = desk.open(desk.address("nano", 2))
    page.page.get_by_label("go on to the next").check()
    page.page.keyboard.press("w")
    page.labelled("saved")
    page.page.keyboard.press("1")
    page.page.locator(".walk", has_text="4 of").wait_for()
    row = desk.visited.episodes("nano")["rows"][2]
    assert (row["label"]["right"], row["label"]["failure"]) == (False, "tool_grounding")


def test_what_was_said_in_another_window_is_heard_on_coming_back(desk: Desk) -> None:
    one = desk.open(desk.address("nano", 4))
    other = desk.open_beside(desk.address("nano", 4))
    for page in (one, other):
        page.page.get_by_label("Your name").fill("Eve")
    other.role("button", "Right").click()
    other.labelled("saved")
    assert one.role("button", "Right").get_attribute("aria-pressed") == "false"
    one.page.get_by_label("Your name").blur()
    one.page.evaluate("dispatchEvent(new Event('focus'))")
    one.until("() => document.querySelector('.labels [aria-pressed=true]') !== null")


def test_keys_are_left_alone_with_a_modifier_in_a_field_and_where_they_are_switched_off(desk: Desk) -> None:
    page = desk.open(desk.address("nano", 5))
    page.page.keyboard.press("Alt+r")
    page.page.get_by_label("Your name").focus()
    page.page.keyboard.type("rwz")
    page.page.keyboard.press("Escape")
    assert page.page.locator(".labels").is_visible()
    page.role("button", "Keys").click()
    page.page.get_by_label("letters, digits and signs are keys").uncheck()
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("r")
    page.page.keyboard.press("j")
    assert page.page.locator(".labels [aria-pressed=true]").count() == 0
    assert page.page.evaluate("document.activeElement.id") == "help"


def test_a_key_that_is_held_down_says_a_thing_once(desk: Desk) -> None:
    page = desk.open(desk.address("nano", 1))
    puts: list[Any] = []
    page.page.on("request", lambda request: puts.append(request) if request.method == "PUT" else None)
    for _ in range(5):
        page.page.keyboard.down("r")  # without `up` between, the browser tells of a repetition
    page.page.keyboard.up("r")
    page.labelled("saved")
    assert len(puts) == 1


def test_an_episode_that_is_gone_says_so_and_leads_back(desk: Desk) -> None:
    page = desk.open(f"{desk.list('nano')}/0123456789abcdef")
    page.page.locator("main [role=alert]").wait_for()
    page.page.keyboard.press("Escape")
    page.page.locator("h1", has_text="nano").wait_for()
    page.complaints.clear()  # the browser tells of every refusal


def test_a_side_by_side_view_leads_to_the_next_question(desk: Desk) -> None:
    left, right = desk.visited.the_set("nano"), desk.visited.the_set("big")
    page = desk.open(f"#/compare/{left}/{right}")
    page.rows()
    page.page.locator(".row a").first.click()
    page.page.locator(".walk", has_text="1 of").wait_for()
    page.page.keyboard.press("j")
    page.page.locator(".walk", has_text="2 of").wait_for()
    page.page.keyboard.press("k")
    page.page.locator(".walk", has_text="1 of").wait_for()


def test_curves_grow_while_the_step_that_is_read_and_the_focus_stay(desk: Desk, folder: Path, clips: list[Clip]) -> None:
    page = desk.open(desk.curves())
    chart = page.role("slider", "Reward and its parts, step")
    chart.focus()
    for _ in range(3):
        page.page.keyboard.press("ArrowRight")
    log_step(folder, clips[0], 5)
    page.until("() => document.activeElement.getAttribute('aria-valuemax') === '5'")
    assert chart.get_attribute("aria-valuetext").startswith("step 3: reward ")
    page.go(desk.curves(2))
    page.page.locator(".samples a").first.focus()
    log_step(folder, clips[0], 6)
    page.until("() => document.querySelector('.charts svg[role=slider]').getAttribute('aria-valuemax') === '6'")
    page.page.wait_for_timeout(200)
    assert page.page.evaluate("document.activeElement.closest('.samples') !== null")


def test_a_run_that_goes_on_takes_no_focus_and_says_nothing_unasked(browser: Any, tmp_path: Path, clips: list[Clip]) -> None:
    run = tmp_path / "nano"
    bench_run(run, clips)
    with desk_of(browser, run) as desk:
        for place, address in enumerate((desk.list("nano"), "#/")):
            page = desk.open(address)
            page.page.locator(".row a, .sets a").first.focus()
            page.page.evaluate(HEARD)
            add_lines(run / EPISODES, [played(clips[0], "missed", shift=70 + place)])
            page.page.locator("main", has_text=f"{len(clips) + 1 + place} episodes").wait_for()
            assert page.page.evaluate("[window.heard, document.activeElement.tagName]") == [0, "A"]


def test_a_server_that_comes_back_is_asked_again(browser: Any, tmp_path: Path, clips: list[Clip]) -> None:
    run = tmp_path / "nano"
    bench_run(run, clips)
    with desk_of(browser, run) as desk:
        page = desk.open()
        page.page.route("**/api/events", lambda route: route.fulfill(status=503))
        page.go(desk.list("nano")).page.reload()
        page.page.get_by_text("The server does not answer").wait_for()
        add_lines(run / EPISODES, [played(clips[0], "missed", shift=88)])
        desk.visited.settled()
        page.page.unroute("**/api/events")
        page.page.locator(".found", has_text=f"{len(clips) + 1} episodes").wait_for()
        page.page.locator("#link").wait_for(state="hidden")
        page.complaints.clear()  # the browser tells of every refusal


EVERY_OTHER_LATE = [at for n in range(20) for at in (200 * n, 200 * n + 10)]
"""A rate that varies: of each pair of frames the second follows soon."""

IN_2_S = Recipe(n_frames=40, ticks=range(50, 90), time_base=Fraction(1, 25), b_frames=0)
CLIPS = {
    "sound before the picture": ("late.mp4", replace(IN_2_S, audio_s=3)),
    "begins after 2 s": ("late.mkv", IN_2_S),
    "rate varies": ("uneven.mp4", replace(IN_2_S, ticks=EVERY_OTHER_LATE, time_base=Fraction(1, 1000))),
}


@pytest.fixture(scope="module")
def odd_clips(browser: Any, clips: list[Clip], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A run about each of `CLIPS`, with a few frames on record."""
    root = tmp_path_factory.mktemp("odd")
    for name, (file, recipe) in CLIPS.items():
        made_run(root / name, [shown(clips[0], write(root / file, recipe), [0, 5, 12, 13, 39])])
    with desk_of(browser, root) as desk:
        yield desk


def shown(clip: Clip, path: Path, indices: list[int]) -> Episode:
    """An episode of which these frames of a file were shown, at the times that the decoder tells."""
    with FrameSource() as source:
        frames = tuple(Frame(video=str(path), index=each.index, time_s=each.time_s) for each in source.look(str(path), indices))
    question = clip.question.model_copy(update={"video": str(path), "window": None})
    return played(replace(clip, question=question), "guessed").model_copy(update={"first_frames": frames})


@pytest.mark.parametrize("name", CLIPS)
def test_a_click_shows_the_very_frame_of_a_clip_with_odd_times(odd_clips: Desk, name: str) -> None:
    page = odd_clips.open(odd_clips.address(name))
    for place, index in ((3, 13), (1, 5), (2, 12), (4, 39), (0, 0)):
        page.page.locator("button.frame").nth(place).click()
        assert page.settled_frame() == index
        near = [each for each in range(index - 2, index + 3) if 0 <= each < 40]
        assert page.pictured_frame(near) == index
    odd_clips.check()


def test_where_the_rate_varies_a_frame_that_is_not_on_record_is_said_to_be_about_that_one(odd_clips: Desk) -> None:
    page = odd_clips.open(odd_clips.address("rate varies"))
    readout = page.page.locator(".player .readout")
    assert "about" not in readout.inner_text()
    page.page.keyboard.press(".")
    assert readout.inner_text().endswith("about frame 1")
    page.page.keyboard.press(",")
    assert readout.inner_text().endswith("· frame 0")


def odd_episode(kind: str) -> Episode:
    """An episode that no layout expects."""
    made = many(1)[0]
    long = "endless words " * 7000
    hebrew = "\u05e9\u05dc\u05d5\u05dd \u202e(abc)"
    turns = {
        "very long": (made.turns[-1].model_copy(update={"thought": long, "text": long}),),
        "many turns": made.turns[:1] * 300,
    }
    texts = {"very long": long, "right to left": hebrew}
    question = made.question.model_copy(update={"text": texts.get(kind, made.question.text)})
    changes = {"first_frames": ()} if kind == "no frames" else {}
    return made.model_copy(
        update={"question": question, "turns": turns.get(kind, made.turns), "answer": texts.get(kind, made.answer), **changes}
    )


ODD = ("very long", "many turns", "no frames", "right to left")


@pytest.fixture(scope="module")
def odd_records(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    root = tmp_path_factory.mktemp("odd")
    for kind in ODD:
        made_run(root / kind, [odd_episode(kind)])
    with desk_of(browser, root) as desk:
        yield desk


@pytest.mark.parametrize("width", [390, 640, 1280])
@pytest.mark.parametrize("kind", ODD)
def test_an_odd_record_stays_within_the_page_on_a_phone_and_enlarged_twice(odd_records: Desk, kind: str, width: int) -> None:
    page = odd_records.open(odd_records.list(kind), width=width)
    page.rows()
    assert overflow_px(page.page) == 0
    page.go(odd_records.address(kind))
    open_all(page.page)
    assert overflow_px(page.page) == 0
    label = page.page.locator(".labels").bounding_box()
    assert label["y"] < 3000
    odd_records.check()
