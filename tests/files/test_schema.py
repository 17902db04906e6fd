"""schema: tables become dataclasses, or an error with file, table and key."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest

from snn_deploy.errors import DataError
from snn_deploy.files.schema import Allowed, Positive, Schema, read_toml


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Wheel:
    spokes: Annotated[int, Allowed(least=3, below=9)] = 3
    mass_s: float = 0.0
    turns_s: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Bell:
    colour: Colour


@dataclass(frozen=True, kw_only=True)
class Cart:
    home: Path
    wheels: tuple[Wheel, ...] = ()
    bell: Bell | None = None
    load: Wheel | Bell | None = None
    priced: tuple[tuple[str, Positive], ...] = field(
        default=(), metadata={"key": "price"}
    )


KINDS: dict[object, dict[str, type]] = {Wheel | Bell: {"wheel": Wheel, "bell": Bell}}


def cart(table: object) -> Cart:
    return Schema(file="c.toml", error=DataError, kinds=KINDS).build(Cart, table)


def test_a_table_becomes_what_its_types_say() -> None:
    found = cart(
        {
            "home": "a/b",
            "wheels": [{"mass_ms": 2, "turns_us": [1, 2.5]}, {"spokes": 8}],
            "bell": {"colour": "red"},
            "load": {"kind": "bell", "colour": "blue"},
            "price": {"b": 2, "a": 1.5},
        }
    )

    assert found == Cart(
        home=Path("a/b"),
        wheels=(Wheel(mass_s=2e-3, turns_s=(1e-6, 2.5 * 1e-6)), Wheel(spokes=8)),
        bell=Bell(colour=Colour.RED),
        load=Bell(colour=Colour.BLUE),
        priced=(("a", 1.5), ("b", 2.0)),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"home": 3}, "c.toml: 'home' is 3; give a text"),
        ({"hom": 3}, "c.toml: unknown key 'hom'; did you mean 'home'?"),
        ({"priced": {}}, "c.toml: unknown key 'priced'; did you mean 'price'?"),
        ({"wheels": {}}, "c.toml: 'wheels' is not a list of tables; write [[wheels]]"),
        ({"wheels": [{}, 4]}, "c.toml: [wheels.1]: is 4; write a table"),
        ({"wheels": [{"spokes": 9}]}, "[wheels.0]: 'spokes' is 9; give a whole number"),
        ({"wheels": [{"spokes": 3.0}]}, "give a whole number, 3 or more and below 9"),
        ({"wheels": [{"mass_ms": -1}]}, "'mass_ms' is -1; give a number, 0 or more"),
        ({"wheels": [{"mass_s": 1, "mass_ms": 1}]}, "'mass_ms' is given in two units"),
        ({"wheels": [{"turns_s": 1}]}, "'turns_s' is 1; give a list of numbers, 0 or"),
        ({"bell": {}}, "c.toml: [bell]: has no 'colour'; add it"),
        ({"bell": {"colour": "reed"}}, "'colour' is 'reed'; did you mean 'red'?"),
        ({"bell": {"colour": ["red"]}}, "'colour' is ['red']; did you mean 'red'?"),
        ({"load": {"kind": "horn"}}, "[load]: 'kind' is 'horn'; choose from bell, w"),
        ({"load": {"kind": ["bell"]}}, "[load]: 'kind' is ['bell']; did you mean"),
        ({"price": {"a": 0}}, "c.toml: [price]: 'a' is 0; give a number, over 0"),
        ({"price": {"a": float("inf")}}, "[price]: 'a' is inf; give a number"),
        ({"price": [1]}, "c.toml: [price]: is [1]; write a table"),
    ],
)
def test_a_fault_is_refused_with_its_place(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        cart({"home": "a", **change})

    assert message in str(caught.value)
    assert str(caught.value).startswith("c.toml: ")


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("a = ")

    with pytest.raises(DataError, match=r"c\.toml: not a TOML file \(.*; mend it"):
        read_toml(path, DataError)
