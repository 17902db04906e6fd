"""How a forward is called, and what one of its timesteps is.

A forward may be one timestep, which is called again and again; or have all of them
inside, for an input that it shows to itself; or take them on an axis of its input. Each
form is tried, the likely one first: the module is run on random inputs, and the record
of what it did is cut into timesteps.
"""

import inspect
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from snn_deploy.arrays import FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.answers import WholeAnswer, answer_in
from snn_deploy.importers.torch.axes import OtherAxesError, Part, TimedTensor
from snn_deploy.importers.torch.collected import INPUT_NAME, Layers
from snn_deploy.importers.torch.delays import OneTimestep
from snn_deploy.importers.torch.encoders import without_encoder
from snn_deploy.importers.torch.fold import fold
from snn_deploy.importers.torch.frameworks.framework import (
    Framework,
    TimeAxis,
    has_hooks,
)
from snn_deploy.importers.torch.frameworks.registry import (
    DEPLOYABLE,
    framework_of,
    is_cell,
    mixed_modes,
    plain_tensor,
    rest,
)
from snn_deploy.importers.torch.layers import is_known, read_layer
from snn_deploy.importers.torch.record import LAYER, Record, Recorder
from snn_deploy.importers.torch.streams import REWRITE, rewritten
from snn_deploy.importers.torch.taken import (
    Draw,
    Form,
    Taken,
    forms_of,
    free_size,
    if_several,
    most_work,
    parameters_of,
    timed,
)
from snn_deploy.importers.torch.timestep import Item
from snn_deploy.importers.torch.unroll import OWN_STATES, Unrolled
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.inputs import with_places

SMALL = 4096  # values of an input, up to which more inputs are tried
OF_TYPES = re.compile("dtype|double", re.IGNORECASE)  # in torch's errors
MANY, FEW = (6, 8), (2, 3)  # inputs and timesteps
MOST_VALUES = 1 << 22  # of all inputs, where the timesteps of forward are looked for
CHEAP = 1 << 28  # multiplications of a timestep, up to which more of them are tried
TURNED = {
    TimeAxis.FIRST: ("batch, time", "x = x.transpose(0, 1)"),
    TimeAxis.SECOND: ("time, batch", "x = x.transpose(0, 1)"),
    TimeAxis.LAST: ("batch, time", "x = x.movedim(1, -1)"),
}
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """A forward that is understood, and the run that it was understood from."""

    timestep: OneTimestep
    axis: TimeAxis
    n_timesteps: int  # of the run
    has_all: bool  # forward has all timesteps inside, so that their number is fixed
    answer: WholeAnswer | None  # of all timesteps; without, forward gives that of each
    inputs: FloatArray  # (n, n_timesteps, input_shape...)
    unrolled: Unrolled
    returned: tuple[Part, ...]  # of each timestep; or the answer
    drawn: Item | None = None  # spikes that it draws from its input

    def gave(self, index: int) -> FloatArray:
        """Return what forward returned for timestep ``index``, or as the answer."""
        part = self.returned[index]
        if isinstance(part, Item):
            found = self.unrolled.numbers(part)
            assert found is not None
            return found
        row = torch.as_tensor(part, dtype=torch.float64)
        shape = (self.unrolled.n, *self.timestep.output.shape)
        constant: FloatArray = row.expand(shape).flatten(1).numpy()
        return constant

    def numbers(self, item: Item, index: int) -> FloatArray | None:
        """Return what an item of the timestep was in timestep ``index``, if known."""
        row = self.timestep.rows[item]
        return self.unrolled.numbers(row[index]) if index in row else None


def is_whole(module: nn.Module) -> bool:
    """Return whether a module is a layer, which is not looked into."""
    kind = type(module)
    if is_cell(module):
        return True
    if has_hooks(module):
        return False
    if kind.__module__.startswith("torch.nn."):
        return not issubclass(kind, CONTAINERS)
    framework = framework_of(module)
    if framework.is_whole(module):
        return True
    if not is_known(module):
        return False
    known: Any = next(k for k in kind.__mro__ if k in read_layer.registry)
    return kind.forward is known.forward or framework.repeats(module, known)


def _is_readable(module: nn.Module) -> bool:
    """Return whether a module that is taken whole may have a counterpart."""
    framework = framework_of(module)
    is_layer = is_known(module) or framework.is_whole(module)
    return is_cell(module) or is_layer or framework.is_passed(module)


