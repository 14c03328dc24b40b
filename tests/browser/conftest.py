"""A browser for the tests of pages, opened from disk or from a server. Without one they are skipped, and say so."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepsport.arena.generate import make_set
from deepsport.arena.script import Dials
from viewed_runs import Clip, arena_clips
from visited_pages import Visit
from visited_viewer import Desk

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Not kept for longer: as long as it is open an event loop runs, and nothing else can start one."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed, so no page can be opened")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed, so no page can be opened (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def window(browser: Any) -> Iterator[Callable[..., Visit]]:
    """Opens an address in a window of its own, which is closed in the end."""
    opened: list[Any] = []

    def open_window(url: str, *, width: int = 1280, scheme: str = "light") -> Visit:
        opened.append(browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme))
        seen = Visit(opened[-1])
        seen.page.goto(url)
        return seen

    yield open_window
    for page in opened:
        page.close()


@pytest.fixture
def visit(window: Callable[..., Visit], tmp_path: Path) -> Callable[..., Visit]:
    def open_page(html: str, **how: Any) -> Visit:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        return window(path.as_uri(), **how)

    return open_page


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("arena")
    return str(folder / make_set(folder, n_clips=1, seed=5, sports=("soccer",), dials=Dials(shortest=100))[0].video)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return arena_clips(tmp_path_factory.mktemp("clips"), 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a module's runs lie, and beside them what is said of them."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def desk(shared_desk: Desk) -> Iterator[Desk]:
    """The viewer of a test module over its runs."""
    yield shared_desk
    shared_desk.check()
