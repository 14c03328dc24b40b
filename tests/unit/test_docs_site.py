"""The documentation site, built once: strict, complete, generated from the code, and without anything from another host."""

import ast
import importlib
import os
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image, ImageChops, ImageStat

import deepsport

pytest.importorskip("material", reason="mkdocs-material is not installed, so no site can be built")
markdown_it = pytest.importorskip("markdown_it")

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
pytestmark = pytest.mark.xdist_group("site")


LOADED = {"script": "src", "img": "src", "source": "src", "video": "src", "iframe": "src", "link": "href"}


class Seen(HTMLParser):
    """What a page holds: what it would load, where it leads, what can be led to, how often which element stands in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.counts: dict[str, int] = {}
        self.text: list[str] = []
        self._inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._inside = (self._inside or tag == "article") and tag != "footer"
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if (name := LOADED.get(tag)) and name in given:
            self.loads.append(given[name])
        if self._inside:
            self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "article"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.text.append(data)


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, Seen]:
    """Every page of the site, by its address without the last slash."""
    return {
        path.relative_to(site).parent.as_posix(): Seen(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("index.html"))
    }


@pytest.fixture(scope="module")
def hooks() -> Iterator[None]:
    """Lets the tests import what fills the pages."""
    sys.path.insert(0, str(DOCS / "hooks"))
    yield
    sys.path.remove(str(DOCS / "hooks"))


def said(page: Seen) -> str:
    return " ".join("".join(page.text).split())


def shown(text: str) -> str:
    """Words as a page shows them."""
    return " ".join(text.replace("`", "").split())


def test_every_page_of_the_docs_is_on_the_site_and_can_be_reached_from_the_first(pages: dict[str, Seen]) -> None:
    written = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")} - {"index"} | {"."}
    assert written <= set(pages)
    reached, waiting = {"."}, ["."]
    while waiting:
        here = waiting.pop()
        for link in pages[here].links:
            there = os.path.normpath(os.path.join(here, urlsplit(link).path))
            if there in pages and not urlsplit(link).scheme and there not in reached:
                reached.add(there)
                waiting.append(there)
    assert reached == set(pages)


def test_no_page_loads_anything_from_another_host(site: Path, pages: dict[str, Seen]) -> None:
    loads = [(name, url) for name, page in pages.items() for url in page.loads if urlsplit(url).scheme or url.startswith("//")]
    assert loads == []
    styles = {path: re.findall(r"""url\(["']?((?:https?:)?//[^)"']+)""", path.read_text("utf-8")) for path in site.rglob("*.css")}
    assert {path.name: found for path, found in styles.items() if found} == {}
    imports = [path.name for path in site.rglob("*.css") if re.search(r"@import[^;]*//", path.read_text("utf-8"))]
    assert imports == []


def test_every_link_within_the_site_leads_somewhere(site: Path, pages: dict[str, Seen]) -> None:
    lost = []
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//"):
                continue
            there = os.path.normpath(os.path.join(name, unquote(parts.path))) if parts.path else name
            if there in pages:
                if parts.fragment and unquote(parts.fragment) not in pages[there].anchors:
                    lost.append((name, link))
            elif not (site / there).is_file():
                lost.append((name, link))
    assert lost == []


def test_every_command_stands_in_the_reference_with_every_option(pages: dict[str, Seen], hooks: None) -> None:
    commands = importlib.import_module("command_page").every_command()
    text = said(pages["reference/commands"])
    assert len(commands) > 25
    missing = [name for name, _ in commands if f"{name}¶" not in text]
    missing += [
        f"{name} {option}"
        for name, command in commands
        for each in command.params
        for option in each.opts
        if option[0] == "-" and option not in text
    ]
    missing += [
        name for name, command in commands for each in command.params if shown(getattr(each, "help", "") or "") not in text
    ]
    assert missing == []


def test_every_key_of_every_recipe_stands_in_the_reference(pages: dict[str, Seen], hooks: None) -> None:
    keys = set(importlib.import_module("settings_page").every_setting())
    text = said(pages["reference/settings"])
    assert len(keys) > 150
    assert [key for key in keys if key not in text] == []


def test_every_configuration_of_the_package_belongs_to_a_stage_of_the_reference(hooks: None) -> None:
    """A new one that no stage uses would not be on the site."""
    classes = dict[str, tuple[str, ...]]()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                classes[node.name] = tuple(ast.unparse(base) for base in node.bases)
    configs = {"Config"}
    while more := {name for name, bases in classes.items() if configs & set(bases)} - configs:
        configs |= more
    bases = {base for name in configs for base in classes.get(name, ())}
    shown = {model.__name__ for model in used(importlib.import_module("settings_page"))}
    assert configs - bases - shown == set()


def used(page: ModuleType) -> Iterator[type]:
    """Every model of the page, those within others included."""
    waiting = list(page.STAGES.values())
    while waiting:
        model = waiting.pop()
        yield model
        waiting += [inner for _, annotation, _, _ in page._fields(model) if (inner := page._inner_model(annotation))]


def test_every_public_name_of_the_package_is_explained(pages: dict[str, Seen]) -> None:
    anchors = set[str]().union(*(page.anchors for name, page in pages.items() if name.startswith("reference/")))
    missing = [name for name in deepsport.__all__ if not any(anchor.rpartition(".")[2] == name for anchor in anchors)]
    assert missing == []


def test_the_pieces_of_the_loop_are_explained(pages: dict[str, Seen]) -> None:
    text = said(pages["reference/loop"])
    assert [name for name in ("run_episode", "FrameSource", "Policy", "GatedReward", "accuracy_floor") if name not in text] == []


PLAIN = [path for path in sorted(DOCS.glob("*.md")) if "generated:" not in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.name)
def test_a_page_has_the_lists_tables_and_blocks_on_the_site_that_it_has_elsewhere(path: Path, pages: dict[str, Seen]) -> None:
    """MkDocs reads Markdown otherwise than forges do: a list without a blank line before it, say, is none."""
    text = re.sub(r"^</?div[^>]*>$", "", path.read_text(encoding="utf-8"), flags=re.M)
    tokens = markdown_it.MarkdownIt("commonmark").enable("table").parse(text)
    kinds = {"li": "list_item_open", "table": "table_open", "tr": "tr_open", "h2": "heading_open"}
    wanted = {tag: sum(token.type == kind and token.tag == tag for token in tokens) for tag, kind in kinds.items()}
    wanted["pre"] = sum(token.type in ("fence", "code_block") for token in tokens)
    page = pages["." if path.stem == "index" else path.stem]
    assert {tag: page.counts.get(tag, 0) for tag in wanted} == wanted


@pytest.mark.parametrize("tag", ["<think>", "<answer>", "<tool_call>"])
def test_a_tag_of_the_grammar_is_shown_and_not_taken_for_html(tag: str, pages: dict[str, Seen]) -> None:
    assert tag in said(pages["design"])


def test_the_picture_of_an_episode_is_the_one_that_the_code_draws(hooks: None) -> None:
    drawn = importlib.import_module("episode_picture").picture().convert("RGB")
    kept = Image.open(DOCS / "assets" / "episode.png").convert("RGB")
    assert drawn.size == kept.size, "run `python docs/hooks/episode_picture.py`"
    assert sum(ImageStat.Stat(ImageChops.difference(drawn, kept)).mean) < 2, "run `python docs/hooks/episode_picture.py`"


def test_a_parameter_that_a_docstring_explains_on_a_line_becomes_an_item_of_a_list(hooks: None) -> None:
    with_lists = importlib.import_module("plain_docstrings").with_lists
    text = "Asks.\n\nvideo: a path.\nmodel: who\nanswers.\n\nRaises: nothing."
    assert with_lists(text, {"video", "model"}) == "Asks.\n\n- `video`: a path.\n- `model`: who\n  answers.\n\nRaises: nothing."
