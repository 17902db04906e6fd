"""Inputs that arrive one after the other: files in a folder, arrays through a pipe."""

import time
from collections.abc import Iterator
from io import BufferedReader
from math import prod
from pathlib import Path

import numpy as np

from snn_deploy.arrays import AnyArray, Shape
from snn_deploy.data.data import Data, check_data, check_header, read_data
from snn_deploy.data.named import input_name
from snn_deploy.errors import DataError
from snn_deploy.ir.inputs import listed
from snn_deploy.ir.quantized import QuantizedGraph

LOOK_S = 0.2  # between two looks into a folder
LARGEST_ARRAY = 1 << 30  # bytes
PIPE = Path("standard input")


def from_files(
    folder: Path, graph: QuantizedGraph, *, follow: bool = False
) -> Iterator[tuple[str, Data]]:
    """Yield the name and the inputs of a file, or of each ``.npz`` in a folder.

    With ``follow`` it waits for further files, for ever; names that begin with a dot
    are left alone, so that a file can be written under one and then renamed.
    """
    if folder.is_file():
        if follow:
            raise DataError(
                f"{folder}: no folder to wait in for further files; name one, or leave "
                "--follow out"
            )
        yield folder.name, _read(folder, graph)
        return
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; check the path")
    yield from _from_folder(folder, graph, follow=follow)


def _from_folder(
    folder: Path, graph: QuantizedGraph, *, follow: bool
) -> Iterator[tuple[str, Data]]:
    seen: set[str] = set()
    while True:
        names = sorted(
            path.name for path in folder.glob("*.npz") if path.name[0] != "."
        )
        for name in names:
            if name not in seen:
                yield name, _read(folder / name, graph)
        seen.update(names)
        if not follow:
            break
        time.sleep(LOOK_S)
    if not seen:
        raise DataError(f"{folder}: holds no .npz file; check the path")


def _read(path: Path, graph: QuantizedGraph) -> Data:
    return read_data(
        path, graph.source.shape, graph.training, n_outputs=graph.head.n_outputs
    )


def from_pipe(
    pipe: BufferedReader, graph: QuantizedGraph
) -> Iterator[tuple[str, Data]]:
    """Yield the inputs of each ``.npy`` array of a pipe, one input or several.

    As ``numpy.save`` writes them one behind the other. An array's shape is checked
    before its values are read.
    """
    training = graph.training
    name = input_name(training.encoding)
    if training.inputs:
        raise DataError(
            f"{PIPE}: arrays of a pipe have no names, and the network takes "
            f"{listed(training.inputs)}; put .npz files into a folder, and serve that"
        )
    number = 0
    while pipe.peek(1):
        array = _next_array(pipe, graph.source.shape, is_events=name == "spikes")
        arrays = {name: array}
        yield str(number), check_data(PIPE, arrays, graph.source.shape, training)
        number += 1


def _next_array(
    pipe: BufferedReader, input_shape: Shape, *, is_events: bool
) -> AnyArray:
    """Return the next array, ``(n, ...)``."""
    shape, dtype = _header(pipe)
    n_axes = len(input_shape) + is_events
    allowed = range(n_axes, len(input_shape) + 3)  # (n, timesteps, ...) at most
    if shape[len(shape) - len(input_shape) :] != input_shape or (
        len(shape) not in allowed
    ):
        time_axis = "(timesteps, ...)" if is_events else ""
        raise DataError(
            f"{PIPE}: an array has shape {shape}, the network takes {input_shape}"
            f"{time_axis}; send one input or (n, ...) of them"
        )
    n_bytes = prod(shape) * dtype.itemsize
    if min(shape) < 0 or n_bytes > LARGEST_ARRAY:
        raise DataError(
            f"{PIPE}: an array has {n_bytes} bytes, allowed are {LARGEST_ARRAY}; send "
            "fewer inputs at a time"
        )
    content = pipe.read(n_bytes)
    if len(content) < n_bytes:
        raise DataError(
            f"{PIPE}: cut short, {len(content)} of {n_bytes} bytes of an array; send "
            "whole arrays"
        )
    array = np.frombuffer(content, dtype).reshape(shape)
    return array if len(shape) > n_axes else array[np.newaxis]


def _header(pipe: BufferedReader) -> tuple[Shape, np.dtype[np.generic]]:
    from numpy.lib import format as npy

    try:
        version = npy.read_magic(pipe)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        shape, is_fortran, dtype = read[version](pipe)
        check_header(shape, dtype)
    except (ValueError, KeyError, EOFError, TypeError, SyntaxError) as error:
        why = str(error).splitlines()[0]
        raise DataError(
            f"{PIPE}: no .npy array ({why}); send what numpy.save(sys.stdout.buffer, "
            "x) writes"
        ) from error
    if is_fortran or dtype.kind not in "biuf":
        raise DataError(
            f"{PIPE}: an array of {dtype} that is not a plain array in row order; send "
            "numpy.ascontiguousarray(x)"
        )
    return tuple(shape), dtype
