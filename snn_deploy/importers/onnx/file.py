"""Load ONNX files from strangers: checked, of bounded size, nothing else read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.sandbox.sandbox import read_apart

# see read_apart
LIBRARIES = ("onnx.checker", "onnx.shape_inference", "onnx.version_converter")
LARGEST_FILE = 1 << 31  # bytes; protobuf itself reads no more
LARGEST_WEIGHTS = 1 << 31  # bytes of all weights together
OLDEST_OPSET = 13  # older files are converted to it


@dataclass(frozen=True, kw_only=True, eq=False)
class Operator:
    """One step of the model: names of values, and attributes without protobuf."""

    op_type: str
    name: str
    domain: str
    input: list[str]
    output: list[str]
    attributes: dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxModel:
    """What a file holds, as plain values; a size that is not fixed is a text or 0."""

    operators: tuple[Operator, ...]
    constants: dict[str, AnyArray]
    inputs: dict[str, list[int | str]]  # constants are none
    outputs: dict[str, list[int | str]]
    shapes: dict[str, list[int | str]]  # of what operators give


def load_onnx(path: Path) -> OnnxModel:
    """Return the model at ``path``: valid, with the shapes of all values, and weights.

    Weights in files of their own are read from the model's folder only. ONNX and
    protobuf themselves run in a process of their own, with limits on memory and time.

    Raises
    ------
    ModelError
        If the file is missing, damaged, too large, invalid, or refers to files outside
        its folder.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; check the path")
    if path.stat().st_size > LARGEST_FILE:
        raise ModelError(
            f"{path}: {path.stat().st_size} bytes, a model has {LARGEST_FILE} at most; "
            "store its weights in files beside it"
        )
    found = read_apart(parse_onnx, path)
    operators = tuple(Operator(**fields) for fields in found.pop("operators"))
    return OnnxModel(operators=operators, **found)


def parse_onnx(path: Path) -> dict[str, Any]:
    """Return the fields of ``load_onnx``, in the process that is there for it."""
    import onnx
    from onnx import checker, shape_inference

    try:
        model = onnx.load(path, load_external_data=False)
        _check_weights(path, model)
        onnx.load_external_data_for_model(model, str(path.parent))
        checker.check_model(model)
        model = _converted(path, model)
        return _fields(shape_inference.infer_shapes(model, strict_mode=True).graph)
    except (MemoryError, ModelError):
        raise
    except Exception as error:  # protobuf and onnx raise almost anything
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"{path}: not a valid ONNX model ({why[0]}); export it again, and try "
            "onnx.checker.check_model on it"
        ) from error


def _fields(graph: Any) -> dict[str, Any]:
    constants = {tensor.name: _values(tensor) for tensor in graph.initializer}
    inputs = [item for item in graph.input if item.name not in constants]
    return {
        "operators": [_operator(node) for node in graph.node],
        "constants": constants,
        "inputs": _shapes(inputs),
        "outputs": _shapes(graph.output),
        "shapes": _shapes((*graph.value_info, *graph.output)),
    }


def _operator(node: Any) -> dict[str, Any]:
    return {
        "op_type": node.op_type,
        "name": node.name,
        "domain": node.domain,
        "input": list(node.input),
        "output": list(node.output),
        "attributes": {a.name: _attribute(a) for a in node.attribute},
    }


def _attribute(attribute: Any) -> Any:
    """Return numbers, text, or an array; nothing for a graph, which no layer has."""
    from onnx import TensorProto, helper

    value = helper.get_attribute_value(attribute)
    if isinstance(value, TensorProto):
        return _values(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, int | float | str):
        return value
    is_numbers = attribute.type in (attribute.INTS, attribute.FLOATS)
    return list(value) if is_numbers else None


def _values(tensor: Any) -> AnyArray:
    from onnx import numpy_helper

    values: AnyArray = numpy_helper.to_array(tensor)
    if values.dtype.kind in "biuf":
        return values
    # the kinds that NumPy does not have, such as bfloat16; what is not a number is text
    return values.astype(np.float64 if values.dtype.kind == "V" else np.str_)


def _shapes(items: Iterable[Any]) -> dict[str, list[int | str]]:
    return {
        item.name: [
            size.dim_value or size.dim_param for size in item.type.tensor_type.shape.dim
        ]
        for item in items
    }


def _converted(path: Path, model: Any) -> Any:
    from onnx import version_converter

    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if not versions:
        raise ModelError(
            f"{path}: imports no operators of ONNX itself; export it again"
        )
    if versions[0] >= OLDEST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, OLDEST_OPSET)
    except RuntimeError as error:
        raise ModelError(
            f"{path}: operator set {versions[0]} cannot be converted to "
            f"{OLDEST_OPSET} ({error}); export it with opset_version={OLDEST_OPSET}"
        ) from error


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)
            for inner in attribute.graphs:
                yield from _tensors(inner)


def _check_weights(path: Path, model: Any) -> None:
    """Raise an error for weights that are elsewhere, or more than they can be.

    Weights in files of their own may take memory as well.
    """
    from onnx import TensorProto, helper

    from snn_deploy.importers.sandbox.server import allow_memory

    total = outside = 0  # bytes of weights; of those in files of their own
    for tensor in _tensors(model.graph):
        n_values = 1
        for size in tensor.dims:
            n_values *= max(size, 0)
        itemsize = 16
        if tensor.data_type in TensorProto.DataType.values():
            kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
            itemsize = max(kind.itemsize, 1)
        total += n_values * itemsize
        if total > LARGEST_WEIGHTS:
            raise ModelError(
                f"{path}: {tensor.name}: declares shape {tuple(tensor.dims)}, which "
                f"makes {total} bytes of weights, of which {LARGEST_WEIGHTS} can be "
                "read; export the model again, or a smaller one"
            )
        if tensor.data_location == TensorProto.EXTERNAL:
            outside += _check_external(path, tensor)
    allow_memory(4 * (path.stat().st_size + outside))


def _check_external(path: Path, tensor: Any) -> int:
    """Return the size of the file that holds a weight."""
    location = {entry.key: entry.value for entry in tensor.external_data}.get(
        "location"
    )
    folder = path.parent.resolve()
    target = (folder / (location or "")).resolve()
    if not location or not target.is_relative_to(folder):
        raise ModelError(
            f"{path}: {tensor.name}: its values are in {location!r}, outside of the "
            "model's folder; export the model with its weights beside it"
        )
    if not target.is_file():
        raise ModelError(
            f"{path}: {tensor.name}: its values are in {location!r}, which is missing; "
            "keep the model and its weights together"
        )
    return target.stat().st_size
