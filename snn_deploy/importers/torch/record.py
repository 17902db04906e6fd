"""Record what the forward of a module does: it is run, and every call is written down.

The module runs on tensors with values, in evaluation mode and double precision, so that
sizes, flags, loops and functions of one's own are plain Python. A call is that of a
function or method of PyTorch, under one name for all its spellings (``x += y``,
``x.add_(y)`` and ``torch.add(x, y)`` are ``add``), or of a module that is taken whole.
A value that is written in place becomes a new value, under every name that the tensor
has, as in PyTorch. Decisions and numbers that are taken from values are refused: they
would be other ones for another input.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from snn_deploy.arrays import AnyArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.operations import (
    COMPARISONS,
    FACTS,
    NUMBERS,
    VIEWS,
    canonical,
    is_random,
    name_of,
    values_used,
)

OUT_OF_PLACE = "write the change out of place, as in out = out + x"
CHANGED = "value that a later call has changed in place, under another shape"
LAYER = "layer"  # the operation of a module that is taken whole
SINGLE = (torch.float16, torch.bfloat16, torch.float32)


@dataclass(eq=False, kw_only=True)
class TracedValue:
    """A tensor of a recorded forward, as it was between two changes."""

    shape: Shape  # with the batch, and time where there is one
    dtype: torch.dtype
    constant: torch.Tensor | None = None  # where no input went into it: its values
    name: str = ""  # of a parameter or a buffer, or of an input
    call: "Call | None" = None  # that gave it; none gives inputs and constants
    kept: AnyArray | None = None  # its values, of a layer, a comparison or an output

    @property
    def is_input(self) -> bool:
        """Return whether the caller gave it."""
        return self.call is None and self.constant is None

    def __repr__(self) -> str:
        kind = "input" if self.is_input else "constant"
        return f"<{self.name or (self.call or kind)} {self.shape}>"


@dataclass(eq=False, kw_only=True)
class Call:
    """A call, with ``TracedValue`` in place of every tensor."""

    operation: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]  # those that were given by name
    results: Any = None  # as the call returned them; of ``setitem``, what it changed
    path: str = ""  # of the module that made the call, or that was called
    module: nn.Module | None = None  # that was taken whole
    is_written: bool = False  # the first argument was changed in place

    def __repr__(self) -> str:
        return f"{self.path}:{self.operation}" if self.path else self.operation

    @property
    def values(self) -> tuple[TracedValue, ...]:
        """Return the values among the arguments."""
        return tuple(values_in((self.arguments, dict(self.options))))


@dataclass(eq=False, kw_only=True)
class Record:
    """What a forward did, or several in a row."""

    calls: list[Call] = field(default_factory=list)  # into which an input went
    inputs: list[tuple[Any, ...]] = field(default_factory=list)  # of each forward
    outputs: list[Any] = field(default_factory=list)  # of each forward


def values_in(item: Any) -> Iterator[TracedValue]:
    """Return the values in nested tuples, lists and dictionaries."""
    if isinstance(item, TracedValue):
        yield item
    elif isinstance(item, tuple | list):
        for part in item:
            yield from values_in(part)
    elif isinstance(item, dict):
        for part in item.values():
            yield from values_in(part)


def mapped(function: Callable[[Any], Any], item: Any) -> Any:
    """Return nested tuples, lists and dictionaries with ``function`` of each leaf."""
    if isinstance(item, tuple | list):
        parts = [mapped(function, part) for part in item]
        if isinstance(item, list):
            return parts
        is_named = hasattr(item, "_fields")
        return type(item)(*parts) if is_named else tuple(parts)
    if isinstance(item, dict):
        return {key: mapped(function, part) for key, part in item.items()}
    if isinstance(item, slice):
        ends = (item.start, item.stop, item.step)
        return slice(*(mapped(function, end) for end in ends))
    return function(item)


_Write = tuple[int, torch.Tensor, TracedValue]  # when, into what, what it is then


class Recorder:
    """Runs a module and records its calls, while it is entered.

    Parameters
    ----------
    model : nn.Module
        Runs as it is, with what it keeps: give a copy, in double precision.
    is_whole : callable
        Whether a module is taken whole, as one call, and not looked into.
    is_kept : callable
        Whether the numbers that such a module gives are kept, as are comparisons.
    """

    def __init__(
        self,
        model: nn.Module,
        is_whole: Callable[[nn.Module], bool],
        is_kept: Callable[[nn.Module], bool] = lambda module: True,
    ) -> None:
        self.model = model
        self.record = Record()
        self._is_kept = is_kept
        self._wholes = {m: path for path, m in model.named_modules() if is_whole(m)}
        self._path: list[str] = []
        self._whole: nn.Module | None = None  # the one that is being run
        self._before: Any = None  # its arguments, and their versions
        self._is_paused = False
        self._now = 0  # counts values, to tell which of two is newer
        self._writes: dict[int, list[_Write]] = {}
        self._constants: list[torch.Tensor] = []  # that carry a note
        self._names = _names(model)
        self._exits = ExitStack()

    def __enter__(self) -> "Recorder":
        default = torch.get_default_dtype()
        self._exits.callback(torch.set_default_dtype, default)
        torch.set_default_dtype(torch.float64)
        for path, module in self.model.named_modules():
            if path:
                self._watch(path, module)
        self._exits.callback(self._forget)
        self._exits.enter_context(torch.no_grad())
        self._exits.enter_context(_Through())  # type: ignore[no-untyped-call] # shows what compiled functions call
        self._exits.enter_context(_Functions(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def call(self, inputs: Sequence[torch.Tensor], *others: Any) -> Any:
        """Call the module with its inputs; return what it returns.

        The others may be what it has returned before; tensors that are not are
        constants.
        """
        self._is_paused = True
        for x in inputs:
            value = TracedValue(shape=tuple(x.shape), dtype=x.dtype, name="input")
            self._note(x, value)
        given = (*inputs, *others)
        self.record.inputs.append(mapped(self._value_or_plain, given))
        self._is_paused = False
        returned = self.model(*inputs, *others)
        self._is_paused = True
        self.record.outputs.append(mapped(self._kept, returned))
        return returned

    def _kept(self, item: Any) -> Any:
        value = self._value_or_plain(item)
        if isinstance(value, TracedValue) and value.kept is None:
            value.kept = _values(item)
        return value

    @property
    def inside(self) -> tuple[str, nn.Module, Shape] | None:
        """The module taken whole that is being run, and the shape of what it got."""
        if self._whole is None:
            return None
        values = list(values_in(self._before[0]))
        return self._path[-1], self._whole, values[0].shape if values else ()

    # modules

    def _watch(self, path: str, module: nn.Module) -> None:
        def before(module: nn.Module, given: Any, options: Any) -> Any:
            if self._whole is None:
                self._path.append(path)
                if module in self._wholes:
                    self._begin(module, given, options)
            return None

        def behind(module: nn.Module, given: Any, options: Any, result: Any) -> None:
            if self._whole in (None, module):
                if self._whole is module:
                    self._end(module, path, result)
                self._path.pop()

        first = module.register_forward_pre_hook(before, prepend=True, with_kwargs=True)
        last = module.register_forward_hook(behind, with_kwargs=True)
        self._exits.callback(first.remove)
        self._exits.callback(last.remove)

    def _begin(self, module: nn.Module, given: Any, options: Any) -> None:
        self._is_paused = True
        tensors = list(_tensors((given, options)))
        versions = [(tensor, tensor._version) for tensor in tensors]
        self._before = (mapped(self._value_or_plain, (given, options)), versions)
        self._whole = module

    def _end(self, module: nn.Module, path: str, result: Any) -> None:
        (given, options), versions = self._before
        self._whole, self._before = None, None
        if any(value.constant is None for value in values_in((given, options))):
            call = Call(
                operation=LAYER,
                arguments=given,
                options=options,
                path=path,
                module=module,
            )
            self._add(call, result, versions)
        self._is_paused = False

    # functions

    def intercept(self, function: Any, given: Any, options: Any) -> Any:
        """Call a function of PyTorch; record it."""
        given, options = mapped(_doubled, given), mapped(_doubled, options)
        name = name_of(function)
        if name in ("float", "half", "bfloat16"):
            function = torch.Tensor.double
        if self._is_paused:
            return function(*given, **options)
        self._is_paused = True
        try:
            return self._recorded(function, name, given, options)
        finally:
            self._is_paused = False

    def _recorded(self, function: Any, name: str, given: Any, options: Any) -> Any:
        if name in FACTS:
            return function(*given, **options)
        tensors = list(_tensors((given, options)))
        values = mapped(self._value_or_plain, (given, options))
        versions = [(tensor, tensor._version) for tensor in tensors]
        is_fixed = not is_random(name, given, options) and all(
            value.constant is not None for value in values_in(values_used(name, values))
        )
        if name.endswith("_") or name == "__setitem__" or "out" in options:
            for value in values_in(values):  # as it is before the change
                if value.constant is not None:
                    value.constant = value.constant.clone()
        if not is_fixed and name in NUMBERS:
            raise self._takes_number(name)
        result = function(*given, **options)
        if is_fixed:
            self._fixed(result, versions)
            return result
        if not any(True for _ in _tensors(result)) and result is not None:
            raise self._takes_number(name)
        call = Call(
            operation=canonical(name),
            arguments=values[0],
            options=values[1],
            path=".".join(self._path[-1:]),
        )
        self._add(call, result, versions)
        return result

    def _takes_number(self, name: str) -> ModelError:
        return ModelError(
            f"{self._where()}: forward takes a number or a decision from a value "
            f"({name.strip('_')}), which would be another for another input; compute "
            "with tensors, as torch.where does"
        )

    def _where(self) -> str:
        return self._path[-1] if self._path else type(self.model).__name__

    def _fixed(self, result: Any, versions: list[tuple[torch.Tensor, int]]) -> None:
        """Note what came from constants alone."""
        for tensor, version in versions:
            if tensor._version != version:
                value = self._constant(tensor)
                self._write(tensor, value)
        for tensor in _tensors(result):
            if self._known(tensor) is None:
                self._note(tensor, self._constant(tensor))

    def _constant(self, tensor: torch.Tensor) -> TracedValue:
        return TracedValue(
            shape=tuple(tensor.shape),
            dtype=tensor.dtype,
            constant=tensor.detach(),
            name=self._names.get(id(tensor), ""),
        )

    def _add(
        self, call: Call, result: Any, versions: list[tuple[torch.Tensor, int]]
    ) -> None:
        """Add a call to the record, and note what it gave and changed."""
        changed = [tensor for tensor, version in versions if tensor._version != version]
        instead: dict[int, TracedValue] = {}
        for tensor in changed:
            self._check_writable(tensor)
            instead[id(tensor)] = self._made(call, tensor)
        call.is_written = bool(changed)
        seen = {id(tensor) for tensor, _ in versions}

        def of(item: Any) -> Any:
            if not isinstance(item, torch.Tensor):
                return item
            if id(item) in instead:
                return instead[id(item)]
            if id(item) in seen:  # given back as it was
                return self._value_or_plain(item)
            value = self._made(call, item)
            instead[id(item)] = value
            self._note(item, value)
            return value

        if call.operation == "setitem":
            result = changed[0] if changed else result
        call.results = mapped(of, result)
        self.record.calls.append(call)
        for tensor in changed:
            self._write(tensor, instead[id(tensor)])

    def _made(self, call: Call, tensor: torch.Tensor) -> TracedValue:
        is_kept = call.operation in COMPARISONS
        if call.module is not None:
            is_kept = self._is_kept(call.module)
        return TracedValue(
            shape=tuple(tensor.shape),
            dtype=tensor.dtype,
            call=call,
            kept=_values(tensor) if is_kept else None,
        )

    # tensors and what they stand for

    def _note(self, tensor: torch.Tensor, value: TracedValue) -> None:
        self._now += 1
        tensor._recorded = (self, value, self._now)  # type: ignore[attr-defined]

    def _known(self, tensor: torch.Tensor) -> TracedValue | None:
        """Return what a tensor stands for, changed as it may be under another name."""
        note: Any = getattr(tensor, "_recorded", None)
        if note is None or note[0] is not self:
            return None
        found: TracedValue = note[1]
        if not self._writes:
            return found
        writes: list[_Write] = self._writes.get(tensor.untyped_storage()._cdata, [])
        if not writes or writes[-1][0] <= note[2]:
            return found
        _, other, new = writes[-1]
        if _geometry(other) != _geometry(tensor):
            raise ModelError(
                f"{self._where()}: forward uses a {CHANGED}; {OUT_OF_PLACE}"
            )
        self._note(tensor, new)
        return new

    def _value_or_plain(self, item: Any) -> Any:
        if not isinstance(item, torch.Tensor):
            return item
        known = self._known(item)
        if known is not None:
            return known
        value = self._constant(item)
        self._constants.append(item)
        self._note(item, value)
        return value

    def _write(self, tensor: torch.Tensor, value: TracedValue) -> None:
        self._note(tensor, value)
        key = tensor.untyped_storage()._cdata
        self._writes.setdefault(key, []).append((self._now, tensor, value))

    def _check_writable(self, tensor: torch.Tensor) -> None:
        """Raise an error if the next timestep would find a change."""
        key = tensor.untyped_storage()._cdata
        value = self._known(tensor)
        kept = ["input"] if value is not None and self._is_of_input(value) else []
        for module, path in self._wholes.items():
            held = _tensors(_memory(module))
            if any(t.untyped_storage()._cdata == key for t in held):
                kept.append(f"state of {path}")
        if kept:
            raise ModelError(
                f"{self._where()}: forward changes its {kept[0]} in place, so that the "
                f"next timestep finds it changed; {OUT_OF_PLACE}"
            )

    def _is_of_input(self, value: TracedValue) -> bool:
        """Return whether a value is an input, or a view of one."""
        if value.is_input:
            return True
        call = value.call
        if call is None or call.operation not in VIEWS:
            return False
        return any(self._is_of_input(of) for of in call.values[:1])

    def _forget(self) -> None:
        for tensor in self._constants:
            if hasattr(tensor, "_recorded"):
                del tensor._recorded


class _Through(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lets every call pass, so that those of compiled functions are seen as well."""

    def __torch_dispatch__(
        self, function: Any, types: Any, given: Any = (), options: Any = None
    ) -> Any:
        return function(*given, **(options or {}))