def read_forward(
    model: nn.Module,
    taken: Taken,
    timesteps: int | None,
    axis: TimeAxis,
    framework: Framework,
    draw: Draw,
) -> Reading:
    """Return how ``model`` is called, and one timestep of it.

    Parameters
    ----------
    model : nn.Module
        A copy in double precision, in evaluation mode; it is left at rest.
    taken : Taken
        Its inputs.
    timesteps : int, optional
        As the user says.
    axis, framework : TimeAxis, Framework
        Where its layers take timesteps, and the framework that says so.
    draw : callable
        Returns random inputs, ``(n, n_timesteps)`` of them.

    Raises
    ------
    ModelError
        If it can be read in no form; the error is that of the likely one.
    """
    reader = _Reader(model, taken, timesteps, draw)
    errors: list[tuple[int, ModelError]] = []
    for form in forms_of(axis, len(taken.shapes)):
        try:
            found = reader.read(form)
        except _CallError as error:
            errors.append((2, error))
        except OtherAxesError as error:
            errors.append((1, error))
        except ModelError as error:
            errors.append((0, error))
        else:
            timestep, drawn = without_encoder(found.timestep)
            return replace(found, timestep=timestep, drawn=drawn)
    _, likely = min(errors, key=lambda pair: pair[0])
    # advice speaks of one input
    raise likely if taken.inputs else _advised(likely, reader, axis)


def _advised(likely: ModelError, reader: "_Reader", axis: TimeAxis) -> ModelError:
    """Return the error with the lines that the user should write."""
    if isinstance(likely, OtherAxesError) and axis in TURNED:
        given, line = TURNED[axis]
        return ModelError(
            f"{likely}; the neurons take ({axis.value}, ...): if x is ({given}, ...), "
            f"write {line} first"
        )
    if REWRITE in str(likely) and reader.paths:
        return ModelError(f"{likely}: {rewritten(reader.model, reader.paths)}")
    if reader.needed and isinstance(likely, _CallError | OtherAxesError):
        return ModelError(f"{likely}; {if_several(reader.model, reader.taken.shape)}")
    return likely


class _CallError(ModelError):
    """The module's own code has raised an error."""


