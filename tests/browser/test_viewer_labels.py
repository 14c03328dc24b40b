"""What people say in the viewer: labels and windows, as the files say them afterwards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepsport.bench.diagnose import Failure
from deepsport.bench.judged.labels import Label, labelled, read_labels
from deepsport.bench.judged.windows import read_windows
from deepsport.bench.result import load_result
from viewed_runs import Clip, bench_run
from visited_viewer import Desk, Page, desk_of

FPS = 25


@pytest.fixture(scope="module")
def shared_desk(browser: Any, clips: list[Clip], folder: Path) -> Iterator[Desk]:
    bench_run(folder / "nano", clips)
    with desk_of(browser, folder / "nano") as desk:
        yield desk


@pytest.fixture
def desk(shared_desk: Desk, folder: Path) -> Iterator[Desk]:
    """With nothing said yet."""
    for file in folder.glob("*.csv"):
        file.unlink()
    shared_desk.visited.settled()
    yield shared_desk
    shared_desk.check()


def labels_in(folder: Path) -> list[Label]:
    path = folder / "nano.labels.csv"
    return list(read_labels(path).labels) if path.exists() else []


def test_a_label_is_saved_where_rejudge_reads_it(desk: Desk, folder: Path) -> None:
    page = desk.open(desk.address("nano"))
    page.page.get_by_label("Your name").fill("Anna")
    page.role("button", "Right").click()
    page.labelled("saved to nano.labels.csv")
    (label,) = labels_in(folder)
    assert (label.right, label.labeller, label.failure) == (True, "Anna", None)
    assert labelled([label], load_result(folder / "nano").episodes).unknown == ()


def test_keys_say_that_an_answer_is_wrong_and_why(desk: Desk, folder: Path) -> None:
    page = desk.open(desk.address("nano"))
    page.page.keyboard.press("w")
    page.labelled("saved")
    page.page.keyboard.press("2")
    page.until("() => document.querySelector('#failure-visual_hallucination').checked")
    page.until("() => document.querySelector('#said').textContent.startsWith('wrong, visual')")
    (label,) = labels_in(folder)
    assert (label.right, label.failure) == (False, Failure.HALLUCINATION)
    assert page.role("button", "Wrong").get_attribute("aria-pressed") == "true"


def test_points_and_right_never_contradict_each_other(desk: Desk, folder: Path) -> None:
    page = desk.open(desk.address("nano"))
    page.page.get_by_label("Points").select_option("3")
    page.labelled("saved")
    assert [(label.right, label.points) for label in labels_in(folder)] == [(False, 3)]
    page.role("button", "Right").click()
    page.until("() => document.querySelector('#points').value === ''")
    page.until("() => document.querySelector('#said').textContent.startsWith('right')")
    assert [(label.right, label.points) for label in labels_in(folder)] == [(True, None)]


def test_undo_takes_a_label_back(desk: Desk, folder: Path) -> None:
    page = desk.open(desk.address("nano"))
    page.page.keyboard.press("r")
    page.labelled("saved")
    page.page.keyboard.press("z")
    page.labelled("removed from")
    assert labels_in(folder) == []


def test_two_people_label_beside_each_other(desk: Desk, folder: Path) -> None:
    for name, key in (("Anna", "r"), ("Ben", "w")):
        page = desk.open(desk.address("nano"))
        page.page.get_by_label("Your name").fill(name)
        page.page.keyboard.press("Tab")
        page.page.keyboard.press(key)
        page.labelled("saved")
    assert sorted((label.labeller, label.right) for label in labels_in(folder)) == [("Anna", True), ("Ben", False)]
    assert page.page.locator(".labels .chip").all_inner_texts() == ["Anna: right"]


def test_the_name_is_remembered_and_the_label_is_there_again(desk: Desk) -> None:
    page = desk.open(desk.address("nano"))
    page.page.get_by_label("Your name").fill("Anna")
    page.role("button", "Wrong").click()
    page.labelled("saved")
    page.page.reload()
    page.page.locator(".labels").wait_for()
    assert page.page.get_by_label("Your name").input_value() == "Anna"
    assert page.role("button", "Wrong").get_attribute("aria-pressed") == "true"


def test_the_next_episode_follows_a_label_where_that_is_wanted(desk: Desk) -> None:
    page = desk.open(desk.address("nano"))
    page.page.get_by_text("1 of ").wait_for()
    page.page.get_by_label("go on to the next").check()
    page.page.keyboard.press("r")
    page.page.get_by_text("2 of ").wait_for()


def test_a_labelled_row_is_marked_in_the_list_and_can_be_filtered(desk: Desk) -> None:
    page = desk.open(desk.address("nano", 1))
    page.page.keyboard.press("w")
    page.labelled("saved")
    page.page.keyboard.press("Escape")
    page.until("() => document.querySelector('.row .person')?.textContent === 'wrong'")
    assert page.page.locator(".row .person").count() == 1


def test_a_label_that_cannot_be_saved_says_so(desk: Desk, folder: Path) -> None:
    (folder / "nano.labels.csv").write_text("what,is,this\n1,2,3\n")
    page = desk.open(desk.address("nano"))
    page.page.keyboard.press("r")
    page.labelled("Not saved")
    assert (folder / "nano.labels.csv").read_text() == "what,is,this\n1,2,3\n"
    page.complaints.clear()  # the browser tells of every refusal


def with_event(desk: Desk) -> Page:
    """An episode whose event is known, with the handles out."""
    rows = desk.visited.episodes("nano")["rows"]
    place = next(at for at, row in enumerate(rows) if not row["easy"] and "sport" not in row["text"])
    page = desk.open(desk.address("nano", place))
    page.settled_frame()
    page.role("button", "Correct the event's window").click()
    return page


def test_a_window_is_dragged_from_frame_to_frame_and_saved(desk: Desk, folder: Path) -> None:
    page = with_event(desk)
    start, end = page.role("slider", "Start of the event"), page.role("slider", "End of the event")
    box, drawing = end.bounding_box(), page.page.locator(".timeline svg").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.page.mouse.move(x + drawing["width"] * 0.2, y, steps=5)
    page.page.mouse.up()
    dragged_s = float(end.get_attribute("aria-valuenow"))
    assert page.settled_frame() == round(dragged_s * FPS)
    kept_s = float(start.get_attribute("aria-valuenow"))
    page.role("button", "Save the window").click()
    page.page.locator(".gold-window .state", has_text="saved to nano.windows.csv").wait_for()
    (correction,) = read_windows(folder / "nano.windows.csv")
    assert (correction.window.start_s, correction.window.end_s) == pytest.approx((kept_s, dragged_s), abs=0.01)
    assert dragged_s * FPS == pytest.approx(round(dragged_s * FPS), abs=0.3)
    assert page.page.locator(".timeline .corrected").count() == 1


def test_a_window_is_set_by_arrow_keys_and_taken_back(desk: Desk, folder: Path) -> None:
    page = with_event(desk)
    start = page.role("slider", "Start of the event")
    before = float(start.get_attribute("aria-valuenow"))
    start.press("Shift+ArrowLeft")
    start.press("ArrowRight")
    assert float(start.get_attribute("aria-valuenow")) == pytest.approx(before - 9 / FPS, abs=0.011)
    assert f"frame {round((before - 9 / FPS) * FPS)}" in start.get_attribute("aria-valuetext")
    page.role("button", "Save the window").click()
    page.page.locator(".gold-window button", has_text="Undo").click()
    page.page.locator(".gold-window .state", has_text="removed from").wait_for()
    assert read_windows(folder / "nano.windows.csv") == ()


def test_the_start_of_a_window_never_passes_its_end(desk: Desk) -> None:
    page = with_event(desk)
    page.role("slider", "Start of the event").press("End")
    edges = [page.role("slider", f"{edge} of the event").get_attribute("aria-valuenow") for edge in ("Start", "End")]
    assert edges[0] == edges[1]


def test_handles_have_names_and_values_for_a_screen_reader(desk: Desk) -> None:
    page = with_event(desk)
    assert page.unnamed() == []
    assert "frame" in page.role("slider", "End of the event").get_attribute("aria-valuetext")
