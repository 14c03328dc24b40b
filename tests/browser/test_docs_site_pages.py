"""The documentation site in a real browser: quiet, offline, no wider than a phone, readable in light and dark, and searchable."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from visited_pages import FAINT_TEXT, Visit, overflow_px

pytest.importorskip("material", reason="mkdocs-material is not installed, so no site can be built")
pytestmark = pytest.mark.xdist_group("site")
PAGES = ["", "tutorial/", "concepts/", "reference/python/", "reference/commands/", "reference/settings/"]


class Silent(SimpleHTTPRequestHandler):
    """Serves the site, and says nothing of it."""

    def log_message(self, *said: object) -> None:
        return


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def open_page(window: Callable[..., Visit], address: str) -> Callable[..., Visit]:
    """Opens a page of the site."""

    def opener(name: str, **how: Any) -> Visit:
        visit = window(address + name, **how)
        visit.page.wait_for_load_state("networkidle")
        return visit

    return opener


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_quiet_offline_and_no_wider_than_its_window(
    name: str, width: int, scheme: str, open_page: Callable[..., Visit], address: str
) -> None:
    visit = open_page(name, width=width, scheme=scheme)
    assert visit.complaints == []
    assert [url for url in visit.requests if not url.startswith(address)] == []
    assert overflow_px(visit.page) <= 0
    assert visit.page.locator("article h1").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["", "concepts/", "reference/settings/"])
def test_the_text_of_a_page_stands_out_from_its_ground(name: str, scheme: str, open_page: Callable[..., Visit]) -> None:
    faint = [line for line in open_page(name, scheme=scheme).page.evaluate(FAINT_TEXT) if "headerlink" not in line]
    assert faint == []


def test_the_pages_begin_in_the_colours_of_the_system_and_can_be_switched(open_page: Callable[..., Visit]) -> None:
    page = open_page("", scheme="dark").page
    assert page.locator("body").get_attribute("data-md-color-scheme") == "slate"
    page.locator("label[title='Switch to light']").click()
    assert page.locator("body").get_attribute("data-md-color-scheme") == "default"


def test_search_finds_the_gated_reward_without_another_host(open_page: Callable[..., Visit], address: str) -> None:
    visit = open_page("")
    visit.page.keyboard.press("/")
    visit.page.keyboard.type("gated reward")
    found = visit.page.locator(".md-search-result__link")
    found.first.wait_for()
    addresses = [found.nth(place).get_attribute("href") or "" for place in range(found.count())]
    assert any("/reward/" in url or "/reference/loop/" in url for url in addresses)
    assert visit.complaints == []
    assert [url for url in visit.requests if not url.startswith((address, "blob:", "data:"))] == []