class _Reader:
    def __init__(
        self, model: nn.Module, taken: Taken, timesteps: int | None, draw: Draw
    ) -> None:
        self.model, self.timesteps, self.draw = model, timesteps, draw
        self.taken = taken
        self.is_small = math.prod(taken.shape) <= SMALL
        self.n, self.n_timesteps = FEW
        if self.is_small:
            self.n = free_size(model, taken, MANY[0])
        if self.is_small or most_work(model, taken) <= CHEAP:
            self.n_timesteps = free_size(model, taken, MANY[1], self.n)
        self.paths: list[str] = []  # of the layers that were called

    def read(self, form: Form) -> Reading:
        """Return the forward as it is read where timesteps lie so in its inputs."""
        if {*form} == {TimeAxis.NONE}:
            return self._without_axis()
        numbers = [self.n_timesteps, self.timesteps or self.n_timesteps]
        numbers = list(dict.fromkeys(numbers))
        while True:
            number = numbers.pop(0)
            try:
                is_first = number == self.n_timesteps
                return self._with_axis(form, number, has_all=not is_first)
            except _OtherNumberError as error:
                return self._with_axis(form, error.number, has_all=True)
            except ModelError as error:
                more = 2 * number
                if not numbers and _needs_more(error, number) and self._is_few(more):
                    numbers.append(more)
                if not numbers:
                    raise

    def _is_few(self, n_timesteps: int) -> bool:
        """Return whether inputs of so many timesteps are drawn at once."""
        return self.n * n_timesteps * math.prod(self.taken.shape) <= MOST_VALUES

    # timesteps on an axis of the input

    def _with_axis(
        self, form: Form, n_timesteps: int, *, has_all: bool = False
    ) -> Reading:
        places = zip(form, with_places(self.taken.inputs), strict=False)
        still = [place for axis, (_, place) in places if axis is TimeAxis.NONE]
        inputs = self.draw(self.n, n_timesteps, still)
        parts = self.taken.parted(torch.as_tensor(inputs))
        given = [timed(x, a).contiguous() for x, a in zip(parts, form, strict=True)]
        for module in self.model.modules():
            framework_of(module).set_sizes(module, self.n, n_timesteps)
        record = self._record(lambda recorder: recorder.call(given))
        unrolled = self._unrolled(record, form, n_timesteps)
        output = _signal(unrolled.outputs[0])
        axis = next(axis for axis in form if axis is not TimeAxis.NONE)
        return self._of_all(unrolled, output, axis, n_timesteps, inputs, has_all)

    def _of_all(
        self,
        unrolled: Unrolled,
        output: TimedTensor,
        axis: TimeAxis,
        n_timesteps: int,
        inputs: FloatArray,
        has_all: bool,
    ) -> Reading:
        """Return a reading of one call that goes through all timesteps."""
        answer, column = None, output.items
        if not output.has_time:
            (whole,) = output.items
            counts = _counts(unrolled)
            most = n_timesteps if axis is not TimeAxis.NONE else max(counts.values())
            answer, column = answer_in(whole, unrolled, most)
        number = len(column)
        seeds: Sequence[Sequence[Item]] = ()
        if answer is not None and answer.functional is Functional.LAST:
            rows = _rows(unrolled)
            number = max(map(len, rows), default=1)
            seeds = [row for row in rows if len(row) == number]
        if axis is not TimeAxis.NONE and number != n_timesteps:
            raise _OtherNumberError(number)
        return Reading(
            timestep=_folded(column, unrolled, seeds),
            axis=axis,
            n_timesteps=number,
            has_all=has_all or axis is TimeAxis.NONE,
            answer=answer,
            inputs=inputs,
            unrolled=unrolled,
            returned=output.items,
        )

    # one timestep, or all of them inside

    def _without_axis(self) -> Reading:
        inputs = self.draw(self.n, self.n_timesteps, ())
        first = self._at(inputs, 0)
        states = self._initial_states()
        record = self._record(lambda r: r.call(first, *states))
        unrolled = self._unrolled(record, self._timeless, 1)
        output = unrolled.outputs[0]
        if not isinstance(output, TimedTensor) or not _has_all(unrolled, output):
            return self._stepped(inputs)
        try:
            return self._of_all(
                unrolled, output, TimeAxis.NONE, 1, inputs[:, :1], has_all=True
            )
        except ModelError as error:
            counts = [(n, path) for path, n in _counts(unrolled).items() if n > 1]
            if not counts:
                raise
            times, path = max(counts)
            raise ModelError(
                f"{path}: forward calls this layer {times} times, as a loop over "
                f"timesteps does, but none can be cut out: {error}"
            ) from error

    @property
    def _timeless(self) -> Form:
        """The form of a forward that is one timestep."""
        return (TimeAxis.NONE,) * len(self.taken.shapes)

    def _at(self, inputs: FloatArray, index: int) -> list[torch.Tensor]:
        """Return what forward takes in a timestep."""
        parts = self.taken.parted(torch.as_tensor(inputs))
        return [part[:, index].contiguous() for part in parts]

    def _stepped(self, inputs: FloatArray) -> Reading:
        def run(recorder: Recorder) -> None:
            states = self._initial_states()
            for index in range(self.n_timesteps):
                returned = recorder.call(self._at(inputs, index), *states)
                states = self._states_of(returned)

        try:
            record = self._record(run, "forward(x, states)")
        except _CallError as error:
            raise ModelError(f"{error}, and {OWN_STATES}") from error
        unrolled = self._unrolled(record, self._timeless, self.n_timesteps)
        signals = [_signal(output) for output in unrolled.outputs]
        if any(signal.has_time for signal in signals):
            raise ModelError(
                "forward gives several timesteps for one; return one output"
            )
        column = [signal.items[0] for signal in signals]
        return Reading(
            timestep=_folded(column, unrolled),
            axis=TimeAxis.NONE,
            n_timesteps=self.n_timesteps,
            has_all=False,
            answer=None,
            inputs=inputs,
            unrolled=unrolled,
            returned=tuple(column),
        )

    def _initial_states(self) -> tuple[Any, ...]:
        """Return what a first timestep is given beside the input."""
        return (None,) * len(self.needed)

    @property
    def needed(self) -> list[inspect.Parameter]:
        """What forward must be given beside the input: states, or other inputs."""
        return [p for p in self._parameters() if p.default is inspect.Parameter.empty]

    def _states_of(self, returned: Any) -> tuple[Any, ...]:
        """Return what the next timestep is given of what this one returned."""
        may_be = [p for p in self._parameters() if p.default in (None, p.empty)]
        if not may_be or not isinstance(returned, tuple | list):
            return ()
        states = tuple(returned[1:])
        return states[: len(may_be)]

    def _parameters(self) -> list[inspect.Parameter]:
        """Return what forward takes beside the input."""
        return parameters_of(self.model)[len(self.taken.shapes) :]

    # running it

    def _is_kept(self, module: nn.Module) -> bool:
        """Return whether what a layer gives is compared, beside what forward gives."""
        return self.is_small or is_cell(module)

    def _unrolled(self, record: Record, form: Form, n_timesteps: int) -> Unrolled:
        called = [call.path for call in record.calls if call.module is not None]
        self.paths = list(dict.fromkeys(called)) or self.paths
        return Unrolled(record, form, self.n, n_timesteps)

    def _record(
        self, run: Callable[[Recorder], Any], how: str = "forward(x)"
    ) -> Record:
        """Return what is recorded of a run, which leaves the module as it was."""
        before = [(module, dict(vars(module))) for module in self.model.modules()]
        recorder = Recorder(self.model, is_whole, self._is_kept)
        try:
            with recorder:
                run(recorder)
        except ModelError:
            raise
        except Exception as error:  # the user's code may raise anything
            raise _CallError(self._explained(recorder, error, how)) from error
        finally:
            for module, attributes in before:  # also those that the forward has set
                vars(module).clear()
                vars(module).update(attributes)
            rest(self.model)
        return recorder.record

    def _explained(self, recorder: Recorder, error: Exception, how: str) -> str:
        """Return why a forward came to no end."""
        plain = plain_tensor(self.model)
        if plain and OF_TYPES.search(str(error)):
            return (
                f"{plain} is a plain tensor, which keeps its type; wrap it in "
                "torch.nn.Parameter, or register it as a buffer"
            )
        if recorder.inside is not None and not _is_readable(recorder.inside[1]):
            where, unknown, _ = recorder.inside
            raise ModelError(
                f"{where}: {type(unknown).__name__} cannot be deployed; use one of "
                f"{', '.join(DEPLOYABLE)}"
            )
        try:
            unrolled = Unrolled(recorder.record, self._timeless, self.n, 1)
            for signal in unrolled.signals():
                _signal(signal)
            if recorder.inside is not None:
                path, module, shape = recorder.inside
                layers = Layers(shape[1:] or (1,), is_balanced=False)
                layers.module(module, path, INPUT_NAME)
        except ModelError as reason:
            return "; ".join(filter(None, (str(reason), mixed_modes(self.model))))
        kind, advice = type(self.model).__name__, mixed_modes(self.model)
        advice = advice or f"write it as one timestep, which takes {self.taken}"
        return f"{kind}: forward cannot be traced, {how} fails ({error}); {advice}"