class _Functions(TorchFunctionMode):
    """Hands every call of a function or a method to a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(
        self, function: Any, types: Any, given: Any = (), options: Any = None
    ) -> Any:
        return self.recorder.intercept(function, given, options or {})


def _doubled(item: Any) -> Any:
    """Return double precision in place of a lower one."""
    is_single = isinstance(item, torch.dtype) and item in SINGLE
    return torch.float64 if is_single else item


def _tensors(item: Any) -> Iterator[torch.Tensor]:
    if isinstance(item, torch.Tensor):
        yield item
    elif isinstance(item, tuple | list):
        for part in item:
            yield from _tensors(part)
    elif isinstance(item, dict):
        for part in item.values():
            yield from _tensors(part)


def _memory(module: nn.Module) -> list[Any]:
    """Return what a module and those in it keep, beside parameters."""
    return [
        value
        for inner in module.modules()
        for name, value in vars(inner).items()
        if name not in ("_parameters", "_modules")
    ]


def _values(tensor: torch.Tensor) -> AnyArray:
    """Return a copy of values, which may yet change in place; of spikes, bytes."""
    values = tensor.detach()
    small = values.byte()
    if torch.equal(small, values):
        values = small
    copied: AnyArray = values.numpy().copy()
    return copied


def _geometry(tensor: torch.Tensor) -> tuple[Any, ...]:
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def _names(model: nn.Module) -> dict[int, str]:
    """Return the names of parameters and buffers, by the ids of the tensors."""
    named = (*model.named_parameters(), *model.named_buffers())
    return {id(tensor): name for name, tensor in named}
