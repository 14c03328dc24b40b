"""The README and the pages under docs/ are executed: their shell commands and their Python, in order, in one empty folder.

A block under a comment `<!-- not run: reason -->` is listed as skipped with its reason.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^>]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
RUN = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    where: str
    language: str
    text: str
    reason: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(f"{page.name}:{text.count(chr(10), 0, found.start('text'))}", found["language"], found["text"], found["reason"])
        for found in BLOCK.finditer(text)
        if found["language"] in RUN
    ]


BLOCKS = [block for page in PAGES for block in blocks(page)]


@pytest.fixture(scope="module")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run, one after the other, as a reader would give them."""
    return tmp_path_factory.mktemp("reader")


@pytest.mark.xdist_group("readme")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_what_a_page_tells_the_reader_to_run_runs(block: Block, empty_folder: Path) -> None:
    if block.reason is not None:
        pytest.skip(f"not run: {block.reason}: {block.text.strip().splitlines()[0]}")
    assert not re.search(r"\bmake (demo|test|tests)\b", block.text), "a test that runs the tests never ends"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [*RUN[block.language], block.text],
        cwd=empty_folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{block.where} ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def test_the_readme_has_commands_that_run_and_python_that_runs() -> None:
    run = {block.language for block in blocks(ROOT / "README.md") if block.reason is None}
    assert run == {"sh", "python"}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_relative_link_and_picture_of_a_page_exists(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []
