"""Recipes: read strictly, overridden by dotted keys, written so that they load back."""

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from deepsport.config import Config, dump, flatten, load
from deepsport.errors import BadConfig


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bonus:
    floor: float = 0.5
    share: float = 0.5


class Rl(Config):
    steps: int = Field(default=20, gt=0, le=1000)
    """Optimiser steps."""
    lr: float = 2e-4
    aggregation: Literal["token", "sequence"] = "token"
    clip: tuple[float, float] = (0.2, 0.28)


class Recipe(Config):
    model: str = "nano"
    """Checkpoint folder or hub id."""
    seed: int = 0
    verbose: bool = False
    out: Path | None = None
    colours: tuple[Colour, ...] = (Colour.RED,)
    rl: Rl = Rl()
    bonus: Bonus = Bonus()
    weights: dict[str, float] = Field(default_factory=dict)


class Needs(Config):
    folder: str


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "demo.toml"
    path.write_text('model = "tiny"\n[rl]\nsteps = 7\nlr = 1\n', encoding="utf-8")
    return path


def test_a_recipe_is_read_and_what_it_leaves_out_has_its_default(recipe: Path) -> None:
    config = load(Recipe, recipe)
    assert config == Recipe(model="tiny", rl=Rl(steps=7, lr=1.0))
    assert isinstance(config.rl.lr, float)


def test_without_a_recipe_everything_has_its_default() -> None:
    assert load(Recipe, None) == Recipe()


def test_a_recipe_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbfseed = 3\n")
    assert load(Recipe, path).seed == 3


def test_an_override_wins_over_the_recipe_and_the_last_one_wins_over_the_first(recipe: Path) -> None:
    assert load(Recipe, recipe, ["rl.steps=8", "rl.steps = 9"]).rl.steps == 9


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model=nano-2", Recipe(model="nano-2")),
        ('model="a b"', Recipe(model="a b")),
        ("model=runs/a=b", Recipe(model="runs/a=b")),
        ("verbose=true", Recipe(verbose=True)),
        ("out=runs/x", Recipe(out=Path("runs/x"))),
        ("rl.lr=1e-3", Recipe(rl=Rl(lr=1e-3))),
        ("rl.clip=[0.1, 0.3]", Recipe(rl=Rl(clip=(0.1, 0.3)))),
        ('colours=["blue"]', Recipe(colours=(Colour.BLUE,))),
        ("bonus.floor=0.7", Recipe(bonus=Bonus(floor=0.7))),
        ("weights.soccer=2", Recipe(weights={"soccer": 2.0})),
    ],
)
def test_an_override_value_is_toml_or_plain_text(override: str, expected: Recipe) -> None:
    assert load(Recipe, None, [override]) == expected


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("rl.step=3", ["override", "rl.step = 3", "unknown key", "Did you mean rl.steps?"]),
        ("steps=3", ["unknown key", "Did you mean rl.steps?"]),
        ("bonus.florr=1", ["unknown key", "Did you mean bonus.floor?"]),
        ("rl.zzz=3", ["unknown key", "Known here: rl.steps, rl.lr"]),
        ("rl.steps=0", ["rl.steps = 0", "greater than 0", "Optimiser steps."]),
        ("rl.steps=1001", ["rl.steps = 1001", "less than or equal to 1000"]),
        ("rl.steps=2.5", ["rl.steps = 2.5", "integer"]),
        ('rl.steps="20"', ["rl.steps = '20'", "integer"]),
        ("rl.aggregation=word", ["'word'", "'token' or 'sequence'"]),
        ('colours=["green"]', ["colours.0", "'red' or 'blue'"]),
        ("verbose=1", ["verbose = 1", "boolean"]),
        ("model=3", ["model = 3", "string", "Checkpoint folder or hub id."]),
        ("rl=3", ["rl = 3", "object"]),
        ("seed.x=1", ["seed = {'x': 1}", "integer"]),
        ("rl.steps", ["'rl.steps'", "dotted.key=value"]),
        ("=3", ["dotted.key=value"]),
        ("rl..steps=3", ["dotted.key=value"]),
    ],
)
def test_a_bad_override_is_refused_with_what_is_allowed(override: str, words: list[str]) -> None:
    with pytest.raises(BadConfig) as refused:
        load(Recipe, None, [override])
    for word in words:
        assert word.lower() in str(refused.value).lower()


