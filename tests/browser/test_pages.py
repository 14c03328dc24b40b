"""The pages in a real browser, opened from disk: drawn, quiet, offline, readable on a phone, and deaf to hostile text."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepsport.arena.generate import make_set
from deepsport.arena.script import Dials
from deepsport.bench.curves import Curves
from deepsport.bench.episode_html import episode_page
from deepsport.bench.measure import compare
from deepsport.bench.report_html import report_page
from deepsport.bench.score import scores
from deepsport.records import Choice, Episode
from deepsport.video.source import FrameSource
from made_episodes import episode, look, malformed, question

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--no-first-run",
]
EVIL = (
    "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"><svg onload=\"document.title='taken'\">"
    "<iframe src='http://127.0.0.1:9/'></iframe></title></style></summary></details>\"'><base href='http://127.0.0.1:9/'>"
)
CURVES: Curves = {
    "perception": {"loss": [(step, 3 / (step + 1)) for step in range(300)]},
    "sft": {"loss": [(step, 2 / (step + 1)) for step in range(150)]},
    "rl": {
        name: [(step, number + step / 50) for step in range(50)]
        for number, name in enumerate(("reward", "accuracy", "tool", "tool_calls", "groups_flat", "groups_phantom", "mismatch"))
    },
}

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed, so no page can be opened")
if CHROMIUM is None:
    pytest.skip("chromium is not installed, so no page can be opened (Debian: apt-get install chromium)", allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


class Visit:
    """A page opened from disk, with everything it complained about and asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        page.on("request", lambda request: self.requests.append(request.url))

    def outside(self) -> list[str]:
        """Requests for anything but the file itself and what it carries."""
        return [url for url in self.requests if not url.startswith(("file://", "data:"))]


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Visit]]:
    opened: list[Any] = []

    def open_page(html: str, *, width: int = 1280, scheme: str = "light") -> Visit:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        opened.append(browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme))
        seen = Visit(opened[-1])
        seen.page.goto(path.as_uri())
        return seen

    yield open_page
    for page in opened:
        page.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("arena")
    return str(folder / make_set(folder, n_clips=1, seed=5, sports=("soccer",), dials=Dials(shortest=100))[0].video)


@pytest.fixture(scope="module")
def source() -> Iterator[FrameSource]:
    opened = FrameSource()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def report(clip: str, source: FrameSource) -> str:
    asked = [question(name, video=clip) for name in "abc"]
    before = [episode("header", [look(0, 9)], each) for each in asked]
    after = [episode(answer, [look(28, 42)], each) for answer, each in zip(("volley", "header", "volley"), asked, strict=True)]
    systems = {"no_tool": before, "sft": before, "sft_rl": after}
    return report_page(compare({name: scores(made) for name, made in systems.items()}), CURVES, systems, source)


def poisoned(clip: str, text: str = EVIL) -> Episode:
    """Hostile text in every field that can hold any."""
    gold = Choice(options=(text, f"not {text}"), answer=text)
    asked = question(text, video=clip, gold=gold, sport=text).model_copy(update={"text": text})
    turns = [look(28, 42, thought=text), malformed(text).model_copy(update={"note": text, "answer": text})]
    return episode(text, turns, asked).model_copy(update={"detail": text, "policy": text})


def overflow_px(page: Any) -> int:
    """How far the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_an_episode_page_shows_its_frames_and_asks_nobody(visit: Callable[..., Visit], clip: str, source: FrameSource):
    seen = visit(episode_page(episode("header", [look(28, 42)], question(video=clip)), source))
    assert seen.page.locator(".strip img").count() == 16
    seen.page.evaluate("for (const image of document.images) image.loading = 'eager'")
    seen.page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)", timeout=5000)
    assert seen.page.locator("svg.timeline rect.window").bounding_box()["width"] > 10
    assert (seen.complaints, seen.outside()) == ([], [])


def test_the_report_draws_every_chart_and_asks_nobody(visit: Callable[..., Visit], report: str):
    seen = visit(report)
    assert seen.page.locator("svg.intervals circle.mark").count() == 3
    charts = seen.page.locator("svg.chart")
    assert charts.count() == 6
    for chart in charts.all():
        assert chart.bounding_box()["height"] > 100
        assert chart.locator("polyline").first.bounding_box()["width"] > 100
    assert (seen.complaints, seen.outside()) == ([], [])


def test_an_episode_of_the_report_opens_on_a_click(visit: Callable[..., Visit], report: str):
    page = visit(report).page
    shown = page.locator("details.shown").first
    assert not shown.locator("article.episode").is_visible()
    shown.locator("> summary").click()
    assert shown.locator("article.episode").is_visible()
    assert shown.locator("svg.timeline circle.seen").first.is_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(visit: Callable[..., Visit], report: str, width: int):
    page = visit(report, width=width).page
    for summary in page.locator("details.shown > summary").all():
        summary.click()
    assert overflow_px(page) == 0


def test_a_word_without_end_is_broken_before_it_widens_the_page(visit: Callable[..., Visit], clip: str, source: FrameSource):
    page = visit(episode_page(poisoned(clip, "x" * 500), source), width=390).page
    assert overflow_px(page) == 0


def test_dark_mode_is_dark_and_light_mode_is_light(visit: Callable[..., Visit], report: str):
    def brightness(scheme: str) -> int:
        page = visit(report, scheme=scheme).page
        return page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")

    assert brightness("dark") < 60 < 200 < brightness("light")


def test_hostile_text_in_every_field_of_an_episode_is_only_text(visit: Callable[..., Visit], clip: str, source: FrameSource):
    seen = visit(episode_page(poisoned(clip), source))
    seen.page.wait_for_timeout(300)
    assert seen.page.title() == EVIL
    assert seen.page.locator("script, iframe, base, img[onerror], svg[onload]").count() == 0
    assert seen.page.locator("h3").inner_text() == EVIL
    assert (seen.complaints, seen.outside()) == ([], [])
    assert overflow_px(seen.page) == 0


def test_hostile_text_in_a_report_is_only_text(visit: Callable[..., Visit], clip: str, source: FrameSource):
    systems = {"before": [poisoned(clip)], EVIL: [poisoned(clip)]}
    report = compare({name: scores(made) for name, made in systems.items()}, versions={EVIL: EVIL}, seconds_per_stage={EVIL: 1.0})
    seen = visit(report_page(report, {EVIL: {EVIL: [(0, 1.0), (1, 2.0)]}}, systems, source))
    for summary in seen.page.locator("summary").all():
        summary.click()
    seen.page.wait_for_timeout(300)
    assert seen.page.title() == "DeepSport report"
    assert seen.page.locator("script, iframe, base, img[onerror], svg[onload]").count() == 0
    assert (seen.complaints, seen.outside()) == ([], [])


def test_a_script_that_got_past_the_escaping_would_still_not_run(visit: Callable[..., Visit], clip: str, source: FrameSource):
    page = episode_page(episode("header", [], question(video=clip)), source)
    seen = visit(page.replace("</main>", "<script>document.title='taken'</script><img src='http://127.0.0.1:9/x.png'></main>"))
    seen.page.wait_for_timeout(300)
    assert seen.page.title() != "taken"
    assert len(seen.complaints) == 2  # the content policy says what it refused
