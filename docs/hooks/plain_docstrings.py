"""Docstrings of the house, in which a parameter is a line `name: what it is`, as Markdown lists. An extension of griffe."""

import re
from typing import Any

from griffe import Extension, Function


class PlainDocstrings(Extension):
    """Makes list items of the lines that explain parameters."""

    def on_function(self, *, func: Function, **_: Any) -> None:
        """Called for every function that is read."""
        if func.docstring:
            names = {parameter.name.lstrip("*") for parameter in func.parameters}
            func.docstring.value = with_lists(func.docstring.value, names)


def with_lists(text: str, names: set[str]) -> str:
    """The text with `name: ...` as an item of a list where it names one of these."""
    lines: list[str] = []
    for line in text.splitlines():
        found = re.match(r"(\w+): ", line)
        if found and found[1] in names:
            if lines and lines[-1] and not lines[-1].startswith("- "):
                lines.append("")
            line = f"- `{found[1]}`: {line[found.end() :]}"
        elif lines and lines[-1].startswith(("- ", "  ")) and line and not line.startswith(" "):
            line = f"  {line}"
        lines.append(line)
    return "\n".join(lines)
