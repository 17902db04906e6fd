"""Read ``torch.export`` archives (.pt2): conventional networks, to be run as spiking.

Every call of the exported forward is the layer of PyTorch that it came from, with the
archive's tensors as its parameters; other calls are refused by name. The first axis is
the batch. Neurons of frameworks dissolve into arithmetic when they are exported: save
such modules with ``snn_deploy.save``.

The file is read as data, JSON and raw tensors: ``torch.export.load`` unpickles and
evaluates parts of it; here nothing of it is run. Weights that were pickled, and
compressed entries, are refused.
"""

import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snn_deploy.arrays import Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.files.archives import check_archive
from snn_deploy.importers.options import DEFAULT_ENCODING, NO_OPTIONS, ReadOptions
from snn_deploy.importers.torch.collected import (
    CHANGED,
    INPUT_NAME,
    OUT_OF_PLACE,
    Aliases,
    Layers,
)
from snn_deploy.importers.torch.tracing import clamped
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.names import shown

DEFAULT_TIMESTEPS = 32  # the file records none
IDLE = ("alias.default", "clone.default", "contiguous.default", "detach.default")
# the numbers of the format's scalar types, of those that weights have
DTYPES = {6: torch.float16, 7: torch.float32, 8: torch.float64, 13: torch.bfloat16}
LARGEST_JSON = 1 << 26  # bytes


@dataclass(frozen=True, kw_only=True)
class ExportedCall:
    """One step of the exported forward; tensors among the arguments are ``Name``."""

    target: str
    name: str
    arguments: dict[str, Any]


class Name(str):
    """The name of a tensor, among other arguments."""


@dataclass(frozen=True, kw_only=True)
class ExportedForward:
    """An exported forward."""

    calls: tuple[ExportedCall, ...]
    tensors: dict[str, torch.Tensor]  # parameters and buffers, by name in the calls
    input_name: str
    input_shape: Shape  # without the batch
    output_name: str


def read_pt2(path: Path, options: ReadOptions = NO_OPTIONS) -> Graph:
    """Return the network in the archive at ``path``, for inputs in ``encoding``.

    ReLUs have an unknown largest value, until ``balance`` sets it.

    Raises
    ------
    ModelError
        If the archive cannot be read as data, or a call has no counterpart.
    """
    program = read_program(path)
    reader = _CallReader(program)
    for call in program.calls:
        reader.read(call)
    encoding = Encoding(options.encoding or DEFAULT_ENCODING)
    training = Training(timesteps=DEFAULT_TIMESTEPS, encoding=encoding)
    last = reader.ends.get(program.output_name, INPUT_NAME)
    if last == CHANGED:
        raise ModelError(f"{path}: returns a {CHANGED}; {OUT_OF_PLACE}")
    return reader.layers.graph(shown(path.stem), last, training)


class _CallReader:
    """Turns calls into layers."""

    def __init__(self, program: ExportedForward) -> None:
        self.tensors = program.tensors
        self.layers = Layers(program.input_shape, is_balanced=False)
        self.aliases: Aliases[str] = Aliases(self.layers)
        self.aliases.note(program.input_name, INPUT_NAME, None, is_written=False)
        self.ends = self.aliases.ends
        self.sizes: set[str] = set()  # of the batch

    def read(self, call: ExportedCall) -> None:
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

    def _end(self, call: ExportedCall) -> str:
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

    def _source(self, call: ExportedCall, value: object) -> str:
        if not isinstance(value, Name) or value not in self.ends:
            raise ModelError(
                f"{call.name}: {call.target} is given {value!r}, no layer's output; "
                "only layers, sums and flatten can be deployed"
            )
        if self.ends[value] == CHANGED:
            raise ModelError(f"{call.name}: is given a {CHANGED}; {OUT_OF_PLACE}")
        return self.ends[value]

    def _sum(self, call: ExportedCall) -> str:
        first, second, *others = call.arguments.values()
        if any(other != 1 for other in others):  # alpha
            raise ModelError(f"{call.name}: adds with a factor; make it a weight")
        terms = [self._source(call, first), self._source(call, second)]
        return self.layers.sum(call.name, terms)

    def _view(self, call: ExportedCall, source: str) -> str:
        shape = self.layers.shape_of(source)
        _, sizes = call.arguments.values()
        if len(sizes) == 2 and sizes[1] in (-1, n_neurons(shape)):
            if len(shape) == 1:
                return source
            return self.layers.module(nn.Flatten(), call.name, source)
        raise ModelError(
            f"{call.name}: reshapes {shape} to {sizes}, which is not a flatten; export "
            "a model that uses x.flatten(1)"
        )


def _layer(call: ExportedCall, tensors: dict[str, torch.Tensor]) -> nn.Module:
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


