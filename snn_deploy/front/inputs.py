"""Inputs as people hold them: arrays, tensors, data sets, loaders, files.

Told by what they can do; torch is not imported.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray, Shape
from snn_deploy.data.data import Data, check_data, load_arrays
from snn_deploy.data.named import as_named, input_name
from snn_deploy.data.recordings import is_recorded
from snn_deploy.errors import DataError
from snn_deploy.ir.graph import Training
from snn_deploy.ir.inputs import LABELS, listed
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Encoding


def as_data(x: Any, y: Any, graph: QuantizedGraph) -> Data:
    """Return inputs for a network, checked; see ``Network.profile`` for their forms.

    Raises
    ------
    DataError
        If they are none of these forms, or not what the network takes.
    """
    name = input_name(graph.training.encoding)
    if isinstance(x, str | os.PathLike):
        path = Path(x)
        arrays = load_arrays(path)
        if y is not None and path.suffix != ".npy":
            raise DataError(f"{path}: a file brings its own labels; leave y out")
        if isinstance(y, str | os.PathLike):
            (y,) = load_arrays(Path(y)).values()
        arrays = _with_labels(arrays, y)
    else:
        path = Path(name)  # stands for a file in messages
        names = [given.name for given in graph.training.inputs]
        arrays = _named_arrays(x, y, names) if names else _arrays(x, y, name)
        if name in arrays and is_recorded(arrays[name]):
            _check_sensor(getattr(x, "sensor_size", None), graph.source.shape)
    return check_data(
        path,
        arrays,
        graph.source.shape,
        graph.training,
        n_outputs=graph.head.n_outputs,
    )


def as_batch(given: Sequence[Any], graph: QuantizedGraph) -> Any:
    """Return what a call of a network is given, one input, as a batch of one.

    Raises
    ------
    DataError
        If there are more arrays than inputs, or they are batches.
    """
    training = graph.training
    if not training.inputs:
        if len(given) > 1:
            raise DataError(
                f"a call is given {len(given)} arrays, the network has one input; give "
                "all inputs to profile"
            )
        one = as_array(given[0])
        _check_single("x", one, graph.source.shape, training)
        return [one] if is_recorded(one) else one[np.newaxis]
    names = [part.name for part in training.inputs]
    whole = given[0] if len(given) == 1 else given
    if not isinstance(whole, Mapping):
        if not isinstance(whole, tuple | list) or len(whole) != len(names):
            raise DataError(
                f"a call takes the inputs {listed(training.inputs)}; give as many "
                "arrays, or a dict of them"
            )
        whole = dict(zip(names, whole, strict=True))
    arrays = {str(name): as_array(array) for name, array in whole.items()}
    for part in training.inputs:
        if part.name in arrays:
            _check_single(part.name, arrays[part.name], part.shape, training)
    return {name: array[np.newaxis] for name, array in arrays.items()}


def _check_single(name: str, x: AnyArray, shape: Shape, training: Training) -> None:
    """Raise a ``DataError`` if ``x`` is a batch, where one input is taken."""
    one = (training.timesteps, *shape)
    is_event = training.encoding is Encoding.EVENTS
    forms = [shape, shape[1:]] if len(shape) > 1 and shape[0] == 1 else [shape]
    if x.shape in forms or is_recorded(x):
        return
    if x.shape[1:] in forms:
        is_batch = len(x) < one[0] if is_event else len(x) != one[0]
    else:
        is_batch = x.shape[2:] in forms
    if is_batch:
        allowed = one if is_event else f"{shape}, or {one} where it changes"
        is_turned = x.shape[2:] in forms and len(x) == one[0] != x.shape[1]
        first, whole = f"{name}[0]", "all"
        if is_turned:
            first, whole = f"{name}[:, 0]", f"{name}.swapaxes(0, 1)"
        raise DataError(
            f"{name} has the shape {x.shape}, and a call takes one input, {allowed}; "
            f"give one of them, {first}, or {whole} to profile"
        )


def _arrays(x: Any, y: Any, name: str) -> dict[str, AnyArray]:
    """Return all inputs and labels as the arrays of a file."""
    if is_array(x):
        return _with_labels({name: as_array(x)}, y)
    if isinstance(x, Mapping):
        return _with_labels({str(k): as_array(values) for k, values in x.items()}, y)
    if y is not None and not isinstance(x, list | tuple):
        raise DataError(
            f"x is a {type(x).__name__}, which brings its own labels; leave y out, or "
            "give x as an array"
        )
    items = [_parted(item, name) for item in _items(x)]
    inputs = [as_array(mine) for mine, _ in items]
    labels = [as_array(label) for _, label in items if label is not None]
    if not inputs:
        raise DataError("x holds no inputs; give at least one")
    if labels and len(labels) != len(inputs):
        raise DataError(f"{len(labels)} of {len(inputs)} items have a label; give all")
    is_batched = _comes_in_batches(x)
    found = (_of_batches if is_batched else _of_single)(name, inputs)
    if labels:
        y = (np.concatenate if is_batched else np.stack)(labels)
    return _with_labels(found, y)


def _named_arrays(x: Any, y: Any, names: Sequence[str]) -> dict[str, AnyArray]:
    """Return the arrays of several inputs, by name, and labels, as in a file."""
    if not isinstance(x, Mapping) and _are_arrays(x, len(names)):
        x = dict(zip(names, x, strict=True))
    if isinstance(x, Mapping):
        return _with_labels({str(k): as_array(values) for k, values in x.items()}, y)
    if hasattr(x, "__array__"):
        raise DataError(
            f"x is one array, the network takes {', '.join(names)}; give a dict of "
            "arrays, or as many in that order"
        )
    items = [_parted_by_name(item, names) for item in _items(x)]
    labels = [as_array(label) for _, label in items if label is not None]
    if not items or (labels and len(labels) != len(items)):
        raise DataError(f"{len(labels)} of {len(items)} items have a label; give all")
    is_batched = _comes_in_batches(x)
    found: dict[str, AnyArray] = {}
    for name in names:
        inputs = [mine[name] for mine, _ in items]
        more = (_of_batches if is_batched else _of_single)(name, inputs)
        _check_lengths(name, found, more)
        found |= more
    if labels:
        y = (np.concatenate if is_batched else np.stack)(labels)
    return _with_labels(found, y)


def _check_lengths(
    name: str, found: dict[str, AnyArray], more: dict[str, AnyArray]
) -> None:
    """Raise an error if an input lasts for other timesteps than one before it."""
    mine = more.get("lengths")
    if mine is not None and not np.array_equal(mine, found.get("lengths", mine)):
        raise DataError(
            f"{name}: lasts for other timesteps than the inputs before it; give each "
            "of them as many"
        )


def _are_arrays(x: Any, n: int) -> bool:
    """Return whether these are so many arrays, and no items that hold some."""
    is_row = isinstance(x, list | tuple) and len(x) == n
    return is_row and all(hasattr(part, "__array__") for part in x)


def _parted_by_name(item: Any, names: Sequence[str]) -> tuple[dict[str, AnyArray], Any]:
    """Return the inputs of an item of a data set or loader, by name, and its label."""
    label = None
    if isinstance(item, tuple | list):
        if len(item) == 2 and isinstance(item[0], Mapping | tuple | list):
            item, label = item
        elif len(item) == len(names) + 1:
            *item, label = item
    if isinstance(item, Mapping):
        labels = [key for key in item if str(key).lower() in LABELS]
        if labels and label is None:
            label = item[labels[0]]
        item = [item[name] for name in names if name in item]
    if not isinstance(item, tuple | list) or len(item) != len(names):
        raise DataError(
            f"an item of x holds other inputs than {', '.join(names)}; give "
            f"(({', '.join(names)}), label), or dicts by these names"
        )
    return dict(zip(names, map(as_array, item), strict=True)), label


def _with_labels(arrays: dict[str, AnyArray], y: Any) -> dict[str, AnyArray]:
    if y is None:
        return arrays
    if {key for key in arrays if key.lower() in LABELS}:
        raise DataError("x brings its own labels; leave y out")
    if isinstance(y, Mapping):  # by head
        return {**arrays, **{str(head): as_array(truths) for head, truths in y.items()}}
    return {**arrays, "y": as_array(y)}


def _of_batches(name: str, inputs: list[AnyArray]) -> dict[str, AnyArray]:
    shapes = sorted({batch.shape[1:] for batch in inputs})
    if len(shapes) > 1:
        raise DataError(
            f"x holds batches of inputs of shapes {shapes[0]} to {shapes[-1]}, which "
            "do not say how long each input lasts; give the data set that the loader "
            f"takes them from, or {{{name!r}: ..., 'lengths': ...}}"
        )
    return {name: np.concatenate(inputs)}


def _of_single(name: str, inputs: list[AnyArray]) -> dict[str, AnyArray]:
    """Return inputs as one array: recordings in a row, sequences padded."""
    if all(map(is_recorded, inputs)):
        ends = np.cumsum([len(events) for events in inputs])
        offsets = np.concatenate([[0], ends])
        return {name: np.concatenate(inputs), "offsets": offsets}
    shapes = sorted({one.shape for one in inputs})
    if len(shapes) == 1:
        return {name: np.stack(inputs)}
    if len({shape[1:] for shape in shapes}) > 1 or () in shapes:
        raise DataError(
            f"x holds inputs of shapes {shapes[0]} to {shapes[-1]}; give inputs of one "
            "shape, or sequences (timesteps, ...) that differ in timesteps only"
        )
    lengths = np.array([len(one) for one in inputs])
    whole = np.zeros((len(inputs), lengths.max(), *shapes[0][1:]), inputs[0].dtype)
    for row, one in zip(whole, inputs, strict=True):
        row[: len(one)] = one
    return {name: whole, "lengths": lengths}


def _check_sensor(size: Any, shape: Shape) -> None:
    """Raise an error if a data set's sensor, as tonic says it, is not the input."""
    if size is None or len(size) != 3 or len(shape) != 3:
        return
    width, height, polarities = size
    if shape not in ((polarities, height, width), (1, height, width)):
        raise DataError(
            f"the data set's sensor has {width} x {height} places and {polarities} "
            f"polarities, the network takes {shape}; save it with input_shape="
            f"({polarities}, {height}, {width}), or crop the events as in training"
        )


def _parted(item: Any, name: str) -> tuple[Any, Any]:
    """Return the inputs and labels of one item of a data set or loader."""
    if isinstance(item, Mapping):
        arrays = {str(key): as_array(value) for key, value in item.items()}
        named = as_named(Path(name), arrays, name)
        return named[name], named.get("y")
    if isinstance(item, tuple | list):
        if len(item) > 2:
            raise DataError(
                f"an item of x has {len(item)} parts; give (inputs, label), or a dict "
                "of them"
            )
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
        "(inputs, labels), or the path of an .npz, .npy or .pt file"
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