def _needs_more(error: ModelError, n_timesteps: int) -> bool:
    """Return whether a forward went on behind the last of so many timesteps."""
    why = error.__cause__
    return isinstance(why, IndexError) and str(why).endswith(f"size {n_timesteps}")


class _OtherNumberError(ModelError):
    """A forward runs another number of timesteps than it was given."""

    def __init__(self, number: int) -> None:
        super().__init__(f"forward gives {number} timesteps; give as many as it takes")
        self.number = number


def _signal(output: TimedTensor | ModelError) -> TimedTensor:
    if isinstance(output, ModelError):
        raise output
    return output


def _folded(
    column: Sequence[Part], unrolled: Unrolled, seeds: Sequence[Sequence[Item]] = ()
) -> OneTimestep:
    timestep = fold(column, unrolled.items, seeds)
    used = {item.path for item in timestep.items if item.operation == LAYER}
    idle = [path for path in _counts(unrolled) if path not in used]
    if idle:
        raise ModelError(
            f"one layer must be the output, but {', '.join(idle)} lead nowhere beside "
            f"{timestep.output.path}; leave out what the output does not need"
        )
    return timestep


def _has_all(unrolled: Unrolled, output: TimedTensor) -> bool:
    """Return whether one call goes through several timesteps."""
    is_over = any(isinstance(i, Item) and i.options.get("over") for i in unrolled.items)
    counts = _counts(unrolled)
    return output.has_time or is_over or max(counts.values(), default=1) > 1


def _counts(unrolled: Unrolled) -> Counter[str]:
    """Return how often each layer is called that has weights or states."""
    rows = _rows(unrolled)
    return Counter({row[0].path: len(row) for row in rows})


def _rows(unrolled: Unrolled) -> list[list[Item]]:
    """Return the items of each layer that has weights or states."""
    rows: dict[str, list[Item]] = {}
    for item in unrolled.items:
        module = item.module
        if item.operation != LAYER or module is None:
            continue
        if is_cell(module) or any(True for _ in module.parameters()):
            rows.setdefault(item.path, []).append(item)
    return list(rows.values())
