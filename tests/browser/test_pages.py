"""The pages in a real browser, opened from disk: drawn, quiet, offline, readable on a phone, and deaf to hostile text."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from deepsport.bench.measure import compare
from deepsport.bench.reporting.curves import Curves
from deepsport.bench.reporting.episode_html import episode_page
from deepsport.bench.reporting.report_html import report_page
from deepsport.bench.reporting.showcase import Played
from deepsport.bench.score import scores
from deepsport.records import Choice, Dimension, Episode, Question
from deepsport.video.source import FrameSource
from made_episodes import episode, frame, look, malformed, question
from visited_pages import EVIL, FAINT_TEXT, Visit, open_all, overflow_px

CURVES: Curves = {
    "perception": {"loss": [(step, 3 / (step + 1)) for step in range(300)]},
    "sft": {"loss": [(step, 2 / (step + 1)) for step in range(150)]},
    "rl": {
        name: [(step, number + step / 50) for step in range(50)]
        for number, name in enumerate(("reward", "accuracy", "tool", "tool_calls", "groups_flat", "groups_phantom", "mismatch"))
    },
}


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
    return report_page(compare({name: scores(made) for name, made in systems.items()}), CURVES, played(systems), source)


@pytest.fixture(scope="module")
def side_by_side(clip: str, source: FrameSource) -> str:
    """A model shown 8 frames, then 16, and an agent: three sports, every dimension, two videos, one of them gone."""
    asked = [
        question(f"{sport}-{dimension}-{video}", video=video, sport=sport, dimension=dimension)
        for sport in ("soccer", "table_tennis", "american_football")
        for dimension in Dimension
        for video in (clip, "gone.mp4")
    ]
    systems = {
        "model, 8 frames": [passive("header" if n % 3 else "volley", each, 8) for n, each in enumerate(asked)],
        "model, 16 frames": [passive("volley" if n % 3 else "header", each, 16) for n, each in enumerate(asked)],
        "agent": [episode("volley" if n % 5 else "header", [look(28, 42)], each) for n, each in enumerate(asked)],
    }
    made = compare({name: scores(episodes) for name, episodes in systems.items()})
    return report_page(made, {}, played(systems), source, notes=["agent: 3 of 27 answers are missing."])


def passive(answer: str, asked: Question, n_frames: int) -> Episode:
    """An answer without the tool."""
    shown = tuple(frame(index, asked.video) for index in range(n_frames))
    return episode(answer, [], asked).model_copy(update={"first_frames": shown, "with_tool": False})


def played(systems: Mapping[str, Sequence[Episode]]) -> dict[str, list[Played]]:
    return {name: list(zip(episodes, scores(episodes), strict=True)) for name, episodes in systems.items()}


def poisoned(clip: str, text: str = EVIL) -> Episode:
    """Hostile text in every field that can hold any."""
    gold = Choice(options=(text, f"not {text}"), answer=text)
    asked = question(text, video=clip, gold=gold, sport=text).model_copy(update={"text": text})
    turns = [look(28, 42, thought=text), malformed(text).model_copy(update={"note": text, "answer": text})]
    return episode(text, turns, asked).model_copy(update={"detail": text, "policy": text})


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


def test_a_report_of_several_runs_draws_every_chart_and_asks_nobody(visit: Callable[..., Visit], side_by_side: str):
    seen = visit(side_by_side)
    page = seen.page
    scatter = page.locator("svg.scatter")
    assert scatter.bounding_box()["height"] > 200
    assert scatter.locator("g.mark circle").count() == 3
    assert scatter.locator("line.join").bounding_box()["width"] > 50
    assert page.locator("svg.turns").count() == 3
    for chart in page.locator("svg.turns").all():
        assert chart.locator("line.step").first.bounding_box()["width"] > 50
    assert page.locator("table.heat").count() == 3
    assert page.locator("table.heat").first.locator("tbody td").count() == 4 * 5
    assert page.locator(".warning").inner_text() == "agent: 3 of 27 answers are missing."
    assert (seen.complaints, seen.outside()) == ([], [])


def test_marks_stand_where_their_figures_say(visit: Callable[..., Visit], side_by_side: str):
    scatter = visit(side_by_side).page.locator("svg.scatter")
    boxes = [mark.bounding_box() for mark in scatter.locator("g.mark circle").all()]
    few, many, agent = boxes
    assert few["x"] < many["x"]
    assert few["y"] > many["y"] > agent["y"]
    zero, *_, hundred = sorted((line.bounding_box()["y"] for line in scatter.locator("line.grid").all()), reverse=True)
    middle = few["y"] + few["height"] / 2
    assert (zero - middle) / (zero - hundred) == pytest.approx(8 / 24, abs=0.02)


def test_every_cell_of_a_heat_map_can_be_reached_by_scrolling_its_own_box(visit: Callable[..., Visit], side_by_side: str):
    page = visit(side_by_side, width=390).page
    open_all(page)
    box = page.locator(".scroll:has(table.heat)").first
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    last = box.locator("tbody tr").first.locator("td").last
    last.scroll_into_view_if_needed()
    assert last.bounding_box()["x"] + last.bounding_box()["width"] <= 390
    assert overflow_px(page) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(visit: Callable[..., Visit], side_by_side: str, scheme: str):
    page = visit(side_by_side, scheme=scheme).page
    open_all(page)
    assert page.evaluate(FAINT_TEXT) == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("which", ["report", "side_by_side"])
def test_nothing_is_wider_than_the_window(visit: Callable[..., Visit], request: pytest.FixtureRequest, which: str, width: int):
    page = visit(request.getfixturevalue(which), width=width).page
    open_all(page)
    assert overflow_px(page) == 0


def test_a_system_whose_name_has_no_end_does_not_widen_the_report(visit: Callable[..., Visit], clip: str, source: FrameSource):
    systems = {name: [episode("volley", [], question(video=clip))] for name in ("before", "x" * 300)}
    report = compare({name: scores(made) for name, made in systems.items()})
    page = visit(report_page(report, {}, played(systems), source), width=390).page
    open_all(page)
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
    seen = visit(report_page(report, {EVIL: {EVIL: [(0, 1.0), (1, 2.0)]}}, played(systems), source, notes=[EVIL]))
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
