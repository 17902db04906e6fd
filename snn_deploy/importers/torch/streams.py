"""Streams: the items that stand for the same in every timestep."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from snn_deploy.importers.torch.axes import Part
from snn_deploy.importers.torch.frameworks.registry import framework_of
from snn_deploy.importers.torch.record import LAYER
from snn_deploy.importers.torch.timestep import Item

REWRITE = (
    "write forward as one timestep, which takes what one timestep gives to the next "
    "and returns it, or keeps it on self"
)
DIFFERENT = f"the timesteps of forward differ, so that none can be cut out; {REWRITE}"
MOST_LINES = 8  # of a forward that is shown
COMMUTATIVE = ("add", "mul", "maximum", "minimum")
NEUTRAL = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0}


@dataclass(eq=False)
class Stream:
    """The items that are the same in every timestep."""

    example: Item
    items: dict[int, Item] = field(default_factory=dict)
    # what stands for the one before the first: an initial value, or something else
    early: dict[int, Part] = field(default_factory=dict)
    operands: "list[Operand | Part] | None" = None  # not looked at yet
    is_static: bool = False  # one item, for all timesteps


@dataclass(eq=False)
class Operand:
    """A stream, so many timesteps late."""

    stream: Stream
    delay: int


def place_of(part: Any) -> str:
    """Return what messages call an item by."""
    if not isinstance(part, Item):
        return "forward"
    return part.path or f"forward calls {part.operation}"


def are_same(a: Any, b: Any) -> bool:
    """Return whether two constants or items are equal."""
    if a is b:
        return True
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and torch.equal(a, b)
    return type(a) is type(b) and bool(a == b)


def are_alike(a: Item, b: Item) -> bool:
    """Return whether two items are made by the same call of different values."""
    if (a.operation, a.module, len(a.sources)) != (
        b.operation,
        b.module,
        len(b.sources),
    ):
        return False
    if a.operation == LAYER and a.path != b.path:
        return False
    return a.options.keys() == b.options.keys() and all(
        key == "timestep" or are_same(value, b.options[key])
        for key, value in a.options.items()
    )


def operands_of(stream: Stream) -> list[Operand]:
    """Return the streams that feed a stream."""
    return [o for o in stream.operands or () if isinstance(o, Operand)]


def rewritten(model: nn.Module, paths: Sequence[str]) -> str:
    """Return the forward of one timestep that calls these layers in a row."""
    lines: list[str] = []
    states: list[str] = []
    for path in paths[:MOST_LINES]:
        first, *parts = path.split(".")
        name = (
            "self."
            + first
            + "".join(f"[{p}]" if p.isdigit() else f".{p}" for p in parts)
        )
        module = model.get_submodule(path)
        if framework_of(module).takes_state(module):
            state = f"state{len(states) + 1}"
            lines.append(f"x, {state} = {name}(x, {state})")
            states.append(state)
        else:
            lines.append(f"x = {name}(x)")
    if len(paths) > MOST_LINES:
        lines.append("...")
    given = "".join(f", {state}=None" for state in states)
    returned = "".join(f", {state}" for state in states)
    return f"def forward(self, x{given}): {'; '.join(lines)}; return x{returned}"
