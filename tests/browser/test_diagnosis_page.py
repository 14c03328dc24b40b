"""The page of a diagnosis in a real browser, opened from disk: drawn, offline, readable on a phone, and deaf to hostile text."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from deepsport.bench.diagnose import Failure
from deepsport.bench.diagnosis.page import diagnosis_page
from deepsport.bench.diagnosis.people import agreement
from deepsport.bench.diagnosis.record import Diagnosis, Examined, Finding
from deepsport.bench.diagnosis.rules import Case, Replayed, diagnose
from deepsport.bench.diagnosis.summary import summed_up
from deepsport.bench.recipe import BenchConfig
from deepsport.bench.result import Result
from deepsport.bench.score import scores
from deepsport.records import Choice, Dimension, Episode
from deepsport.video.source import FrameSource
from made_episodes import episode, look, malformed, question
from visited_pages import EVIL, Visit, open_all, overflow_px


def page_of(episodes: Sequence[Episode], name: str = "made", said: str = "it names a header") -> str:
    """The page of a run of these episodes, each replayed, examined and labelled."""
    made = Result(
        folder=Path("."),
        config=BenchConfig(questions="q.jsonl", system=name),
        episodes=list(episodes),
        scores=scores(episodes),
        judged=[],
    )
    found: list[Diagnosis] = []
    for each, score in zip(made.episodes, made.scores, strict=True):
        if score.failure:
            examined = Examined(episode_id=each.id, case="", finding=Finding.MISREAD, reason=said, examiner=said)
            found.append(diagnose(Case(each, score, Replayed(each.model_copy(update={"answer": said}), 0.0), examined)))
    people = [agreement(said, [(Failure.OTHER, each) for each in found], 0, 0)]
    with FrameSource() as source:
        return diagnosis_page(summed_up(made, found, people), made, found, source)


@pytest.fixture(scope="module")
def usual(clip: str) -> str:
    turns = [[look(42, 56)], [look(28, 42)], [], [look(0, 13), look(56, 70)], [look(28, 42)]]
    dimensions = [Dimension.RULES, Dimension.RULES, Dimension.RECOGNITION, Dimension.RECOGNITION, Dimension.COMMENTARY]
    asked = [question(f"q{n}", video=clip, dimension=dimension) for n, dimension in enumerate(dimensions)]
    wrong = [episode("header", looks, each) for looks, each in zip(turns, asked, strict=True)]
    return page_of([*wrong, episode("volley", [look(28, 42)], question("right", video=clip))])


def poisoned(clip: str, text: str) -> Episode:
    """Hostile text in every field that can hold any."""
    gold = Choice(options=(text, f"not {text}"), answer=text)
    asked = question(text, video=clip, gold=gold, sport=text).model_copy(update={"text": text})
    turns = [look(42, 56, thought=text), malformed(text).model_copy(update={"note": text, "answer": text})]
    return episode(f"not {text}", turns, asked).model_copy(update={"detail": text, "policy": text})


def test_everything_is_drawn_and_nobody_is_asked(visit: Callable[..., Visit], usual: str) -> None:
    seen = visit(usual)
    page = seen.page
    assert page.locator("svg.rows rect.event").count() == 5
    assert page.locator("svg.rows rect.window").count() == 5
    assert page.locator("svg.offsets circle").count() == 4
    assert page.locator("svg.shares rect").count() == 6
    for drawing in page.locator("svg.rows, svg.offsets, svg.histogram, svg.shares").all():
        assert drawing.bounding_box()["width"] > 250
        assert drawing.get_attribute("aria-label")
    assert (seen.complaints, seen.outside()) == ([], [])


def test_windows_stand_where_they_were_asked_for(visit: Callable[..., Visit], usual: str) -> None:
    page = visit(usual).page
    rows = page.locator("svg.rows").bounding_box()
    window, event = (page.locator(f"svg.rows rect.{kind}").first.bounding_box() for kind in ("window", "event"))
    assert (window["x"] - rows["x"]) / rows["width"] == pytest.approx(42 / 99, abs=0.01)
    assert window["width"] / rows["width"] == pytest.approx(14 / 99, abs=0.01)
    assert (event["x"] - rows["x"]) / rows["width"] == pytest.approx(30 / 99, abs=0.01)


def test_an_example_opens_on_a_click_and_shows_frames_and_evidence(visit: Callable[..., Visit], usual: str) -> None:
    page = visit(usual).page
    shown = page.locator("#examples details").first
    assert not shown.locator("article.episode").is_visible()
    shown.locator("> summary").click()
    assert shown.locator("article.episode").is_visible()
    assert "frame of the event" in shown.locator("ul.why").inner_text()
    assert shown.locator(".strip img").count() >= 8


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(visit: Callable[..., Visit], usual: str, width: int) -> None:
    page = visit(usual, width=width).page
    open_all(page)
    assert overflow_px(page) == 0


def test_dark_is_dark_and_light_is_light(visit: Callable[..., Visit], usual: str) -> None:
    def brightness(scheme: str) -> int:
        page = visit(usual, scheme=scheme).page
        return page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")

    assert brightness("dark") < 60 < 200 < brightness("light")


def test_hostile_text_is_only_text(visit: Callable[..., Visit], clip: str) -> None:
    seen = visit(page_of([poisoned(clip, EVIL)], name=EVIL, said=EVIL))
    page = seen.page
    open_all(page)
    page.wait_for_timeout(300)
    assert page.title() == f"Why {EVIL} fails"
    assert page.locator("script, iframe, base, img[onerror], svg[onload]").count() == 0
    assert (seen.complaints, seen.outside()) == ([], [])
    assert overflow_px(page) == 0


def test_a_word_without_end_is_broken_before_it_widens_the_page(visit: Callable[..., Visit], clip: str) -> None:
    page = visit(page_of([poisoned(clip, "x" * 500)], name="x" * 500, said="x" * 500), width=390).page
    open_all(page)
    assert overflow_px(page) == 0
