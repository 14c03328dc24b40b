"""A browser for the tests of pages, which are opened from disk. Without one they are skipped, and say so."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepsport.arena.generate import make_set
from deepsport.arena.script import Dials
from visited_pages import Visit

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


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("arena")
    return str(folder / make_set(folder, n_clips=1, seed=5, sports=("soccer",), dials=Dials(shortest=100))[0].video)
