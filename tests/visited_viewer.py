"""The viewer in a browser: its pages over a real server, and what is asked of every page: no complaint, no request elsewhere."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from viewed_runs import Visited, viewing
from visited_pages import Visit

CONTROLS = {"button", "link", "textbox", "searchbox", "combobox", "checkbox", "radio", "slider", "dialog", "meter"}
"""Roles that mean nothing without a name."""

PICTURE_IS_OF = """async ([frames, indices]) => {
    const video = document.querySelector('video');
    const [width, height] = [video.videoWidth, video.videoHeight];
    const pixels = picture => {
        const canvas = Object.assign(document.createElement('canvas'), {width, height});
        const context = canvas.getContext('2d', {willReadFrequently: true});
        context.drawImage(picture, 0, 0, width, height);
        return context.getImageData(0, 0, width, height).data;
    };
    const shown = pixels(video);
    const apart = async index => {
        const reply = await fetch(`${frames}/${index}.jpg?width=${width}`);
        const other = pixels(await createImageBitmap(await reply.blob()));
        return shown.reduce((sum, value, at) => sum + Math.abs(value - other[at]), 0);
    };
    const distances = [];
    for (const index of indices) distances.push(await apart(index));
    return indices[distances.indexOf(Math.min(...distances))];
}"""
"""Which of some frames the video on the page shows, told by its pixels."""


class Page(Visit):
    """A page of the viewer."""

    def __init__(self, page: Any, url: str) -> None:
        super().__init__(page)
        self.url = url

    def go(self, address: str) -> "Page":
        """Opens what stands after the `#` of an address, and waits until it is drawn: then the page takes the focus. Of the page
        before nothing is left."""
        for each in ("#/between", address) if self.page.url.startswith(self.url) else (address,):
            self.page.evaluate("document.activeElement.blur()")
            self.page.goto(f"{self.url}/{each}")
            self.until("() => document.querySelector('main').contains(document.activeElement)")
        return self

    def forget(self) -> "Page":
        """As in a browser that was never here."""
        self.page.evaluate("localStorage.clear()")
        return self

    def outside(self) -> list[str]:
        """Requests that went to anybody but the server."""
        return [url for url in self.requests if not url.startswith((self.url, "data:", "blob:"))]

    def role(self, role: str, name: str | None = None, *, exact: bool = False) -> Any:
        """What a screen reader calls so."""
        return self.page.get_by_role(role, name=name, exact=exact) if name else self.page.get_by_role(role)

    def rows(self) -> list[str]:
        """The texts of the rows on the screen."""
        self.page.locator(".row a").first.wait_for()
        return self.page.locator(".row").all_inner_texts()

    def until(self, condition: str, *given: Any) -> None:
        """Waits until a JavaScript condition holds."""
        self.page.wait_for_function(condition, arg=list(given), timeout=8000)

    def frame(self) -> int:
        """The number of the frame on the screen, as the page tells it."""
        return int(self.page.locator(".player .readout").inner_text().rsplit(" ", 1)[1])

    def settled_frame(self) -> int:
        """The same, once the video has finished seeking."""
        self.until("() => [...document.querySelectorAll('video')].every(film => !film.seeking && film.readyState >= 2)")
        return self.frame()

    def open_episode(self) -> str:
        """The address that the episode on the page has on the server."""
        set_id, episode_id = self.page.evaluate("location.hash.split('?')[0].split('/').slice(2)")
        return f"/api/sets/{set_id}/episodes/{episode_id}"

    def pictured_frame(self, indices: list[int]) -> int:
        """Which of these frames the video shows."""
        self.settled_frame()
        self.page.wait_for_timeout(100)  # the picture reaches the screen after the seek has been told
        return self.page.evaluate(PICTURE_IS_OF, [f"{self.open_episode()}/frames", indices])

    def labelled(self, text: str) -> None:
        """Waits until the page says so of a label."""
        self.page.locator(".labels .state", has_text=text).wait_for()

    def unnamed(self) -> list[str]:
        """Controls that a screen reader has no name for."""
        session = self.page.context.new_cdp_session(self.page)
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        session.detach()
        found = [node for node in nodes if not node.get("ignored") and node.get("role", {}).get("value") in CONTROLS]
        assert found
        return [node["role"]["value"] for node in found if not node.get("name", {}).get("value")]


class Desk:
    """A viewer and the browser that pages of it are opened in. Windows are used again: a window costs more than most tests."""

    def __init__(self, browser: Any, visited: Visited) -> None:
        self.browser = browser
        self.visited = visited
        self.windows: dict[int, Page] = {}
        """By their width."""
        self.others: list[Page] = []

    def open(self, address: str = "#/", *, width: int = 1280) -> Page:
        """Opens a page in the window of that width, where nothing is left of the one before."""
        if width in self.windows:
            return self.windows[width].forget().go(address)
        self.windows[width] = self._window(width)
        return self.windows[width].go(address)

    def open_beside(self, address: str = "#/", *, width: int = 1280) -> Page:
        """Opens a page in a window of its own."""
        self.others.append(self._window(width))
        return self.others[-1].go(address)

    def _window(self, width: int) -> Page:
        context = self.browser.new_context(viewport={"width": width, "height": 900}, color_scheme="light")
        context.set_default_timeout(8000)
        return Page(context.new_page(), self.visited.url)

    def check(self) -> None:
        """Holds that no page complained or asked anybody else, and closes those that stand beside."""
        pages = [*self.windows.values(), *self.others]
        found = [(page.complaints[:], page.outside()) for page in pages if page.complaints or page.outside()]
        for page in pages:
            page.complaints.clear()
            page.requests.clear()
        while self.others:
            self.others.pop().page.context.close()
        assert found == [], found

    def address(self, name: str, which: int = 0, **query: Any) -> str:
        """Of an episode of a set, by its place in the list."""
        row = self.visited.episodes(name, **query)["rows"][which]
        return f"#/set/{self.visited.the_set(name)}/{row['id']}"

    def list(self, name: str) -> str:
        """Address of a set's list."""
        return f"#/set/{self.visited.the_set(name)}"

    def curves(self, step: int | None = None) -> str:
        """Address of the curves of the training run, and of a step of them."""
        run = next(run["id"] for run in self.visited.get("/api/runs")["runs"] if run["has_curves"])
        return f"#/run/{run}/curves?stage=rl" + (f"&step={step}" if step is not None else "")


@contextmanager
def desk_of(browser: Any, folder: Path) -> Generator[Desk]:
    """Over a folder of runs. Closes its pages in the end, and holds of each that it neither complained nor asked anybody else."""
    with viewing(folder) as visited:
        desk = Desk(browser, visited)
        try:
            yield desk
            desk.check()
        finally:
            for page in [*desk.windows.values(), *desk.others]:
                page.page.context.close()
