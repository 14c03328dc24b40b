"""Fills the pages of the site that are made from code, and mends links that lead out of docs/. A hook of MkDocs.

A page is filled where it says `<!-- generated: NAME -->`. So it exists in the repository too, with the words around it, and no
figure, option or signature on it was typed by a hand.
"""

import re
from collections.abc import Callable
from pathlib import Path
from posixpath import relpath

from api_page import api_page, loop_page
from command_page import commands_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from settings_page import settings_page
from shown_files import anchor, examples_page, recipes_page

ROOT = Path(__file__).resolve().parents[2]
MARK = re.compile(r"<!-- generated: (\w+) -->")
LINK = re.compile(r"\]\((?P<up>(?:\.\./)+)(?P<path>[^)#]+)(?:#[^)]*)?\)")
"""A link that leads out of the folder of its page."""


def changelog() -> str:
    """CHANGELOG.md without its title."""
    return _without_title("CHANGELOG.md")


def model_card() -> str:
    """What nano is, without the title; a table within a list stands out of it, where every reader of Markdown sees it."""
    text = _without_title("src/deepsport/policy/nano/README.md")
    return re.sub(r"^  +(?=\|)", "", text, flags=re.M).replace("\n- **Fencing**", "\n\n- **Fencing**")


MADE: dict[str, Callable[[], str]] = {
    "api": api_page,
    "loop": loop_page,
    "commands": commands_page,
    "settings": settings_page,
    "recipes": recipes_page,
    "examples": examples_page,
    "changelog": changelog,
    "nano": model_card,
}


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Called by MkDocs for every page before it is rendered."""
    if page.parent is None:
        page.meta.setdefault("hide", ["navigation"])  # the column beside it would hold nothing but its own name
    filled = MARK.sub(lambda found: MADE[found[1]](), markdown)
    return LINK.sub(lambda found: _inside(found, page.file.src_uri), filled)


def _inside(found: re.Match[str], page: str) -> str:
    """The link, to the page of the site that shows the same file, if there is one."""
    target = _page_of(found["path"])
    return f"]({relpath(target, Path(page).parent.as_posix())})" if target else found[0]


def _page_of(path: str) -> str | None:
    folder, _, name = path.partition("/")
    if page := {"recipes": "recipe_files", "examples": "examples"}.get(folder):
        return f"reference/{page}.md#{anchor(name)}" if name else f"reference/{page}.md"
    return {"src/deepsport/policy/nano/README.md": "reference/nano.md", "CHANGELOG.md": "reference/changelog.md"}.get(path)


def _without_title(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8").partition("\n")[2].strip()
