"""Filters over timesteps: a sum of layers, each of which hears an earlier timestep."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from snn_deploy.importers.torch.axes import Part, TimedTensor, refused
from snn_deploy.importers.torch.timestep import Item

TIMED = ("N", "F", "T")


def padded(x: TimedTensor, pad: Sequence[int], mode: str, value: Any) -> TimedTensor:
    """Return timesteps with others before and behind, in which nothing arrives."""
    before, behind, *others = pad
    if mode != "constant" or value not in (None, 0) or any(others):
        raise refused("pads timesteps with something else than 0, or features too")
    if before < 0 or behind < 0:
        raise refused("cuts timesteps off; take a slice of them")
    return replace(x, items=(*[0.0] * before, *x.items, *[0.0] * behind))


def filtered(make: Any, x: TimedTensor, given: dict[str, Any]) -> TimedTensor:
    """Return what a convolution over timesteps gives, ``(out, in, n_taps)``.

    A tap is a matrix of weights, whose input is so many timesteps late.
    """
    weight, bias = given["weight"], given.get("bias")
    n_taps, dilation = weight.shape[-1], _number(given.get("dilation", 1))
    if _number(given.get("stride", 1)) != 1 or given.get("groups", 1) != 1:
        raise refused("skips timesteps, or has groups; filter them one by one, as one")
    x = padded(x, [_number(given.get("padding", 0))] * 2, "constant", 0)
    first = next(i for i, part in enumerate(x.items) if isinstance(part, Item))
    reach = dilation * (n_taps - 1)
    if first < reach:
        raise refused(
            f"hears {reach - first} timesteps that are yet to come, which no chip "
            f"does; write x = torch.nn.functional.pad(x, ({reach}, 0)) before it, and "
            "padding=0"
        )
    taps = [tap for tap in range(n_taps) if weight[..., tap].any()] or [n_taps - 1]
    shape = (weight.shape[0],)

    def tapped(tap: int, part: Part) -> Item:
        constant = bias if tap == taps[-1] else None
        matrix = weight[..., tap].contiguous()
        item: Item = make("linear", (part,), shape, weight=matrix, bias=constant)
        return item

    items = []
    for start in range(len(x.items) - reach):
        total, *rest = (tapped(tap, x.items[start + dilation * tap]) for tap in taps)
        for item in rest:
            total = make("add", (total, item), shape)
        items.append(total)
    return replace(x, items=tuple(items))


def options_of(module: nn.Conv1d) -> dict[str, Any]:
    """Return a convolution as its function is called."""
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise refused("pads timesteps itself; pad them by torch.nn.functional.pad")
    names = ("weight", "bias", "stride", "padding", "dilation", "groups")
    return {
        name: value.detach() if isinstance(value, torch.Tensor) else value
        for name in names
        for value in (getattr(module, name),)
    }


def _number(size: Any) -> int:
    return int(size if isinstance(size, int) else size[0])
