"""Tensors in ``.pt`` files, none of which can hold code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray
from snn_deploy.errors import DataError
from snn_deploy.files.tensors import check_integrity, check_objects

ENDINGS = (".pt", ".pth")
ADVICE = "store it with torch.save({'x': x, 'y': y}, path)"


def load_tensors(path: Path) -> dict[str, AnyArray]:
    """Return the tensors of a file that ``torch.save`` wrote, as arrays.

    One alone is called "x", two are "x" and "y". Nothing else is unpickled.

    Raises
    ------
    DataError
        If torch is missing, or the file holds something else.
    """
    try:
        import torch
    except ImportError as error:
        raise DataError(
            f"{path}: torch.save wrote it, and torch is not installed; install it, or "
            "store it with np.savez(path, x=..., y=...)"
        ) from error
    try:
        check_integrity(path)
        check_objects(path)
        found = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch's unpickler raises almost anything
        why = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise DataError(
            f"{path}: holds more than tensors, or is damaged ({why.rstrip('. ')}); "
            f"other objects could run any code, {ADVICE}"
        ) from error
    return _named(path, found)


def _named(path: Path, found: Any) -> dict[str, AnyArray]:
    if hasattr(found, "numpy"):
        found = {"x": found}
    if isinstance(found, list | tuple) and len(found) in (1, 2):
        found = dict(zip("xy", found, strict=False))
    if not isinstance(found, Mapping) or not found:
        raise DataError(f"{path}: holds a {type(found).__name__}; {ADVICE}")
    if {"format", "tensors", "graph"} <= {*found}:
        raise DataError(
            f"{path}: holds a model, no inputs; give it where the model is asked for"
        )
    return {str(name): _array(path, name, value) for name, value in found.items()}


def _array(path: Path, name: Any, value: Any) -> AnyArray:
    if not hasattr(value, "numpy"):
        value = np.asarray(value)
        if value.dtype.kind not in "biuf":
            raise DataError(f"{path}: {name} is no tensor of numbers; {ADVICE}")
        return np.asarray(value)
    n_bytes = value.numel() * value.element_size()
    if n_bytes > path.stat().st_size:  # of strides 0
        raise DataError(
            f"{path}: {name} has {n_bytes:,} bytes in a file of "
            f"{path.stat().st_size:,}; store {name}.clone()"
        )
    try:
        if value.is_floating_point() and value.element_size() < 4:
            value = value.float()  # bfloat16, which NumPy has not
        return np.asarray(value.numpy())
    except (RuntimeError, TypeError) as error:
        raise DataError(
            f"{path}: {name} is a {value.dtype} tensor in the form {value.layout}, "
            "which is no array; store a dense one of bytes or floats"
        ) from error
