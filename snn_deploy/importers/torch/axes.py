"""What stands on the axes of a tensor: the batch, timesteps, and features.

A tensor of a forward is one or several *items*, values of one timestep without the
batch, in a layout: ``("T", "N", "F")`` are timesteps, batch and a row of features. A
merged axis names both, the outer one first (``"TN"``); an axis of length 1 that is
neither is ``""``. Whatever reshapes a tensor changes its layout, its items, or both.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from snn_deploy.arrays import Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.timestep import Item

Part = Item | float | torch.Tensor  # of one timestep; a number or tensor is a constant
Make = Callable[..., Item]  # (operation, sources, shape, **options)
MIXED = (
    "mixes the inputs of a batch, or timesteps; keep each of them an axis of its own"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class TimedTensor:
    """A tensor of a forward."""

    items: tuple[Part, ...]  # one for each timestep on the axis "T"; else one
    axes: tuple[str, ...]
    n: int  # inputs in the batch

    @property
    def time(self) -> int | None:
        """Return the axis that the timesteps have to themselves, if there is one."""
        return self.axes.index("T") if "T" in self.axes else None

    @property
    def has_time(self) -> bool:
        """Return whether an axis has timesteps, alone or beside the batch."""
        return any("T" in axis for axis in self.axes)

    @property
    def shape(self) -> Shape:
        """Return the shape of what one timestep gives for one input."""
        return shape_of(self.items[0])

    @property
    def features(self) -> tuple[int, ...]:
        """Return the axes of features."""
        return tuple(i for i, axis in enumerate(self.axes) if axis == "F")

    def feature(self, axis: int) -> int:
        """Return which axis of an item an axis is."""
        return self.features.index(axis)

    def each(self, function: Callable[[Part], Part], **changes: Any) -> "TimedTensor":
        """Return what ``function`` makes of every item; of the same ones, the same."""
        made: dict[int, Part] = {}
        for item in self.items:
            if id(item) not in made:
                made[id(item)] = function(item)
        items = tuple(made[id(item)] for item in self.items)
        return replace(self, items=items, **changes)


def shape_of(part: Part) -> Shape:
    """Return the shape of a part."""
    if isinstance(part, Item):
        return part.shape
    return tuple(part.shape) if isinstance(part, torch.Tensor) else ()


_NAMES = {"T": "time", "N": "batch", "F": "features", "": "1"}


def named(axes: Sequence[str]) -> str:
    """Return axes in words."""
    return ", ".join(
        _NAMES.get(a) or " * ".join(_NAMES[part] for part in a) for a in axes
    )


class OtherAxesError(ModelError):
    """A forward takes another axis for that of the batch, or of the timesteps."""


def refused(what: str) -> ModelError:
    """Return the error for a call that does ``what``, which the caller completes."""
    return OtherAxesError(what) if what.endswith(MIXED) else ModelError(what)


def regrouped(signal: TimedTensor, target: Shape, make: Make) -> TimedTensor:
    """Return a tensor whose values, in their order, are put into another shape."""
    tokens = [token for axis in _tokens(signal) for token in axis]
    axes = tuple(_taken(tokens, size) for size in target)
    shape = tuple(size for size, axis in zip(target, axes, strict=True) if axis == "F")
    if shape == signal.shape:
        return replace(signal, axes=axes)
    name = "flatten" if len(shape) == 1 else "view"
    return signal.each(lambda item: make(name, (item,), shape), axes=axes)


def _taken(tokens: list[tuple[str, int]], size: int) -> str:
    """Take what fills an axis of this size off the front; return what is on it."""
    label, taken = "", 1
    if size == 1 and tokens and tokens[0][1] == 1:
        return tokens.pop(0)[0]
    while taken < size:
        if not tokens:
            raise refused(MIXED)
        kind, length = tokens.pop(0)
        if kind == "F" and taken * length > size:
            tokens.insert(0, ("F", _rest_of(length, size, taken)))
            length = size // taken
        taken *= length
        if taken > size or ("F" in (kind, label) and label not in ("", kind)):
            raise refused(MIXED)
        label = "F" if kind == "F" else label + kind
    return label


def _rest_of(length: int, size: int, taken: int) -> int:
    """Return what is left of an axis of which a part completes another one."""
    part = size // taken
    if size % taken or length % part:
        raise refused(MIXED)
    return length // part


def _tokens(signal: TimedTensor) -> list[list[tuple[str, int]]]:
    """Return what is on each axis, outermost first, and how many of it."""
    sizes = {"T": len(signal.items), "N": signal.n}
    left = list(signal.shape)
    return [
        [("F", left.pop(0))] if axis == "F" else [(kind, sizes[kind]) for kind in axis]
        for axis in signal.axes
    ]


def permuted(signal: TimedTensor, order: Sequence[int], make: Make) -> TimedTensor:
    """Return a tensor with its axes in another order."""
    axes = tuple(signal.axes[i] for i in order)
    features = tuple(signal.feature(i) for i in order if signal.axes[i] == "F")
    if features == tuple(sorted(features)):
        return replace(signal, axes=axes)
    shape = tuple(signal.shape[i] for i in features)
    return signal.each(
        lambda item: make("permute", (item,), shape, dims=features), axes=axes
    )


def with_axis(signal: TimedTensor, axis: int) -> TimedTensor:
    """Return a tensor with one more axis, of length 1."""
    axes = (*signal.axes[:axis], "", *signal.axes[axis:])
    return replace(signal, axes=axes)


def without_axes(signal: TimedTensor, axes: Sequence[int], make: Make) -> TimedTensor:
    """Return a tensor without some axes, all of length 1."""
    kept = tuple(a for i, a in enumerate(signal.axes) if i not in axes)
    gone = [signal.feature(i) for i in axes if signal.axes[i] == "F"]
    if any(signal.axes[i] not in ("", "F") for i in axes):
        raise refused(MIXED)
    if not gone:
        return replace(signal, axes=kept)
    shape = tuple(s for i, s in enumerate(signal.shape) if i not in gone)
    return signal.each(lambda item: make("view", (item,), shape), axes=kept)


def repeated(
    signal: TimedTensor, target: Shape, make: Make, *, tile: bool
) -> TimedTensor:
    """Return a tensor that is repeated along some axes, to ``target``.

    Along an axis of length 1 that is no feature, the same value becomes timesteps.
    """
    new = len(target) - len(signal.axes)
    signal = replace(signal, axes=("",) * new + signal.axes)
    for axis, size in enumerate(target):
        times = size // length(signal, axis)
        if times > 1:
            signal = _repeated_along(signal, axis, times, make, tile=tile)
    return signal


def _repeated_along(
    signal: TimedTensor, axis: int, times: int, make: Make, *, tile: bool
) -> TimedTensor:
    label = signal.axes[axis]
    if label == "F":
        i = signal.feature(axis)
        shape = (*signal.shape[:i], times * signal.shape[i], *signal.shape[i + 1 :])
        return signal.each(
            lambda item: make("repeat", (item,), shape, dim=i, times=times, tile=tile)
        )
    if signal.has_time or label not in ("", "N"):
        raise refused("repeats what already has timesteps; repeat it once")
    whole = ("TN" if tile else "NT") if label == "N" else "T"
    axes = (*signal.axes[:axis], whole, *signal.axes[axis + 1 :])
    return replace(signal, items=signal.items * times, axes=axes)


def length(signal: TimedTensor, axis: int) -> int:
    """Return how long an axis is."""
    return math.prod(size for _, size in _tokens(signal)[axis])


def stacked(signals: Sequence[TimedTensor], axis: int) -> TimedTensor:
    """Return tensors of one timestep each, along a new axis."""
    first = signals[0]
    if any(s.has_time or s.axes != first.axes for s in signals):
        raise refused(
            "stacks values that have timesteps, or different axes; stack what one "
            "timestep gives"
        )
    axes = (*first.axes[:axis], "T", *first.axes[axis:])
    return replace(first, items=tuple(s.items[0] for s in signals), axes=axes)


def joined(signals: Sequence[TimedTensor], axis: int, make: Make) -> TimedTensor:
    """Return tensors one behind the other along an axis."""
    first = signals[0]
    labels = {s.axes[axis] for s in signals}
    if labels == {"F"}:
        return _joined_features(signals, axis, make)
    rest = {(*s.axes[:axis], *s.axes[axis + 1 :]) for s in signals}
    is_time = labels <= {"", "T"} or labels <= {"N", "TN"}
    if len(rest) > 1 or not is_time:
        raise refused(MIXED)
    whole = "T" if labels <= {"", "T"} else "TN"
    axes = (*first.axes[:axis], whole, *first.axes[axis + 1 :])
    items = tuple(item for s in signals for item in s.items)
    return replace(first, items=items, axes=axes)


def _joined_features(
    signals: Sequence[TimedTensor], axis: int, make: Make
) -> TimedTensor:
    aligned = aligned_items(signals)
    first, i = signals[0], signals[0].feature(axis)
    total = sum(s.shape[i] for s in signals)
    shape = (*first.shape[:i], total, *first.shape[i + 1 :])
    items = tuple(make("cat", parts, shape, dim=i) for parts in aligned)
    longest = max(signals, key=lambda s: len(s.items))
    return replace(longest, items=items)


def aligned_items(signals: Sequence[TimedTensor]) -> list[tuple[Part, ...]]:
    """Return the items of several tensors side by side, timestep by timestep."""
    n_items = max(len(s.items) for s in signals)
    if any(len(s.items) not in (1, n_items) for s in signals):
        counts = " and ".join(str(len(s.items)) for s in signals)
        raise refused(f"combines {counts} timesteps; give both the same number")
    whole = [s.items if len(s.items) == n_items else s.items * n_items for s in signals]
    return list(zip(*whole, strict=True))


def common_axes(signals: Sequence[TimedTensor]) -> tuple[str, ...]:
    """Return the layout of what is computed from tensors element by element."""
    n_axes = max(len(s.axes) for s in signals)
    padded = [("",) * (n_axes - len(s.axes)) + s.axes for s in signals]
    common = []
    for labels in zip(*padded, strict=True):
        found = {label for label in labels if label}
        if len(found) > 1:
            raise refused(MIXED)
        common.append(found.pop() if found else "")
    if len({tuple(i for i, a in enumerate(p) if a == "F") for p in padded}) > 1:
        raise refused(
            "combines values of different shapes; give both the same number of axes"
        )
    return tuple(common)


def constant_items(
    tensor: torch.Tensor, axes: tuple[str, ...], n_items: int
) -> tuple[Part, ...]:
    """Return a constant as it meets one timestep, for a layout it broadcasts to."""
    missing = len(axes) - tensor.dim()
    if missing < 0:
        raise refused("combines values of different shapes; give both the same axes")
    tensor = tensor.reshape((1,) * missing + tuple(tensor.shape))
    times = []
    for i in range(n_items):
        part = tensor
        for axis in reversed(range(len(axes))):
            label = axes[axis]
            if label == "F":
                continue
            index = i if label == "T" and part.shape[axis] > 1 else 0
            if label != "T" and not _is_same_along(part, axis):
                raise refused(
                    "uses a constant that differs between the inputs of a batch; make "
                    "it the same for all"
                )
            part = part.select(axis, index)
        times.append(part)
        if all(axes[a] != "T" or tensor.shape[a] == 1 for a in range(len(axes))):
            times *= n_items
            break
    return tuple(_plain(part) for part in times)


def _is_same_along(tensor: torch.Tensor, axis: int) -> bool:
    first = tensor.narrow(axis, 0, 1)
    return tensor.shape[axis] == 1 or bool((tensor == first).all())


def _plain(part: torch.Tensor) -> Part:
    """Return a constant, as a number where all its values are the same."""
    if part.numel() and bool((part == part.reshape(-1)[0]).all()):
        return float(part.reshape(-1)[0])
    return part
