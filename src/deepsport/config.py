"""Configuration: frozen pydantic models read from TOML, with dotted overrides (`rl.steps=20`).

The docstring under a field is its help text. Unknown keys are refused with a did-you-mean, and every error names where the value
came from, the key, the value and what is allowed. Values are checked strictly: `"20"` is no integer, and `1` is no `true`. What a
stage can be told stands with the stage; only the reading and writing is here.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from pydantic_core import ErrorDetails, to_jsonable_python

from deepsport.errors import BadConfig


class Config(BaseModel):
    """Base of every stage's configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="constants")


C = TypeVar("C", bound=Config)

FREE: dict[str, JsonValue] = {"free": True}
"""Marks a field, as its `json_schema_extra`, that decides how a result is reached and not what it is: addresses, limits of pace,
prices. A run goes on under another value of it."""


def load(model: type[C], path: Path | None, overrides: Sequence[str] = ()) -> C:
    """Reads a recipe (None: all defaults) and lays the overrides over it, the last one winning.

    An override is `dotted.key=value`; the value is TOML, and plain text where it is not (`model=nano`).
    Raises BadConfig with one line per fault."""
    tree = _read(path) if path is not None else {}
    overridden = [_override(tree, text) for text in overrides]
    defaults = {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()}
    whole = {key: _over(defaults.get(key), value) for key, value in tree.items()}
    try:
        return model.model_validate_json(json.dumps(whole, default=str), strict=True)
    except ValidationError as error:
        faults = [_fault(model, fault, path, overridden) for fault in error.errors()]
        raise BadConfig("\n".join(faults)) from None


def dump(config: Config) -> str:
    """The configuration as TOML that loads back to the same one.

    Raises BadConfig for a None that is not the field's default: TOML has no null."""
    return "\n".join(_lines(_plain(config), ())).strip() + "\n"


def flatten(config: Config) -> dict[str, str]:
    """Every setting as dotted key -> TOML value, in the order of the fields."""
    return {key: _toml(value) for key, value in leaves(_plain(config))}


def leaves(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every value that is no table, by its dotted key."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from leaves(cast(Mapping[str, object], value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def free_keys(model: type[Config], prefix: str = "") -> Iterator[str]:
    """The dotted keys of all fields marked as free."""
    for name, field in model.model_fields.items():
        if field.json_schema_extra == FREE:
            yield prefix + name
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, Config):
                yield from free_keys(part, f"{prefix}{name}.")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BadConfig(f"{path} cannot be read ({error.strerror}). Give the path of a TOML recipe.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path} is not a TOML file: {error}") from None


def _over(default: object, given: object) -> object:
    """A table given in part is filled up from the default it replaces, which may differ from the defaults of its class."""
    if not isinstance(given, dict) or not (isinstance(default, BaseModel) or is_dataclass(default)):
        return cast(object, given)
    whole: dict[str, Any] = to_jsonable_python(default)
    for key, value in cast(dict[str, Any], given).items():
        whole[key] = _over(getattr(default, key, None), value)
    return whole


def _override(tree: dict[str, Any], text: str) -> str:
    """Sets one `dotted.key=value` in the tree; returns the key."""
    key, equals, value = text.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise BadConfig(f"override {text!r}: write it as dotted.key=value, for example rl.steps=20")
    table = tree
    for depth, part in enumerate(parts[:-1], start=1):
        below = table.setdefault(part, {})
        if not isinstance(below, dict):
            raise BadConfig(f"override {text!r}: {'.'.join(parts[:depth])} is a value, {below!r}, and has no keys of its own")
        table = cast(dict[str, Any], below)
    table[parts[-1]] = _value(value.strip())
    return ".".join(parts)


def _value(text: str) -> Any:
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return table["value"] if len(table) == 1 else text


def _fault(model: type[Config], fault: ErrorDetails, path: Path | None, overridden: Sequence[str]) -> str:
    """One line: where, key, value, what is allowed."""
    key = ".".join(str(part) for part in fault["loc"])
    from_override = any(key == other or key.startswith(other + ".") or other.startswith(key + ".") for other in overridden)
    where = "override" if from_override else str(path) if path is not None else "configuration"
    if not key:
        return f"{where}: {fault['msg']}"
    if fault["type"] == "missing":
        return f"{where}: {key} is missing and has no default"
    known = dict(_known(model))
    if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{where}: {key} = {fault['input']!r}: unknown key. {_suggestion(key, list(known))}"
    meaning = f" ({known[key]})" if known.get(key) else ""
    return f"{where}: {key} = {fault['input']!r}: {fault['msg']}{meaning}"


def _suggestion(key: str, known: list[str]) -> str:
    same_name = [other for other in known if other.rpartition(".")[2] == key.rpartition(".")[2]]
    close = same_name or get_close_matches(key, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]}?"
    parent = key.rpartition(".")[0]
    siblings = [other for other in known if other.rpartition(".")[0] == parent] or known
    return f"Known here: {', '.join(siblings)}."


def _known(model: type[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every dotted key of a configuration with its help text."""
    fields = model.model_fields if issubclass(model, BaseModel) else {}
    for name, annotation in get_type_hints(model).items():
        if fields and name not in fields:
            continue
        yield prefix + name, (fields[name].description or "") if fields else ""
        for part in (annotation, *get_args(annotation)):
            if isinstance(part, type) and (is_dataclass(part) or issubclass(part, BaseModel)):
                yield from _known(part, f"{prefix}{name}.")


def _plain(config: Config) -> dict[str, Any]:
    """The configuration as TOML's own types, without the Nones that are defaults anyway."""
    tree = config.model_dump(mode="json")
    spare = config.model_dump(mode="json", exclude_defaults=True)
    return _without_none(tree, spare, "")


def _without_none(tree: Mapping[str, Any], changed: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in tree.items():
        if value is None and key in changed:
            raise BadConfig(f"{prefix}{key} is None, which is not its default and cannot be written: TOML has no null")
        if isinstance(value, dict):
            below = changed.get(key, {})
            kept[key] = _without_none(cast(dict[str, Any], value), below, f"{prefix}{key}.")
        elif value is not None:
            kept[key] = value
    return kept


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    if path:
        yield f"\n[{'.'.join(_key(part) for part in path)}]"
    yield from (f"{_key(key)} = {_toml(value)}" for key, value in table.items() if not isinstance(value, dict))
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _lines(cast(dict[str, Any], value), (*path, key))


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _toml(text)


def _toml(value: Any) -> str:
    """One TOML value on one line; JSON's string escapes are TOML's, but for DEL."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in cast(list[Any], value))}]"
    if isinstance(value, dict):
        pairs = (f"{_key(key)} = {_toml(item)}" for key, item in cast(dict[str, Any], value).items())
        return f"{{ {', '.join(pairs)} }}"
    raise BadConfig(f"{value!r} cannot be written as TOML")
