"""The page of a diagnosis in a real browser, opened from disk: drawn, offline, readable on a phone, and deaf to hostile text."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from deepsport.arena.generate import make_set
from deepsport.arena.script import Dials
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

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
EVIL = (
    "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"><svg onload=\"document.title='taken'\">"
    "<iframe src='http://127.0.0.1:9/'></iframe></title></style></summary></details>\"'><base href='http://127.0.0.1:9/'>"
)

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed, so no page can be opened")
if CHROMIUM is None:
    pytest.skip("chromium is not installed, so no page can be opened (Debian: apt-get install chromium)", allow_module_level=True)

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a page from disk; `page.noise` holds all it complained of, and asked for beyond itself."""
    opened: list[Any] = []

    def open_page(html: str, *, width: int = 1280, scheme: str = "light") -> Any:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.append(page)
        page.noise = []
        page.on("console", lambda message: page.noise.append(message.text))
        page.on("pageerror", lambda error: page.noise.append(str(error)))
        page.on("dialog", lambda dialog: page.noise.append(dialog.message))
        page.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else page.noise.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for page in opened:
        page.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("arena")
    return str(folder / make_set(folder, n_clips=1, seed=5, sports=("soccer",), dials=Dials(shortest=100))[0].video)


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


def open_all(page: Any) -> None:
    for summary in page.locator("details.panel > summary").all():
        summary.click()


def overflow_px(page: Any) -> int:
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_everything_is_drawn_and_nobody_is_asked(visit: Open, usual: str) -> None:
    page = visit(usual)
    assert page.locator("svg.rows rect.event").count() == 5
    assert page.locator("svg.rows rect.window").count() == 5
    assert page.locator("svg.offsets circle").count() == 4
    assert page.locator("svg.shares rect").count() == 6
    for drawing in page.locator("svg.rows, svg.offsets, svg.histogram, svg.shares").all():
        assert drawing.bounding_box()["width"] > 250
        assert drawing.get_attribute("aria-label")
    assert page.noise == []


def test_windows_stand_where_they_were_asked_for(visit: Open, usual: str) -> None:
    page = visit(usual)
    rows = page.locator("svg.rows").bounding_box()
    window, event = (page.locator(f"svg.rows rect.{kind}").first.bounding_box() for kind in ("window", "event"))
    assert (window["x"] - rows["x"]) / rows["width"] == pytest.approx(42 / 99, abs=0.01)
    assert window["width"] / rows["width"] == pytest.approx(14 / 99, abs=0.01)
    assert (event["x"] - rows["x"]) / rows["width"] == pytest.approx(30 / 99, abs=0.01)


def test_an_example_opens_on_a_click_and_shows_frames_and_evidence(visit: Open, usual: str) -> None:
    page = visit(usual)
    shown = page.locator("#examples details").first
    assert not shown.locator("article.episode").is_visible()
    shown.locator("> summary").click()
    assert shown.locator("article.episode").is_visible()
    assert "frame of the event" in shown.locator("ul.why").inner_text()
    assert shown.locator(".strip img").count() >= 8


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(visit: Open, usual: str, width: int) -> None:
    page = visit(usual, width=width)
    open_all(page)
    assert overflow_px(page) == 0


def test_dark_is_dark_and_light_is_light(visit: Open, usual: str) -> None:
    def brightness(scheme: str) -> int:
        page = visit(usual, scheme=scheme)
        return page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")

    assert brightness("dark") < 60 < 200 < brightness("light")


def test_hostile_text_is_only_text(visit: Open, clip: str) -> None:
    page = visit(page_of([poisoned(clip, EVIL)], name=EVIL, said=EVIL))
    open_all(page)
    page.wait_for_timeout(300)
    assert page.title() == f"Why {EVIL} fails"
    assert page.locator("script, iframe, base, img[onerror], svg[onload]").count() == 0
    assert page.noise == []
    assert overflow_px(page) == 0


def test_a_word_without_end_is_broken_before_it_widens_the_page(visit: Open, clip: str) -> None:
    page = visit(page_of([poisoned(clip, "x" * 500)], name="x" * 500, said="x" * 500), width=390)
    open_all(page)
    assert overflow_px(page) == 0
