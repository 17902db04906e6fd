"""Inputs as people hold them: arrays, tensors, data sets, loaders, files.

Told by what they can do; torch is not imported.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray
from snn_deploy.data.data import Data, check_data, load_arrays
from snn_deploy.errors import DataError
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Encoding


def as_data(x: Any, y: Any, graph: QuantizedGraph) -> Data:
    """Return inputs for a network, checked; see ``Network.profile`` for their forms.

    Raises
    ------
    DataError
        If they are none of these forms, or not what the network takes.
    """
    name = "spikes" if graph.training.encoding is Encoding.EVENTS else "x"
    if isinstance(x, str | os.PathLike):
        path = Path(x)
        arrays = load_arrays(path)
        if y is not None:
            raise DataError(f"{path}: a file brings its own labels; leave y out")
    else:
        path = Path(name)  # stands for a file in messages
        inputs, labels = _pair(x, y)
        arrays = {name: inputs}
        if labels is not None:
            arrays["y"] = labels
    return check_data(
        path,
        arrays,
        graph.source.shape,
        graph.training,
        n_outputs=graph.readout.size,
    )


def _pair(x: Any, y: Any) -> tuple[AnyArray, AnyArray | None]:
    """Return all inputs and labels as arrays."""
    if is_array(x):
        return as_array(x), None if y is None else as_array(y)
    if y is not None:
        raise DataError(
            f"x is a {type(x).__name__}, which brings its own labels; leave y out, or "
            "give x as an array"
        )
    inputs: list[AnyArray] = []
    labels: list[AnyArray] = []
    for item in _items(x):
        mine, label = _parted(item)
        inputs.append(as_array(mine))
        if label is not None:
            labels.append(as_array(label))
    if not inputs:
        raise DataError("x holds no inputs; give at least one")
    if labels and len(labels) != len(inputs):
        raise DataError(f"{len(labels)} of {len(inputs)} items have a label; give all")
    is_batched = _comes_in_batches(x)
    shapes = sorted({array.shape[is_batched:] for array in inputs})
    if len(shapes) > 1:
        raise DataError(
            f"x holds inputs of shapes {shapes[0]} to {shapes[-1]}; pad sequences that "
            "end earlier, and train on the padded ones"
        )
    put = np.concatenate if is_batched else np.stack
    return put(inputs), put(labels) if labels else None


def _parted(item: Any) -> tuple[Any, Any]:
    """Return the inputs and labels of one item of a data set or loader."""
    if isinstance(item, tuple | list) and len(item) in (1, 2):
        return (*item, None)[:2]
    return item, None


def _items(x: Any) -> Iterable[Any]:
    """Return what yields inputs, one by one or in batches."""
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):  # a data set
        return (x[i] for i in range(len(x)))
    if isinstance(x, Iterable):
        return x
    raise DataError(
        f"x is a {type(x).__name__}; give an array, a tensor, a data set, a loader of "
        "(inputs, labels), or the path of an .npz or .npy file"
    )


def _comes_in_batches(x: Any) -> bool:
    """Return whether ``x`` is a loader, all of whose items are batches."""
    return not hasattr(x, "__getitem__") and getattr(x, "batch_size", 1) is not None


def is_array(x: Any) -> bool:
    """Return whether ``x`` is an array, a tensor, or lists of numbers."""
    if not isinstance(x, list | tuple):
        return hasattr(x, "__array__")
    try:
        return np.asarray(x).dtype.kind in "biuf"
    except ValueError:  # of different shapes, as inputs and labels are
        return False


def as_array(x: Any) -> AnyArray:
    """Return an array, a tensor of any device, or a number as an array."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
    return np.asarray(x)
