"""The content of a ``torch.export`` archive, read as data: JSON and raw tensors.

``torch.export.load`` unpickles and evaluates parts of such a file; here nothing of it
is run. Weights that were pickled, and compressed entries, are refused.
"""

import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from snn_deploy.arrays import Shape
from snn_deploy.errors import ModelError
from snn_deploy.files.archives import check_archive

# the numbers of the format's scalar types, of those that weights have
DTYPES = {6: torch.float16, 7: torch.float32, 8: torch.float64, 13: torch.bfloat16}
LARGEST_JSON = 1 << 26  # bytes


@dataclass(frozen=True, kw_only=True)
class Call:
    """One step of the exported forward; tensors among the arguments are ``Name``."""

    target: str
    name: str
    arguments: dict[str, Any]


class Name(str):
    """The name of a tensor, among other arguments."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """An exported forward."""

    calls: tuple[Call, ...]
    tensors: dict[str, torch.Tensor]  # parameters and buffers, by name in the calls
    input_name: str
    input_shape: Shape  # without the batch
    output_name: str


def read_program(path: Path) -> Program:
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


def _program(archive: _Archive) -> Program:
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
    return Program(
        calls=tuple(_call(node) for node in graph["nodes"]),
        tensors=tensors,
        input_name=inputs[0],
        input_shape=tuple(int(size["as_int"]) for size in sizes),
        output_name=outputs[0],
    )


def _call(node: dict[str, Any]) -> Call:
    return Call(
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
