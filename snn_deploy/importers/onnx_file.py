"""Load ONNX files from strangers: checked, of bounded size, nothing else read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snn_deploy.errors import ModelError

LARGEST_FILE = 1 << 31  # bytes; protobuf itself reads no more
LARGEST_WEIGHTS = 1 << 31  # bytes of all weights together
OLDEST_OPSET = 13  # older files are converted to it


def load_onnx(path: Path) -> Any:
    """Return the model at ``path``: valid, with the shapes of all values, and weights.

    Weights in files of their own are read from the model's folder only.

    Raises
    ------
    ModelError
        If the file is missing, damaged, too large, invalid, or refers to files outside
        its folder.
    """
    import onnx
    from onnx import checker, shape_inference

    if not path.is_file():
        raise ModelError(f"{path}: no such file; check the path")
    if path.stat().st_size > LARGEST_FILE:
        raise ModelError(
            f"{path}: {path.stat().st_size} bytes, a model has {LARGEST_FILE} at most; "
            "store its weights in files beside it"
        )
    try:
        model = onnx.load(path, load_external_data=False)
        _check_weights(path, model)
        onnx.load_external_data_for_model(model, str(path.parent))
        checker.check_model(model)
        model = _converted(path, model)
        return shape_inference.infer_shapes(model, strict_mode=True)
    except ModelError:
        raise
    except Exception as error:  # protobuf and onnx raise almost anything
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"{path}: not a valid ONNX model ({why[0]}); export it again, and try "
            "onnx.checker.check_model on it"
        ) from error


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
    """Raise an error for weights that are elsewhere, or more than they can be."""
    from onnx import TensorProto, helper

    total = 0
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
                f"makes {total} bytes of weights; {LARGEST_WEIGHTS} can be read"
            )
        if tensor.data_location == TensorProto.EXTERNAL:
            _check_external(path, tensor)


def _check_external(path: Path, tensor: Any) -> None:
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
