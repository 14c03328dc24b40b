"""Recipe settings as a page: every key of every stage, its type, default, bounds and docstring, read off the models.

Keys are written as one sets them, with their dots; a table of a recipe has a table of the page. Docstrings are read from the
source, since not every model keeps them.
"""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from itertools import pairwise
from textwrap import dedent
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from command_page import cell
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from deepsport.ablate import AblationConfig
from deepsport.bench.recipe import BenchConfig
from deepsport.data.distill.recipe import DistillRecipe
from deepsport.demo import DemoConfig
from deepsport.serve.chat.settings import ServeConfig
from deepsport.stress import StressConfig
from deepsport.train.recipe import RLRecipe, SFTRecipe

Model = type[Any]

STAGES: dict[str, Model] = {
    "deepsport demo": DemoConfig,
    "deepsport distill": DistillRecipe,
    "deepsport sft": SFTRecipe,
    "deepsport rl": RLRecipe,
    "deepsport bench run": BenchConfig,
    "deepsport ablate": AblationConfig,
    "deepsport stress": StressConfig,
    "deepsport serve": ServeConfig,
}
"""Which command is told what."""

BOUNDS = {
    "ge": "at least",
    "gt": "above",
    "le": "at most",
    "lt": "below",
    "min_length": "length at least",
    "max_length": "length at most",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a recipe."""

    key: str
    kind: str
    default: str
    bounds: str
    about: str

    @property
    def facts(self) -> str:
        """Type, bounds and default, as they end the description."""
        return f"*{', '.join(filter(None, [self.kind, self.bounds]))}*, {self.default}"


def settings_page() -> str:
    """All stages, each with its settings."""
    return "\n\n".join(_stage(command, model) for command, model in STAGES.items())


def every_setting() -> list[str]:
    """All dotted keys, by stage."""
    return [setting.key for model in STAGES.values() for _, rows in _tables(model, "", None) for setting in rows]


def _stage(command: str, model: Model) -> str:
    head = [f"## {command}", inspect.cleandoc(model.__doc__ or "")]
    return "\n\n".join([*head, *(_table(command, path, rows) for path, rows in _tables(model, "", None) if rows)])


def _table(command: str, path: str, rows: list[Setting]) -> str:
    name = path.removesuffix(".")
    anchor = f"{command.replace(' ', '-')}-{name.replace('.', '-')}"
    title = [f"### `[{name}]` {{ #{anchor} data-toc-label='{name}' }}\n"] if path else []
    lines = [f"| `{each.key}` | {'<br>'.join(filter(None, [each.about, each.facts]))} |" for each in rows]
    return "\n".join([*title, "| key | what it is |", "|---|---|", *lines])


def _tables(model: Model, path: str, instance: object) -> Iterator[tuple[str, list[Setting]]]:
    """The settings of a table of a recipe, then those of the tables in it."""
    own: list[Setting] = []
    below: list[tuple[str, Model, object]] = []
    for name, annotation, info, default in _fields(model):
        value = getattr(instance, name, default)
        inner = _inner_model(annotation)
        if inner:
            below.append((f"{path}{name}.", inner, value))
        if not inner or value is None:
            about = cell(_docs(model).get(name, "")) or (cell(inner.__doc__ or "") if inner else "")
            own.append(Setting(path + name, _kind(annotation), _default(value), _bounds(info), about))
    yield path, own
    for deeper, inner, value in below:
        yield from _tables(inner, deeper, value)


def _fields(model: Model) -> Iterator[tuple[str, Any, FieldInfo | None, object]]:
    hints = get_type_hints(model)
    if issubclass(model, BaseModel):
        for name, info in model.model_fields.items():
            default = ... if info.is_required() else info.get_default(call_default_factory=True)
            yield name, hints[name], info, default
        return
    for each in fields(model):
        yield each.name, hints[each.name], None, each.default


def _inner_model(annotation: Any) -> Model | None:
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and (is_dataclass(part) or issubclass(part, BaseModel)):
            return part
    return None


@cache
def _docs(model: Model) -> dict[str, str]:
    """Field -> the docstring under it, those of the bases included."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if each.__module__.startswith("deepsport."):
            body = cast(ast.ClassDef, ast.parse(dedent(inspect.getsource(each))).body[0]).body
            for field, text in pairwise(body):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                    found[ast.unparse(field.target)] = inspect.cleandoc(str(text.value.value))
    return found


def _kind(annotation: Any) -> str:
    """The type in plain words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(_kind(part) for part in parts if part is not NoneType)
    if origin is Literal:
        return "one of " + ", ".join(str(part) for part in parts)
    if origin in (tuple, list):
        return f"list of {_kind(parts[0])}"
    if origin is dict:
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "one of " + ", ".join(str(member.value) for member in annotation)
    names = {str: "text", int: "integer", float: "number", bool: "true or false"}
    return names.get(annotation, "table" if _inner_model(annotation) else "value")


def _default(value: object) -> str:
    if value is ...:
        return "must be given"
    if value is None:
        return "default: none"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return f"default `{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return f"default `{list(cast(tuple[object, ...], value))}`"
    return f"default `{value}`" if value != "" else "default: empty"


def _bounds(info: FieldInfo | None) -> str:
    """What the value must hold to."""
    said = [
        f"{words} {getattr(one, name)}"
        for one in (info.metadata if info else ())
        for name, words in BOUNDS.items()
        if hasattr(one, name)
    ]
    return ", ".join(said)
