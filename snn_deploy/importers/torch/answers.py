"""What a forward makes of the outputs of all timesteps: a sum, a mean, the last."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.axes import Part, shape_of
from snn_deploy.importers.torch.fold import likeness
from snn_deploy.importers.torch.functions import layer_of
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
    heads: "tuple[WholeAnswer, ...]" = ()  # side by side, in other units each
    n_outputs: int = 0  # of a head

    def of(self, summed: FloatArray) -> FloatArray:
        """Return what forward makes of accumulated outputs, ``(n, n_outputs)``."""
        if self.heads:
            starts = np.cumsum([head.n_outputs for head in self.heads])[:-1]
            each = np.split(summed, starts, axis=1)
            made = [head.of(o) for head, o in zip(self.heads, each, strict=True)]
            return np.concatenate(made, axis=1)
        whole = torch.from_numpy(summed * self.scale)
        for end in self.ends:
            layer = end.module or layer_of(end)
            assert layer is not None
            whole = layer(whole)
        found: FloatArray = whole.numpy()
        return found


def answer_in(
    whole: Part, unrolled: Unrolled, most: int
) -> tuple[WholeAnswer, tuple[Part, ...]]:
    """Return what one output is of the outputs of all timesteps, and those.

    Of outputs side by side, each has its own answer.

    Raises
    ------
    ModelError
        If it is the sum or the largest of softmaxes, or one output is the sum of all
        timesteps and another one the last.
    """
    if not isinstance(whole, Item) or whole.operation != "cat":
        return _answer_of(spread(whole, unrolled), most)
    joined = whole
    found = [
        _answer_of(spread(source, unrolled), most)  # type: ignore[arg-type] # no Before
        for source in joined.sources
    ]
    functionals = {answer.functional for answer, _ in found}
    if functionals == {Functional.LAST}:  # of what one timestep joins
        return _answer_of(whole, most)
    if len(functionals) > 1 or len({len(parts) for _, parts in found}) > 1:
        names = " and the ".join(sorted(f.value for f in functionals))
        raise ModelError(
            f"forward joins outputs that are the {names} of all timesteps; make them "
            "the same of each"
        )
    rows = [
        replace(joined, sources=parts)
        for parts in zip(*(parts for _, parts in found), strict=True)
    ]
    unrolled.items += rows
    unrolled.items.remove(joined)
    heads = tuple(
        replace(answer, n_outputs=shape_of(source)[-1])  # type: ignore[arg-type] # as above
        for (answer, _), source in zip(found, joined.sources, strict=True)
    )
    first = heads[0]
    is_one = all(h.scale == first.scale and not h.ends for h in heads)
    return replace(
        first,
        n_outputs=0,
        is_mean=all(head.is_mean for head in heads),
        heads=() if is_one else heads,
    ), tuple(rows)


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


def _answer_of(whole: Part, most: int) -> tuple[WholeAnswer, tuple[Part, ...]]:
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
