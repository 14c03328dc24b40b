"""What a notebook and a terminal show of an episode, a run and a clip; hostile text stays text."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

import deepsport as ds
from deepsport.agent.grammar import write_answer, write_call
from deepsport.api.notebook import show_in_notebooks
from deepsport.bench.report import Report
from deepsport.policy.scripted import Scripted
from deepsport.records import Episode
from made_episodes import episode, look, question
from made_runs import made_run
from video_files import write

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'></iframe>"


@pytest.fixture
def shell():
    shell = InteractiveShell.instance()
    show_in_notebooks()
    yield shell
    InteractiveShell.clear_instance()


class Elements(HTMLParser):
    """Every element that a browser would make, with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.found if found == tag]


def hostile(video: str = "a.mp4") -> Episode:
    asked = question("q", video=video).model_copy(update={"text": HOSTILE})
    return episode(HOSTILE, [look(20, 40, video, HOSTILE)], asked).model_copy(update={"policy": HOSTILE, "id": HOSTILE})


def shown(shell: InteractiveShell, thing: object) -> tuple[str, str]:
    """What a notebook shows, and what a terminal does."""
    formats, _ = shell.display_formatter.format(thing)
    return formats.get("text/html", ""), formats["text/plain"]


def require_inert(page: str) -> None:
    for tag, attributes in Elements(page).found:
        assert tag not in ("script", "object", "embed", "base", "form")
        assert not [name for name in attributes if name.startswith("on")]
        assert not (tag == "img" and attributes.get("src") == "x")


def test_an_episode_shows_itself_as_its_page_in_a_frame_that_may_do_nothing(shell, tmp_path):
    video = write(tmp_path / "match.mp4")
    played = ds.ask(video, "Which card?", model=Scripted([write_call("a foul", 10, 17), write_answer("so", "red card")]))
    html, _ = shown(shell, played)
    (frame,) = Elements(html).named("iframe")
    assert frame["sandbox"] == ""
    page = frame["srcdoc"] or ""
    assert all(said in page for said in ("Which card?", "a foul", "red card", "timeline"))
    assert sum((image["src"] or "").startswith("data:image/jpeg") for image in Elements(page).named("img")) == 16


def test_an_episode_whose_video_is_gone_shows_itself_without_pictures(shell):
    html, _ = shown(shell, episode("volley", [look(20, 40)]))
    page = Elements(html).named("iframe")[0]["srcdoc"] or ""
    assert "cannot be read" in page
    assert Elements(page).named("img") == []


def test_hostile_text_in_an_episode_makes_no_element(shell, tmp_path):
    video = write(tmp_path / "<img src=x onerror=alert(3)>.mp4")
    html, _ = shown(shell, hostile(str(video)))
    outer = Elements(html)
    assert [tag for tag, _ in outer.found] == ["iframe"]
    require_inert(html)
    require_inert(outer.named("iframe")[0]["srcdoc"] or "")


def test_a_terminal_shows_an_episode_in_a_few_lines_and_without_control_characters(shell):
    played = episode("volley\x1b[2J", [look(20, 40)])
    _, text = shown(shell, played)
    assert text.splitlines() == [
        "Episode q/0: How was the goal scored?",
        "  a.mp4, made",
        "  1. the score changes here",
        "     looks at frames 20 to 40",
        "  2. so",
        "  answer: volley?[2J",
    ]


def test_a_terminal_says_why_there_is_no_answer(shell):
    lost = episode(None, [], stop=ds.StopReason.POLICY_ERROR).model_copy(update={"detail": "nobody there"})
    assert shown(shell, lost)[1].splitlines()[-1] == "  policy_error: nobody there"


def test_a_run_shows_a_table_with_the_score_of_every_system(shell, tmp_path):
    made_run(tmp_path / "run", [episode("volley", []), episode("header", [], question("other"))], system=HOSTILE)
    html, text = shown(shell, ds.load_run(tmp_path / "run"))
    elements = Elements(html)
    require_inert(html)
    assert len(elements.named("tr")) == 2
    assert "<td>50.0</td>" in html
    assert "\n" not in text


def test_a_run_that_scored_nothing_says_so(shell, tmp_path):
    made_run(tmp_path / "run", [episode(None, [], stop=ds.StopReason.POLICY_ERROR)])
    assert "<td>none</td>" in shown(shell, ds.load_run(tmp_path / "run"))[0]


def test_a_clip_shows_its_frames_in_a_row(shell, tmp_path):
    path = write(tmp_path / "<script>alert(1)<script>.mp4")
    with ds.Video(path) as video:
        html, text = shown(shell, video.frames(0, 1, 4))
    require_inert(html)
    pictures = Elements(html).named("img")
    assert [picture["alt"] for picture in pictures] == [
        "frame 0 at 0.00 s",
        "frame 8 at 0.32 s",
        "frame 17 at 0.68 s",
        "frame 25 at 1.00 s",
    ]
    assert "pixels" not in text


SESSION = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import deepsport as ds").raise_error()
shell.run_cell("question = ds.Question(id='q', video='a.mp4', text='Who?')").raise_error()
made = shell.run_cell("ds.Episode(id='q/0', question=question, policy='p', stop='answered', answer='B')")
formats, _ = shell.display_formatter.format(made.result)
assert "iframe" in formats["text/html"]
assert formats["text/plain"].startswith("Episode q/0")
"""


def test_a_session_needs_no_more_than_the_import():
    subprocess.run([sys.executable, "-c", SESSION], check=True, timeout=60)


def test_outside_of_notebooks_nothing_of_ipython_is_loaded():
    code = "import sys, deepsport as ds; ds.Episode; ds.ask; assert 'IPython' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_public_name_is_there_and_listed():
    assert [name for name in ds.__all__ if getattr(ds, name, None) is None] == []
    assert set(ds.__all__) <= set(dir(ds))
    assert ds.Report is Report
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = ds.no_such_name


def test_the_names_that_types_are_checked_by_are_those_that_are_there(tmp_path: Path):
    source = Path(ds.__file__).read_text()
    declared = source.partition("if TYPE_CHECKING:")[2].partition("__version__")[0]
    assert [name for name in ds.__all__ if f" {name}," not in declared.replace("\n", ",\n")] == []