def test_a_table_given_in_part_keeps_the_rest_of_the_default_it_stands_for(tmp_path: Path) -> None:
    class Two(Config):
        first: Recipe = Recipe(seed=1, rl=Rl(steps=5, lr=0.1), bonus=Bonus(floor=0.9))
        second: Bonus = Bonus(floor=0.2)

    path = tmp_path / "two.toml"
    path.write_text("[first.rl]\nlr = 0.3\n[second]\nshare = 1.0\n")
    config = load(Two, path, ["first.bonus.share=0.7"])
    assert config.first == Recipe(seed=1, rl=Rl(steps=5, lr=0.3), bonus=Bonus(floor=0.9, share=0.7))
    assert config.second == Bonus(floor=0.2, share=1.0)


def test_an_override_below_a_value_of_the_recipe_is_refused(recipe: Path) -> None:
    with pytest.raises(BadConfig, match=r"model is a value, 'tiny', and has no keys"):
        load(Recipe, recipe, ["model.size=3"])


def test_a_fault_of_the_recipe_names_the_file_and_every_fault_has_its_line(recipe: Path) -> None:
    recipe.write_text("sed = 3\n[rl]\nsteps = -1\n", encoding="utf-8")
    with pytest.raises(BadConfig) as refused:
        load(Recipe, recipe, ["verbose=2"])
    lines = str(refused.value).splitlines()
    assert len(lines) == 3
    assert sum(line.startswith(f"{recipe}: ") for line in lines) == 2
    assert sum(line.startswith("override: verbose = 2") for line in lines) == 1


def test_a_missing_value_without_default_is_named() -> None:
    with pytest.raises(BadConfig, match="folder is missing and has no default"):
        load(Needs, None)


@pytest.mark.parametrize("content", [b"a = ", b"\xff\xfea\x00", b"a = 1\na = 2\n"])
def test_a_file_that_is_not_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(BadConfig, match=r"broken\.toml is not a TOML file"):
        load(Recipe, path)


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_recipe_that_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadConfig, match="cannot be read"):
        load(Recipe, tmp_path / name)


def test_the_docstring_under_a_field_is_its_help_text() -> None:
    assert Rl.model_fields["steps"].description == "Optimiser steps."


def test_a_config_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().seed = 1  # type: ignore[misc]


def test_flatten_lists_every_setting_by_its_dotted_key() -> None:
    flat = flatten(Recipe())
    assert flat["rl.steps"] == "20"
    assert flat["bonus.floor"] == "0.5"
    assert flat["model"] == '"nano"'


def test_a_none_that_toml_cannot_say_is_refused() -> None:
    class Limits(Config):
        seconds: float | None = 3.0

    with pytest.raises(BadConfig, match="seconds is None"):
        dump(Limits(seconds=None))


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
RECIPES = st.builds(
    Recipe,
    model=TEXT,
    seed=st.integers(-(2**62), 2**62),
    verbose=st.booleans(),
    out=st.one_of(st.none(), st.just(Path("a b/c"))),
    colours=st.lists(st.sampled_from(Colour), max_size=3).map(tuple),
    rl=st.builds(Rl, steps=st.integers(1, 1000), lr=st.floats(allow_nan=False)),
    bonus=st.builds(Bonus, floor=st.floats(0, 1)),
    weights=st.dictionaries(TEXT, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
)


@given(RECIPES)
def test_a_dumped_config_loads_back_to_the_same_one(tmp_path_factory: pytest.TempPathFactory, config: Recipe) -> None:
    path = tmp_path_factory.getbasetemp() / "dumped.toml"
    path.write_text(dump(config), encoding="utf-8", newline="")
    assert load(Recipe, path) == config


def test_not_a_number_survives_the_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "nan.toml"
    path.write_text(dump(Recipe(rl=Rl(lr=math.nan))), encoding="utf-8")
    assert math.isnan(load(Recipe, path).rl.lr)
