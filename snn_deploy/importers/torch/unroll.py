"""Take a recorded forward apart into items, each a value of one timestep.

A loop over timesteps and an axis of timesteps give the same items: a layer that is
called with ``(time, batch, ...)`` gives one for each timestep.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import AnyArray, FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch import calls as rules
from snn_deploy.importers.torch.axes import (
    TimedTensor,
    refused,
    regrouped,
    stacked,
)
from snn_deploy.importers.torch.calls import Maker
from snn_deploy.importers.torch.frameworks.framework import TimeAxis
from snn_deploy.importers.torch.frameworks.registry import (
    DEPLOYABLE,
    framework_of,
    is_cell,
)
from snn_deploy.importers.torch.record import (
    LAYER,
    Call,
    Record,
    TracedValue,
    mapped,
    values_in,
)
from snn_deploy.importers.torch.shapes import SHAPES
from snn_deploy.importers.torch.timestep import Item

RULES = {**rules.RULES, **SHAPES}
OWN_STATES = (
    "hand every neuron layer its own state back, as in: out, state1 = lif1(x, state1); "
    "return out, states"
)
INPUT_AXES = {
    TimeAxis.NONE: ("N",),
    TimeAxis.FIRST: ("T", "N"),
    TimeAxis.SECOND: ("N", "T"),
    TimeAxis.LAST: ("N", "T"),  # behind the features
    TimeAxis.MERGED: ("NT",),
}


class Unrolled:
    """The items of a record.

    Parameters
    ----------
    record : Record
    axes : sequence of TimeAxis
        Where each input of forward has its timesteps.
    n, n_timesteps : int
        Inputs in the batch, and timesteps on that axis.
    """

    def __init__(
        self, record: Record, axes: Sequence[TimeAxis], n: int, n_timesteps: int
    ) -> None:
        self.n = n
        self.items: list[Item] = []  # in the order in which they were computed
        self.outputs: list[TimedTensor | ModelError] = []
        self._signals: dict[TracedValue, TimedTensor | ModelError] = {}
        self._kept: dict[Item, tuple[AnyArray, tuple[str, ...], int]] = {}
        self._last: dict[nn.Module, Item] = {}  # of each module of neurons
        self._n_calls = len(record.inputs)
        for index, values in enumerate(record.inputs):
            for number, axis in enumerate(axes):
                self._input(values[number], (number, index), axis, n_timesteps)
        for call in record.calls:
            self._read(call)
        for returned in record.outputs:
            self.outputs.append(self._output(returned))

    def _input(
        self,
        value: TracedValue,
        place: tuple[int, int],
        axis: TimeAxis,
        n_timesteps: int,
    ) -> None:
        number, index = place  # of the inputs, and of the forwards
        n_axes = len(INPUT_AXES[axis])
        shape = value.shape[n_axes:]
        axes = (*INPUT_AXES[axis], *("F" for _ in shape))
        if axis is TimeAxis.LAST:
            shape = value.shape[1:-1]
            axes = ("N", *("F" for _ in shape), "T")
        is_constant = axis is TimeAxis.NONE and self._n_calls == 1
        times: Sequence[int | None] = [None] if is_constant else [index]
        if axis is not TimeAxis.NONE:
            times = range(n_timesteps)
        items = tuple(
            Item(
                operation="input",
                options={"number": number, "timestep": t},
                shape=shape,
            )
            for t in times
        )
        self.items += items
        self._signals[value] = TimedTensor(items=items, axes=axes, n=self.n)

    def _output(self, returned: Any) -> TimedTensor | ModelError:
        """Return what a forward gives first: the output, before its states."""
        while isinstance(returned, tuple | list | dict) and returned:
            if isinstance(returned, list) and self._n_calls == 1:
                whole = self._stacked(returned)
                if whole is not None:
                    return whole
            parts = returned.values() if isinstance(returned, dict) else returned
            returned = next(iter(parts))
        if not isinstance(returned, TracedValue) or returned.constant is not None:
            return ModelError(
                "forward returns no layer's output; return it, or it and the states"
            )
        signal = self._signals[returned]
        self._keep(returned, signal)
        return signal

    def _stacked(self, values: Sequence[Any]) -> TimedTensor | None:
        """Return the outputs of all timesteps, if that is what a list holds."""
        signals = [self._signals.get(v) for v in values if isinstance(v, TracedValue)]
        known = [s for s in signals if isinstance(s, TimedTensor)]
        shapes = {(s.axes, s.shape) for s in known}
        if len(known) != len(values) or len(known) < 2 or len(shapes) > 1:
            return None
        for value, signal in zip(values, known, strict=True):
            self._keep(value, signal)
        return stacked(known, 0)

    def signals(self) -> Iterable[TimedTensor | ModelError]:
        """Return what all values of the forward are, or why they are nothing."""
        return self._signals.values()

    # calls

    def _read(self, call: Call) -> None:
        results = list(values_in(call.results))
        found: Any
        poisoned = [
            given
            for value in call.values
            if isinstance(given := self._signals.get(value), ModelError)
        ]
        try:
            if poisoned:
                raise poisoned[0]
            found = self._layer(call) if call.module else self._function(call)
        except ModelError as error:
            where = call.path if call.module else f"forward calls {call.operation}"
            found = error if poisoned else type(error)(f"{where}: {error}")
        if isinstance(found, ModelError | TimedTensor):
            for value in results:
                self._signals.setdefault(value, found)
                self._keep(value, found)
            return
        for value, signal in zip(results, found, strict=True):
            self._signals.setdefault(value, signal)
            self._keep(value, signal)

    def signal(self, value: TracedValue) -> TimedTensor | torch.Tensor:
        """Return what a value is: a constant, or a tensor of the forward."""
        if value.constant is not None:
            return value.constant
        found = self._signals[value]
        assert isinstance(found, TimedTensor)
        return found

    def _function(self, call: Call) -> TimedTensor | list[TimedTensor | ModelError]:
        arguments = mapped(self._resolved, call.arguments)
        options = mapped(self._resolved, dict(call.options))
        make = Maker(self.items, call, self.n)
        rule = RULES.get(call.operation)
        if rule is None:
            raise ModelError(f"cannot be deployed; use one of {', '.join(DEPLOYABLE)}")
        try:
            found: TimedTensor | list[TimedTensor | ModelError]
            found = rule(make, *arguments, **options)
            return found
        except TypeError as error:
            raise ModelError(
                f"is called with arguments that cannot be deployed ({error}); give it "
                "plain numbers"
            ) from error

    def _resolved(self, item: Any) -> Any:
        return self.signal(item) if isinstance(item, TracedValue) else item

    def _keep(self, value: TracedValue, signal: TimedTensor | ModelError) -> None:
        """Note what the items of a value are in numbers, where those are known."""
        if value.kept is None or not isinstance(signal, TimedTensor):
            return
        for index, item in enumerate(signal.items):
            if isinstance(item, Item):
                self._kept.setdefault(item, (value.kept, signal.axes, index))

    def numbers(self, item: Item) -> FloatArray | None:
        """Return the values of an item, ``(n, shape...)``, if they were kept."""
        if item not in self._kept:
            return None
        values, axes, index = self._kept[item]
        n = self.n
        for axis, label in reversed(list(enumerate(axes))):
            if label == "T":
                values = np.take(values, [index], axis)
            elif label in ("TN", "NT"):
                times = values.shape[axis] // n
                split = (times, n) if label == "TN" else (n, times)
                sizes = (*values.shape[:axis], *split, *values.shape[axis + 1 :])
                times_axis = axis if label == "TN" else axis + 1
                values = np.take(values.reshape(sizes), [index], times_axis)
        return np.asarray(values.reshape(n, -1), dtype=np.float64)

    # modules that are taken whole

    def _layer(self, call: Call) -> TimedTensor | list[TimedTensor | ModelError]:
        module = call.module
        assert module is not None
        if not call.arguments:
            raise ModelError("names its argument; call it as layer(x)")
        first, *others = call.arguments
        make = Maker(self.items, call, self.n)
        x = self._resolved(first)
        if not isinstance(x, TimedTensor):
            raise ModelError("is fed a constant; feed it an output")
        if is_cell(module):
            return self._cell(call, x, others, make)
        framework = framework_of(module)
        if framework.is_sum(module):
            return rules.elementwise(make, "add", [x, *map(self._resolved, others)])
        if framework.is_passed(module):
            return x
        if isinstance(module, nn.Softmax | nn.LogSoftmax):
            return rules.softmax(make, x, module)
        if isinstance(module, nn.Flatten | nn.Unflatten):
            (result,) = values_in(call.results)
            is_flat = isinstance(module, nn.Flatten)
            made_by = make.flatten_of(module) if is_flat else make
            return regrouped(x, result.shape, made_by)
        result, *others = values_in(call.results)
        unknown = ModelError(f"{call.path}: forward takes more than one result")
        found = rules.layer(make, x, module, result.shape)
        return [found, *(unknown for _ in others)]

    def _cell(
        self, call: Call, x: TimedTensor, states: Sequence[Any], make: Maker
    ) -> list[TimedTensor | ModelError]:
        """Return what neurons give: their output, and states of the last timestep."""
        module = call.module
        assert module is not None
        axis = framework_of(module).time_axis(module)
        wanted = INPUT_AXES[axis]
        if x.axes[: len(wanted)] != wanted or set(x.axes[len(wanted) :]) != {"F"}:
            raise refused(rules.other_time(axis, x.axes, framework_of(module).advice))
        self._check_states(module, list(values_in((states, dict(call.options)))))
        results = list(values_in(call.results))
        is_list = isinstance(call.results, list) and len(results) == len(x.items)
        n_axes = 1 if is_list else len(wanted)  # a tensor for each timestep
        features = results[0].shape[n_axes:]
        cells = tuple(make(LAYER, (item,), features) for item in x.items)
        self._last[module] = cells[-1]
        axes = (*wanted[:n_axes], *("F" for _ in features))
        if is_list:
            axes = ("N", *axes[1:])
            return [TimedTensor(items=(cell,), axes=axes, n=self.n) for cell in cells]
        signals: list[TimedTensor | ModelError] = []
        signals.append(TimedTensor(items=cells, axes=axes, n=self.n))
        for index, value in enumerate(results[1:], start=1):
            part = make("part", cells[-1:], value.shape[1:], index=index)
            axes = ("N", *("F" for _ in value.shape[1:]))
            signals.append(TimedTensor(items=(part,), axes=axes, n=self.n))
        return signals

    def _check_states(self, module: nn.Module, values: Sequence[TracedValue]) -> None:
        """Raise an error unless states are those that the module gave last, or rest."""
        before = self._last.get(module)
        for value in values:
            found = self.signal(value)
            if isinstance(found, torch.Tensor):
                if before is not None:
                    raise refused("starts anew from given states; " + OWN_STATES)
                continue
            (item, *_) = found.items
            is_own = item is before or (
                isinstance(item, Item)
                and item.operation == "part"
                and item.sources[0] is before
            )
            if not is_own or len(found.items) > 1:
                raise refused("is given a state that is not its own; " + OWN_STATES)