def read_program(path: Path) -> ExportedForward:
    """Return the program in the archive at ``path``.

    Raises
    ------
    ModelError
        If it is missing, damaged, or holds what cannot be read as data.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            return _program(_Archive(archive, path))
    except (
        zipfile.BadZipFile,
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        NotImplementedError,
        OSError,
        RecursionError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelError(
            f"{path}: not an archive of torch.export, or damaged "
            f"({type(error).__name__}: {error}); save it again with torch.export.save"
        ) from error


class _Archive:
    """The entries of the zip file, all of which must be stored as they are."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self.archive, self.path = archive, path
        self.sizes = {info.filename: info.file_size for info in archive.infolist()}
        packed = [i for i in archive.infolist() if i.compress_type]
        if packed:
            raise ModelError(
                f"{path}: {packed[0].filename} is compressed, which torch.export never "
                "does; save it again with torch.export.save"
            )
        check_archive(archive, may_pack=False)
        models = [n for n in self.sizes if "/models/" in n and n.endswith(".json")]
        if len(models) != 1:
            raise ModelError(
                f"{path}: {len(models)} models in the archive; needed is 1"
            )
        folder, _, name = models[0].rpartition("/models/")
        self.model = self.json(models[0])
        self.folder = f"{folder}/data/weights"
        config = f"{self.folder}/{name.removesuffix('.json')}_weights_config.json"
        self.weights = self.json(config)["config"]

    def json(self, name: str) -> Any:
        if self.sizes[name] > LARGEST_JSON:
            raise ModelError(
                f"{self.path}: {name} has {self.sizes[name]} bytes, allowed are "
                f"{LARGEST_JSON}; export a smaller model"
            )
        return json.loads(self.archive.read(name))

    def tensor(self, name: str) -> torch.Tensor | None:
        """Return a parameter or a buffer; ``None`` for counters, which are integers."""
        payload = self.weights[name]
        if payload["use_pickle"]:
            raise ModelError(
                f"{self.path}: {name} is pickled, which could run code; export the "
                "model with plain tensors as weights"
            )
        meta = payload["tensor_meta"]
        if meta["dtype"] not in DTYPES:
            return None
        sizes = [size["as_int"] for size in meta["sizes"]]
        strides = [stride["as_int"] for stride in meta["strides"]]
        stored = self.archive.read(f"{self.folder}/{payload['path_name']}")
        values = torch.frombuffer(bytearray(stored), dtype=DTYPES[meta["dtype"]])
        if min([*sizes, *strides], default=0) < 0 or math.prod(sizes) > values.numel():
            raise ValueError(f"{name} has {values.numel()} values for {sizes}")
        return values.as_strided(sizes, strides, meta["storage_offset"]["as_int"])


def _program(archive: _Archive) -> ExportedForward:
    module = archive.model["graph_module"]
    graph, signature = module["graph"], module["signature"]
    tensors, inputs = {}, []
    for spec in signature["input_specs"]:
        ((kind, content),) = spec.items()
        if kind == "user_input":
            inputs.append(content["arg"]["as_tensor"]["name"])
        elif kind in ("parameter", "buffer"):
            tensor = archive.tensor(content[f"{kind}_name"])
            if tensor is not None:
                tensors[content["arg"]["name"]] = tensor
        else:
            raise ModelError(f"{archive.path}: an input is a {kind}; use parameters")
    outputs = [o["as_tensor"]["name"] for o in graph["outputs"]]
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{archive.path}: {len(inputs)} inputs and {len(outputs)} outputs; export "
            "a forward with one of each, whose buffers do not change"
        )
    sizes = graph["tensor_values"][inputs[0]]["sizes"][1:]
    if any("as_int" not in size for size in sizes):
        raise ModelError(
            f"{archive.path}: only the batch may have a dynamic size; export the other "
            "axes with fixed sizes"
        )
    return ExportedForward(
        calls=tuple(_call(node) for node in graph["nodes"]),
        tensors=tensors,
        input_name=inputs[0],
        input_shape=tuple(int(size["as_int"]) for size in sizes),
        output_name=outputs[0],
    )


def _call(node: dict[str, Any]) -> ExportedCall:
    return ExportedCall(
        target=str(node["target"]).removeprefix("torch.ops.aten."),
        name=str(node["outputs"][0].get("as_tensor", {}).get("name", "")),
        arguments={i["name"]: _plain(i["arg"]) for i in node["inputs"]},
    )


def _plain(argument: dict[str, Any]) -> Any:
    ((kind, value),) = argument.items()
    if kind == "as_tensor":
        return Name(value["name"])
    if kind == "as_sym_ints":  # sizes, of which that of the batch is a symbol
        return [v.get("as_int", Name(v.get("as_name", ""))) for v in value]
    return None if kind == "as_none" else value
