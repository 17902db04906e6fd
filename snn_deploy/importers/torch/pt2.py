"""Read ``torch.export`` archives (.pt2): conventional networks, to be run as spiking.

Every call of the exported forward is the layer of PyTorch that it came from, with the
archive's tensors as its parameters; other calls are refused by name. The first axis is
the batch. Neurons of frameworks dissolve into arithmetic when they are exported: save
such modules with ``snn_deploy.save``.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from snn_deploy.arrays import n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.importers.options import DEFAULT_ENCODING, NO_OPTIONS, ReadOptions
from snn_deploy.importers.torch.collected import (
    CHANGED,
    INPUT_NAME,
    OUT_OF_PLACE,
    Aliases,
    Layers,
)
from snn_deploy.importers.torch.pt2_file import Call, Name, Program, read_program
from snn_deploy.importers.torch.tracing import clamped
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.names import shown

DEFAULT_TIMESTEPS = 32  # the file records none
IDLE = ("alias.default", "clone.default", "contiguous.default", "detach.default")


def read_pt2(path: Path, options: ReadOptions = NO_OPTIONS) -> Graph:
    """Return the network in the archive at ``path``, for inputs in ``encoding``.

    ReLUs have an unknown largest value, until ``balance`` sets it.

    Raises
    ------
    ModelError
        If the archive cannot be read as data, or a call has no counterpart.
    """
    program = read_program(path)
    reader = _Reader(program)
    for call in program.calls:
        reader.read(call)
    encoding = Encoding(options.encoding or DEFAULT_ENCODING)
    training = Training(timesteps=DEFAULT_TIMESTEPS, encoding=encoding)
    last = reader.ends.get(program.output_name, INPUT_NAME)
    if last == CHANGED:
        raise ModelError(f"{path}: returns a {CHANGED}; {OUT_OF_PLACE}")
    return reader.layers.graph(shown(path.stem), last, training)


class _Reader:
    """Turns calls into layers."""

    def __init__(self, program: Program) -> None:
        self.tensors = program.tensors
        self.layers = Layers(program.input_shape, is_balanced=False)
        self.aliases: Aliases[str] = Aliases(self.layers)
        self.aliases.note(program.input_name, INPUT_NAME, None, is_written=False)
        self.ends = self.aliases.ends
        self.sizes: set[str] = set()  # of the batch

    def read(self, call: Call) -> None:
        """Add the layer of one call."""
        if call.target.startswith("sym_size"):
            self.sizes.add(call.name)
            return
        first = next(iter(call.arguments.values()), None)
        self.aliases.note(
            call.name,
            self._end(call),
            first if isinstance(first, Name) else None,
            is_written=call.target.split(".")[0].endswith("_"),
        )

    def _end(self, call: Call) -> str:
        if call.target.startswith(("add.Tensor", "add_.Tensor")):
            return self._sum(call)
        source = self._source(call, next(iter(call.arguments.values()), None))
        if call.target in IDLE:
            return source
        if call.target.startswith(("view.", "reshape.", "_unsafe_view.")):
            return self._view(call, source)
        try:
            layer = _layer(call, self.tensors)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{call.name}: {call.target} lacks an argument, or has a wrong one "
                f"({type(error).__name__}: {error}); export the model again"
            ) from error
        return self.layers.module(layer, call.name, source)

    def _source(self, call: Call, value: object) -> str:
        if not isinstance(value, Name) or value not in self.ends:
            raise ModelError(
                f"{call.name}: {call.target} is given {value!r}, no layer's output; "
                "only layers, sums and flatten can be deployed"
            )
        if self.ends[value] == CHANGED:
            raise ModelError(f"{call.name}: is given a {CHANGED}; {OUT_OF_PLACE}")
        return self.ends[value]

    def _sum(self, call: Call) -> str:
        first, second, *others = call.arguments.values()
        if any(other != 1 for other in others):  # alpha
            raise ModelError(f"{call.name}: adds with a factor; make it a weight")
        terms = [self._source(call, first), self._source(call, second)]
        return self.layers.sum(call.name, terms)

    def _view(self, call: Call, source: str) -> str:
        shape = self.layers.shape_of(source)
        _, sizes = call.arguments.values()
        if len(sizes) == 2 and sizes[1] in (-1, n_neurons(shape)):
            if len(shape) == 1:
                return source
            return self.layers.module(nn.Flatten(), call.name, source)
        raise ModelError(
            f"{call.name}: reshapes {shape} to {sizes}, which is no flatten; export a "
            "model that uses x.flatten(1)"
        )


def _layer(call: Call, tensors: dict[str, torch.Tensor]) -> nn.Module:
    """Return the layer of PyTorch that a call is."""
    name, given = call.target.split(".")[0], dict(call.arguments)
    given.pop("self" if "self" in given else "input")
    if name in _WEIGHTED:
        return _WEIGHTED[name](given, tensors)
    if name in _POOLINGS:
        pooling: nn.Module = _POOLINGS[name](**{k: _tuple(v) for k, v in given.items()})
        return pooling
    if name == "flatten":
        return nn.Flatten(given.get("start_dim", 0), given.get("end_dim", -1))
    if name in _SOFTMAXES:
        return _SOFTMAXES[name](given["dim"])
    layer = _activation(name.removesuffix("_"), given)
    if layer is None:
        raise ModelError(
            f"{call.name}: {call.target} cannot be deployed; export a model of linear "
            "and convolution layers, batch normalizations, poolings and ReLUs"
        )
    return layer


def _activation(name: str, given: dict[str, Any]) -> nn.Module | None:
    match name:
        case "relu":
            return nn.ReLU()
        case "relu6":
            return nn.ReLU6()
        case "dropout" if not given.get("train"):
            return nn.Identity()
        case "hardtanh":  # an export leaves the defaults out
            return nn.Hardtanh(given.get("min_val", -1.0), given.get("max_val", 1.0))
        case "clamp" | "clip" | "clamp_min":
            return clamped(given.get("min"), given.get("max"))
        case "sigmoid":
            return nn.Sigmoid()
    return None


def _tuple(value: Any) -> Any:
    """Return sizes as the constructors of layers take them."""
    if not isinstance(value, list):
        return value
    return value[0] if len(value) == 1 else tuple(value) or None


def _tensor(
    given: dict[str, Any], name: str, tensors: dict[str, torch.Tensor]
) -> torch.Tensor | None:
    found = given.get(name)
    return None if found is None else tensors[found]


def _linear(given: dict[str, Any], tensors: dict[str, torch.Tensor]) -> nn.Module:
    weight, bias = tensors[given["weight"]], _tensor(given, "bias", tensors)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    return _with(layer, weight, bias)


def _convolution(given: dict[str, Any], tensors: dict[str, torch.Tensor]) -> nn.Module:
    weight, bias = tensors[given["weight"]], _tensor(given, "bias", tensors)
    groups = int(given.get("groups", 1))
    make: Any = nn.Conv1d if weight.ndim == 3 else nn.Conv2d
    layer = make(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        **{k: _tuple(given[k]) for k in _GEOMETRY if k in given},
        groups=groups,
        bias=False,
        device="meta",
    )
    return _with(layer, weight, bias)


def _batch_norm(given: dict[str, Any], tensors: dict[str, torch.Tensor]) -> nn.Module:
    mean = tensors[given["running_mean"]]
    layer = nn.BatchNorm2d(
        len(mean), eps=float(given.get("eps", 1e-5)), affine=False, device="meta"
    )
    layer.running_mean, layer.running_var = mean, tensors[given["running_var"]]
    if given.get("training"):
        layer.running_mean = None  # statistics of the batch: refused by name
    return _with(
        layer, _tensor(given, "weight", tensors), _tensor(given, "bias", tensors)
    )


def _with(
    layer: nn.Module, weight: torch.Tensor | None, bias: torch.Tensor | None
) -> nn.Module:
    """Return the layer with these parameters."""
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            layer.register_parameter(name, nn.Parameter(value, requires_grad=False))
    return layer


_GEOMETRY = ("stride", "padding", "dilation")
_WEIGHTED = {
    "linear": _linear,
    "conv1d": _convolution,
    "conv2d": _convolution,
    "batch_norm": _batch_norm,
}
_SOFTMAXES = {
    "softmax": nn.Softmax,
    "_softmax": nn.Softmax,
    "log_softmax": nn.LogSoftmax,
    "_log_softmax": nn.LogSoftmax,
}
_POOLINGS: dict[str, Any] = {
    "avg_pool1d": nn.AvgPool1d,
    "avg_pool2d": nn.AvgPool2d,
    "max_pool1d": nn.MaxPool1d,
    "max_pool2d": nn.MaxPool2d,
    "adaptive_avg_pool1d": nn.AdaptiveAvgPool1d,
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
}
