"""The help of every command, found in the tree of commands itself: a new one is held to the same."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from deepsport.cli import arena as arena_commands
from deepsport.cli.main import app

Found = tuple[tuple[str, ...], TyperCommand]
WIDE = {"TERMINAL_WIDTH": "250", "COLUMNS": "250"}
"""So that no line is broken."""


def commands(group: TyperGroup, before: tuple[str, ...] = ()) -> Iterator[Found]:
    """The commands at the tips of the tree, by what one types."""
    for name, below in group.commands.items():
        if isinstance(below, TyperGroup):
            yield from commands(below, (*before, name))
        elif isinstance(below, TyperCommand):
            yield (*before, name), below


EVERY = list(commands(typer.main.get_group(app)))
every_command = pytest.mark.parametrize(("names", "command"), EVERY, ids=[" ".join(names) for names, _ in EVERY])


def help_of(*names: str) -> str:
    done = CliRunner().invoke(app, [*names, "--help"], env=WIDE)
    assert done.exit_code == 0
    return done.stdout


def test_the_tree_has_the_commands_of_the_changelog() -> None:
    text = (Path(__file__).resolve().parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
    [listed] = re.findall(r"^- Commands: (.*?)\.$", text, re.M | re.S)
    assert sorted(re.findall(r"`([^`]+)`", listed)) == sorted(" ".join(names) for names, _ in EVERY)


@every_command
def test_the_help_of_every_command_has_an_example_on_a_line_of_its_own(names: tuple[str, ...], command: TyperCommand) -> None:
    assert any(f"{line.strip()} ".startswith(f"deepsport {' '.join(names)} ") for line in help_of(*names).splitlines())


@every_command
def test_the_help_shows_every_word_that_is_written_for_an_option(names: tuple[str, ...], command: TyperCommand) -> None:
    shown = " ".join(help_of(*names).replace("│", " ").split())
    written = [str(getattr(parameter, "help", None) or "") for parameter in command.params]
    assert [text for text in written if " ".join(text.split()) not in shown] == [], (
        "words in square brackets are taken for markup"
    )


@pytest.mark.parametrize("command", ["render", "testset", "gallery"])
def test_an_example_in_the_help_stands_on_one_line_and_can_be_copied(command: str) -> None:
    listed = help_of("arena", command).split("Arguments")[0].splitlines()
    examples = [line.strip() for line in listed if line.strip().startswith("deepsport")]
    assert len(examples) >= 2
    assert set(examples) <= {line.strip() for line in Path(arena_commands.__file__).read_text().splitlines()}
