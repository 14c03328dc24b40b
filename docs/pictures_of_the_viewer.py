"""Draws the pictures of the viewer that the documentation shows: `python docs/pictures_of_the_viewer.py`. Needs a Chromium.

The runs are those of the viewer's own tests, over clips of the arena: the same pictures for the same code.
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from viewed_runs import arena_clips, bench_run  # noqa: E402  the tests' runs are no package
from visited_viewer import Page, desk_of  # noqa: E402

FOLDER = ROOT / "docs" / "pictures"
QUALITY = 85


def keep(page: Page, name: str) -> None:
    """Writes what is on the screen, once its pictures are there."""
    page.page.wait_for_timeout(1200)
    Image.open(io.BytesIO(page.page.screenshot())).convert("RGB").save(FOLDER / f"{name}.webp", quality=QUALITY, method=6)


def main() -> None:
    """The list, an episode, and a comparison."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        folder = Path(made)
        clips = arena_clips(folder / "set", 6)
        bench_run(folder / "runs" / "before", clips)
        bench_run(folder / "runs" / "after", clips, start=2)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        with desk_of(browser, folder / "runs") as desk:
            before, after = desk.visited.the_set("before"), desk.visited.the_set("after")
            keep(desk.open(desk.list("before")), "view_list")
            keep(desk.open(desk.address("before", failure="visual_hallucination") + "?t=0.9"), "view_episode")
            keep(desk.open(f"#/compare/{before}/{after}"), "view_compare")
        browser.close()


if __name__ == "__main__":
    main()
