"""The scripts under examples/ do what they say, each as a reader would start it."""

import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest

from deepsport.arena.generate import make_set

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of one soccer clip, in `clips`."""
    folder = tmp_path_factory.mktemp("reader")
    make_set(folder / "clips", n_clips=1, seed=7, sports=["soccer"])
    (folder / "clip.mp4").symlink_to(next((folder / "clips" / "clips").glob("*.mp4")))
    return folder


ARGUMENTS = {
    "ask_a_video.py": ("clip.mp4", "How was the goal scored?", "header", "volley", "overhead", "slide", "backheel"),
    "evaluate_and_plot.py": ("clips/questions.jsonl", "accuracy.png"),
    "frames_of_a_window.py": ("clip.mp4", "0.5", "1.2", "frames"),
    "many_questions_at_once.py": ("clips/questions.jsonl",),
    "own_policy.py": ("clips/questions.jsonl",),
}


def start(name: str, folder: Path) -> str:
    """What the script prints."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *ARGUMENTS[name]], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{name} ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_every_example_is_tested() -> None:
    assert sorted(ARGUMENTS) == sorted(path.name for path in EXAMPLES.glob("*.py"))


def test_a_question_is_followed_turn_by_turn(folder: Path) -> None:
    said = start("ask_a_video.py", folder).splitlines()
    assert said[0].startswith("1. ")
    assert said[-1].startswith("answer: ")


def test_many_questions_are_answered_each_with_its_own_answer(folder: Path) -> None:
    said = start("many_questions_at_once.py", folder).splitlines()
    assert len(said) == len((folder / "clips" / "questions.jsonl").read_text().splitlines())
    right = [line for line in said if line.partition(": ")[2].partition(" (right: ")[0] == line.partition("right: ")[2][:-1]]
    assert len(right) >= len(said) / 2


def test_the_frames_of_a_window_become_pictures(folder: Path) -> None:
    said = start("frames_of_a_window.py", folder).splitlines()
    pictures = sorted((folder / "frames").glob("*.png"))
    assert len(pictures) == len(said) - 1 == 8
    assert PIL.Image.open(pictures[0]).size == (224, 126)


def test_a_policy_of_ones_own_is_measured(folder: Path) -> None:
    said = start("own_policy.py", folder).splitlines()
    assert said[0].startswith("score ")
    assert said[1] == "16 frames per question; 100% of the turns were valid"


def test_two_measurements_become_a_picture(folder: Path) -> None:
    said = start("evaluate_and_plot.py", folder)
    assert "may look again" in said
    assert PIL.Image.open(folder / "accuracy.png").width > 200
