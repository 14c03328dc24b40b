"""The rules that a file of episodes was played by, where the run that it lies in says them.

A run writes its configuration beside its episodes; the table `limits` of a `config.toml` is all that is read of it here, whoever
wrote it.
"""

import json
import tomllib
from pathlib import Path

from pydantic import ValidationError

from deepsport.agent.rollout import Limits
from deepsport.errors import BadConfig

CONFIG_NAME = "config.toml"

_INSTEAD = "Mend it, or give --style, --first-frames, --frames-per-call and --max-turns."


def rules_beside(path: Path) -> Limits | None:
    """Of the run that a file lies in; None if there is no such table. Raises BadConfig for one that holds no such rules."""
    file = path.parent / CONFIG_NAME
    if not file.is_file():
        return None
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8-sig")).get("limits")
    except OSError as error:
        raise BadConfig(f"{file} cannot be read ({error.strerror}). {_INSTEAD}") from None
    except (ValueError, RecursionError) as error:
        raise BadConfig(f"{file} is not a TOML file: {error}. {_INSTEAD}") from None
    if table is None:
        return None
    try:
        return Limits.model_validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(("limits", *map(str, fault["loc"])))
        raise BadConfig(f"{file}: {key} = {repr(fault['input'])[:80]}: {fault['msg']}. {_INSTEAD}") from None
