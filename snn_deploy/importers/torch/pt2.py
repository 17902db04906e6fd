"""Read ``torch.export`` archives (.pt2): conventional networks, to be run as spiking.

The calls of the exported forward become a record, as if it had been run, and are read
as that of a module is. Neurons of frameworks dissolve into arithmetic when they are
exported: save such modules with ``snn_deploy.save``.

The file is read as data, JSON and raw tensors: ``torch.export.load`` unpickles and
evaluates parts of it; here nothing of it is run. Weights that were pickled, and
compressed entries, are refused.
"""

import json
import math
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snn_deploy.arrays import Shape
from snn_deploy.errors import ModelError
from snn_deploy.files.archives import check_archive
from snn_deploy.importers.options import NO_OPTIONS, ReadOptions
from snn_deploy.importers.torch.assembly import Assembly
from snn_deploy.importers.torch.collected import Layers
from snn_deploy.importers.torch.fold import fold
from snn_deploy.importers.torch.frameworks.framework import TimeAxis
from snn_deploy.importers.torch.operations import VIEWS, canonical
from snn_deploy.importers.torch.record import (
    CHANGED,
    OUT_OF_PLACE,
    Call,
    Record,
    TracedValue,
)
from snn_deploy.importers.torch.unroll import Unrolled
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.inputs import NamedInput
from snn_deploy.names import shown

DEFAULT_TIMESTEPS = 32  # the file records none
# the numbers of the format's scalar types, of those that weights have
DTYPES = {6: torch.float16, 7: torch.float32, 8: torch.float64, 13: torch.bfloat16}
LARGEST_JSON = 1 << 26  # bytes
BATCH = 7919  # stands for a batch of any size: no size of a layer


def read_pt2(path: Path, options: ReadOptions = NO_OPTIONS) -> Graph:
    """Return the network in the archive at ``path``, for inputs in ``encoding``.

    ReLUs have an unknown largest value, until ``balance`` sets it.

    Raises
    ------
    ModelError
        If the archive cannot be read as data, or a call has no counterpart.
    """
    program = read_program(path)
    first, *others = program.inputs
    form = [TimeAxis.NONE] * len(program.inputs)
    unrolled = Unrolled(program.record, form, first.shape[0], 1)
    (output,) = unrolled.outputs
    if isinstance(output, ModelError):
        raise output
    shape = first.shape[1:]
    inputs: tuple[NamedInput, ...] = ()
    if others:
        inputs = tuple(
            NamedInput(name=x.name, shape=x.shape[1:]) for x in program.inputs
        )
        shape = (sum(given.size for given in inputs),)
    layers = Layers(shape, inputs, is_balanced=False)
    assembly = Assembly(layers, _no_module)
    last = assembly.add(fold(output.items, unrolled.items))
    training = replace(options.training(DEFAULT_TIMESTEPS), inputs=inputs)
    return layers.graph(shown(path.stem), last, training)


def _no_module(path: str) -> nn.Module:
    raise AssertionError(f"{path}: an archive holds no modules")


class Name(str):
    """The name of a tensor, among other arguments."""


@dataclass(kw_only=True)
class ExportedForward:
    """An exported forward, as a record of one run of it."""

    inputs: tuple[TracedValue, ...]
    record: Record = field(default_factory=Record)


