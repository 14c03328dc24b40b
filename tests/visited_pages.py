"""A page in a browser: what it complained of and asked for, what cannot be read of it, and text that would take it over."""

from typing import Any

EVIL = (
    "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"><svg onload=\"document.title='taken'\">"
    "<iframe src='http://127.0.0.1:9/'></iframe></title></style></summary></details>\"'><base href='http://127.0.0.1:9/'>"
)

FAINT_TEXT = """() => {
    const parse = text => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
    const over = (top, below) => top.slice(0, 3).map((value, i) => value * top[3] + below[i] * (1 - top[3]));
    const behind = element => {
        if (!element) return parse(getComputedStyle(document.body).backgroundColor).slice(0, 3);
        const colour = parse(getComputedStyle(element).backgroundColor);
        return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(element.parentElement));
    };
    const luminance = rgb => {
        const [r, g, b] = rgb.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const found = [];
    for (const element of document.querySelectorAll('body *')) {
        if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
        if (!element.checkVisibility || !element.checkVisibility()) continue;
        const style = getComputedStyle(element), drawn = element instanceof SVGElement;
        const ground = behind(element);
        const both = [over(parse(drawn ? style.fill : style.color), ground), ground].map(luminance);
        const ratio = (Math.max(...both) + .05) / (Math.min(...both) + .05);
        if (ratio < 4.5) found.push(`${element.outerHTML.slice(0, 80)}: ${ratio.toFixed(2)}`);
    }
    return [...new Set(found)];
}"""
"""Text whose contrast with the colours behind it is below 4.5 to 1 (WCAG 2.2, 1.4.3)."""


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


def open_all(page: Any) -> None:
    """Unfolds everything that can be unfolded."""
    page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")


def overflow_px(page: Any) -> int:
    """How far the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
