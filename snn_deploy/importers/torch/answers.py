"""What a forward makes of the outputs of all timesteps: a sum, a mean, the last."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.axes import Part
from snn_deploy.importers.torch.fold import likeness
from snn_deploy.importers.torch.record import LAYER
from snn_deploy.importers.torch.timestep import Item
from snn_deploy.importers.torch.unroll import Unrolled
from snn_deploy.ir.graph import Functional

OVER = {"sum": Functional.SUM, "mean": Functional.SUM, "max": Functional.MAX}
ENDS = ("softmax", "log_softmax", "sigmoid")
LAYERS = (nn.Softmax, nn.LogSoftmax, nn.Sigmoid)


@dataclass(frozen=True, kw_only=True, eq=False)
class WholeAnswer:
    """What a forward makes of the outputs of all timesteps."""

    functional: Functional
    scale: float  # times which it is: a mean is a sum
    is_mean: bool  # whether it is divided by the number of timesteps, in this scale
    ends: tuple[Item, ...]  # what it does behind that, first first


def spread(whole: Part, unrolled: Unrolled) -> Part:
    """Return the mean of what the last layers make of each timestep.

    That is what they make of the mean of all timesteps, as they are linear.
    """
    behind: list[Item] = []
    now: Any = whole
    factor = 1.0
    while isinstance(now, Item) and not now.options.get("over"):
        first, *others = now.sources or (None,)
        if _is_linear(now):
            behind.insert(0, now)
        elif now.operation in ("mul", "div") and isinstance(others[0], float):
            factor *= others[0] if now.operation == "mul" else 1 / others[0]
        else:
            return whole
        now = first
    if not behind or not isinstance(now, Item):
        return whole
    parts: Sequence[Any] = now.sources
    factor *= len(parts) if now.operation == "sum" else 1.0
    if now.operation not in ("sum", "mean") or not math.isclose(factor, 1.0):
        return whole
    for item in behind:
        parts = [replace(item, sources=(part,)) for part in parts]
        unrolled.items += parts
        unrolled.items.remove(item)
    shape = behind[-1].shape
    return replace(now, operation="mean", sources=tuple(parts), shape=shape)


def _is_linear(item: Item) -> bool:
    """Return whether a call makes of a mean the mean of what it makes."""
    module = item.module
    if item.operation == LAYER:
        return isinstance(module, nn.Linear | nn.Flatten | nn.Identity)
    return item.operation in ("linear", "flatten", "view")


def answer_of(whole: Part, most: int) -> tuple[WholeAnswer, tuple[Part, ...]]:
    """Return what one output is of the outputs of all timesteps, and those.

    Raises
    ------
    ModelError
        If it is the sum or the largest of softmaxes.
    """
    scale = 1.0
    ends: list[Item] = []
    while isinstance(whole, Item):
        rest, *others = whole.sources
        if end_of(whole):
            ends.insert(0, whole)
        elif whole.operation in ("mul", "div") and isinstance(others[0], float):
            factor = others[0] if whole.operation == "mul" else 1 / others[0]
            scale *= factor
        elif whole.operation == "mul" and isinstance(rest, float):
            scale *= rest
            rest = others[0]
        else:
            break
        whole = rest  # type: ignore[assignment] # none is a Before yet
    assert isinstance(whole, Item)
    functional, parts = _parted(whole, most)
    n = len(parts)
    if whole.operation == "mean" and whole.options.get("over"):
        scale /= n
    is_over = functional is Functional.SUM and n > 1
    is_mean = is_over and (whole.operation == "mean" or math.isclose(scale * n, 1.0))
    answer = WholeAnswer(
        functional=functional, scale=scale, is_mean=is_mean, ends=tuple(ends)
    )
    return answer, tuple(parts)


def _parted(whole: Item, most: int) -> tuple[Functional, Sequence[Any]]:
    """Return what an item is of all timesteps, and what those give."""
    if whole.options.get("over") and whole.operation in OVER:
        functional = OVER[whole.operation]
        parts: Sequence[Any] = whole.sources
    else:
        functional, parts = Functional.SUM, _terms(whole, most)
        if len(parts) == 1:
            return Functional.LAST, parts
    for part in parts:
        if isinstance(part, Item) and (name := end_of(part)):
            much = functional.value
            raise ModelError(
                f"forward takes the {much} of all timesteps behind a {name} of each, "
                f"which is another answer than a {name} of their {much}; leave it out "
                f"there and train so: a {name} of the {much} may follow"
            )
    return functional, parts


def end_of(item: Item) -> str:
    """Return what an item is called, if it does what only an answer may."""
    if isinstance(item.module, LAYERS):
        return type(item.module).__name__
    return item.operation if item.operation in ENDS else ""


def _terms(whole: Item, most: int) -> list[Part]:
    """Return the terms of a running sum, one for each timestep; or the whole."""
    terms: list[Part] = []
    now: Any = whole
    while isinstance(now, Item) and now.operation == "add" and len(terms) < most - 1:
        now, term = now.sources
        if not isinstance(now, Item):  # 0 + x, as sum() begins
            now, term = term, now
        if isinstance(term, Item):
            terms.insert(0, term)
        elif not _is_nothing(term):
            return [whole]
    while isinstance(now, Item) and now.operation == "add":
        if terms and likeness(terms[0], now) > 0:  # a leaky sum begins as 0 + x too
            break
        left = [source for source in now.sources if not _is_nothing(source)]
        if len(left) != 1:
            break
        (now,) = left
    terms.insert(0, now)
    return terms if len(terms) == most else [whole]


def _is_nothing(part: Any) -> bool:
    """Return whether a part of a sum is 0."""
    return not isinstance(part, Item) and not torch.as_tensor(part).any()
