"""The command line as a page: every command, its examples, arguments and options, read off the tree of commands itself."""

from collections.abc import Iterator, Sequence
from inspect import cleandoc
from typing import Literal, get_args, get_origin

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from deepsport.cli.main import app

Found = tuple[str, TyperCommand]
Parameter = TyperArgument | TyperOption
PROGRAMS = ("deepsport ", "torchrun ")
"""How an example begins."""


def commands_page() -> str:
    """Every command under a heading of its own, in the order of the help."""
    return "\n\n".join(_section(name, command) for name, command in every_command())


def every_command() -> list[Found]:
    """What one types, and the command."""
    return list(_tips(typer.main.get_group(app), "deepsport"))


def _tips(group: TyperGroup, before: str) -> Iterator[Found]:
    for name, below in group.commands.items():
        if isinstance(below, TyperGroup):
            yield from _tips(below, f"{before} {name}")
        elif isinstance(below, TyperCommand):
            yield f"{before} {name}", below


def _section(name: str, command: TyperCommand) -> str:
    arguments = [each for each in command.params if isinstance(each, TyperArgument)]
    options = [each for each in command.params if isinstance(each, TyperOption) and not each.hidden]
    usage = " ".join([name, *map(_shape, arguments), *filter(None, map(_needed, options)), *(["[OPTIONS]"] if options else [])])
    parts = [f"## {name}", *_help(command.help or ""), f"```text\n{usage}\n```"]
    parts += [_table("argument", arguments)] if arguments else []
    parts += [_table("option", options)] if options else []
    return "\n\n".join(parts)


def _help(text: str) -> Iterator[str]:
    """The paragraphs of a docstring; those that keep their lines are examples, or lists."""
    for paragraph in cleandoc(text).split("\n\n"):
        lines = paragraph.removeprefix("\b").strip().splitlines()
        if lines[0].startswith(PROGRAMS):
            yield "```sh\n" + "\n".join(lines) + "\n```"
        else:
            yield " ".join(lines)


def _shape(argument: TyperArgument) -> str:
    name = _name(argument)
    return name if argument.required else f"[{name}]"


def _needed(option: TyperOption) -> str:
    return f"{option.opts[0]} VALUE" if option.required else ""


def _table(kind: str, parameters: Sequence[Parameter]) -> str:
    rows = [f"| `{_name(each)}` | {' '.join(filter(None, [cell(each.help or ''), _facts(each)]))} |" for each in parameters]
    return "\n".join([f"| {kind} | what it is |", "|---|---|", *rows])


def _name(parameter: Parameter) -> str:
    if isinstance(parameter, TyperArgument):
        return (parameter.metavar or parameter.name or "").upper() + ("..." if parameter.nargs == -1 else "")
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def _facts(parameter: Parameter) -> str:
    """What may be given, within which bounds, and what holds if nothing is, as sentences."""
    default, among = parameter.default, _choices(parameter)
    spare = parameter.required or default is None or default is False or default == () or callable(default)
    said = [
        f"One of {', '.join(f'`{choice}`' for choice in among)}." if among else "",
        _bounds(parameter),
        "" if spare else f"Default: {'on' if default is True else f'`{default}`'}.",
        "Must be given." if parameter.required else "",
        "May be repeated." if parameter.multiple else "",
    ]
    return " ".join(filter(None, said))


def _choices(parameter: Parameter) -> tuple[object, ...]:
    annotation = parameter.type_descriptor.annotation
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _bounds(parameter: Parameter) -> str:
    least = f"at least {parameter.min:g}" if parameter.min is not None else ""
    most = f"at most {parameter.max:g}" if parameter.max is not None else ""
    return f"{' and '.join(filter(None, [least, most])).capitalize()}." if least or most else ""


def cell(text: str) -> str:
    """A text as it can stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