class _Replay:
    """Makes a record of calls in a file."""

    def __init__(self, sizes: dict[str, Shape], values: dict[str, TracedValue]) -> None:
        self.sizes = sizes  # of all tensors
        self.values: dict[str, TracedValue | None] = {**values}  # None: changed
        self.origins = {name: name for name in values}  # of which others are views
        self.symbols: dict[str, int] = {}
        self.calls: list[Call] = []

    def add(self, target: str, name: str, arguments: dict[str, Any]) -> None:
        """Add a call to the record."""
        if target.startswith("sym_size"):
            self.symbols[name] = BATCH
            return
        operation = canonical(target.partition(".")[0])
        first, *_ = (*arguments.values(), None)
        named = {key: self._value(name, part) for key, part in arguments.items()}
        given = list(named.items())
        is_written = target.partition(".")[0].endswith("_")
        call = Call(
            operation=operation,
            arguments=tuple(part for _, part in given[:1]),
            options=dict(given[1:]),
            is_written=is_written,
        )
        value = TracedValue(shape=self.sizes[name], dtype=torch.float32, call=call)
        call.results = value
        self.calls.append(call)
        self.values[name], self.origins[name] = value, name
        if isinstance(first, Name) and (is_written or operation in VIEWS):
            self.origins[name] = self.origins[first]
        if is_written and isinstance(first, Name):
            self._write(name, first, value)

    def _write(self, name: str, first: Name, value: TracedValue) -> None:
        """Note a change under every name of what is changed."""
        origin = self.origins[first]
        kept = self.values[origin]
        if kept is not None and kept.is_input:
            raise ModelError(
                f"{name}: forward changes its input in place, so that the next "
                f"timestep finds it changed; {OUT_OF_PLACE}"
            )
        for other, its_origin in self.origins.items():
            if its_origin == origin and other != name:
                is_same = self.sizes[other] == self.sizes[first]
                self.values[other] = value if is_same else None

    def _value(self, name: str, part: Any) -> Any:
        """Return an argument, with values in place of names."""
        if isinstance(part, list):
            return [self._value(name, item) for item in part]
        if not isinstance(part, Name):
            return part
        if part in self.symbols:
            return self.symbols[part]
        if part not in self.values:
            raise ModelError(
                f"{name}: is given {part!r}, no layer's output; only layers, sums and "
                "flatten can be deployed"
            )
        value = self.values[part]
        if value is None:
            raise ModelError(f"{name}: is given a {CHANGED}; {OUT_OF_PLACE}")
        return value


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
    graph = module["graph"]
    inputs, values = _inputs(archive, module["signature"]["input_specs"])
    outputs = [o["as_tensor"]["name"] for o in graph["outputs"]]
    if not inputs or len(outputs) != 1:
        raise ModelError(
            f"{archive.path}: {len(inputs)} inputs and {len(outputs)} outputs; export "
            "a forward with an input and one output, whose buffers do not change"
        )
    found = {name: meta["sizes"] for name, meta in graph["tensor_values"].items()}
    if any("as_int" not in size for name in inputs for size in found[name][1:]):
        raise ModelError(
            f"{archive.path}: only the batch may have a dynamic size; export the other "
            "axes with fixed sizes"
        )
    sizes = {name: tuple(map(_size, shape)) for name, shape in found.items()}
    if len({sizes[name][:1] for name in inputs}) > 1:
        raise ModelError(
            f"{archive.path}: batches of other sizes, of {', '.join(inputs)}; export "
            "the forward with as many inputs of each"
        )
    given = {
        name: TracedValue(shape=sizes[name], dtype=torch.float32, name=name)
        for name in inputs
    }
    replay = _Replay(sizes, {**values, **given})
    for node in graph["nodes"]:
        replay.add(
            target=str(node["target"]).removeprefix("torch.ops.aten."),
            name=_name(node["outputs"][0]),
            arguments={i["name"]: _plain(i["arg"]) for i in node["inputs"]},
        )
    returned = replay.values[outputs[0]]
    if returned is None:
        raise ModelError(f"{archive.path}: returns a {CHANGED}; {OUT_OF_PLACE}")
    record = Record(calls=replay.calls, inputs=[(*given.values(),)], outputs=[returned])
    return ExportedForward(inputs=(*given.values(),), record=record)


def _inputs(
    archive: _Archive, specs: list[dict[str, Any]]
) -> tuple[list[str], dict[str, TracedValue]]:
    """Return the names of the inputs, and the weights by theirs."""
    values, inputs = {}, []
    for spec in specs:
        ((kind, content),) = spec.items()
        if kind == "user_input":
            inputs.append(content["arg"]["as_tensor"]["name"])
        elif kind in ("parameter", "buffer"):
            tensor = archive.tensor(content[f"{kind}_name"])
            if tensor is not None:
                values[content["arg"]["name"]] = TracedValue(
                    shape=tuple(tensor.shape), dtype=tensor.dtype, constant=tensor
                )
        else:
            raise ModelError(f"{archive.path}: an input is a {kind}; use parameters")
    return inputs, values


def _name(output: dict[str, Any]) -> str:
    """Return the name of what a call gives, a tensor or a size."""
    tensor, size = output.get("as_tensor", {}), output.get("as_sym_int", {})
    return str(tensor.get("name") or size.get("as_name", ""))


def _size(size: dict[str, Any]) -> int:
    """Return a size of a tensor, of which only that of the batch is a symbol."""
    return int(size["as_int"]) if "as_int" in size else BATCH


def _plain(argument: dict[str, Any]) -> Any:
    ((kind, value),) = argument.items()
    if kind == "as_tensor":
        return Name(value["name"])
    if kind == "as_tensors":
        return [Name(item["name"]) for item in value]
    if kind == "as_sym_int":
        return value.get("as_int", Name(value.get("as_name", "")))
    if kind == "as_sym_ints":  # sizes, of which that of the batch is a symbol
        return [v.get("as_int", Name(v.get("as_name", ""))) for v in value]
    return None if kind == "as_none" else value
