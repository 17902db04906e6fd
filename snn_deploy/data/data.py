"""Check input data, ``x`` or ``spikes``, and labels ``y``; read them from files."""

import hashlib
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from snn_deploy.arrays import AnyArray, FloatArray, IntArray, Shape
from snn_deploy.data.lengths import lengths_in, padded
from snn_deploy.data.named import as_named, as_row, input_name
from snn_deploy.data.recordings import binned, is_recorded
from snn_deploy.data.shapes import check_order, in_shape, turned
from snn_deploy.data.tensor_files import ENDINGS, load_tensors
from snn_deploy.data.truths import are_values, labels_of, values_of
from snn_deploy.errors import DataError
from snn_deploy.files.archives import check_archive
from snn_deploy.ir.graph import Training
from snn_deploy.ir.stimuli import (
    GRAY_LEVELS,
    Encoding,
    Stimulus,
    check_mantissas,
    encode,
    input_hashes,
    is_counts,
    to_gray,
    to_mantissas,
    to_shares,
    without_repeats,
)

DARK = 128  # a bit of every byte below is idle
INTEGERS = (Encoding.EVENTS, Encoding.BIAS)  # inputs are what the chip receives
BLOCK = 1 << 20  # values looked at at once
SAMPLE = 1 << 10  # bytes of a file by which it is told
TEXT = bytes(range(32, 127)) + b"\t\n\r"
# what numpy and zipfile raise for a file of another format, or damaged
_NO_NPZ = (
    EOFError,
    KeyError,
    OSError,
    RuntimeError,  # encrypted, or a kind of zip that Python cannot read
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Inputs for a network, checked, and their labels or values if they have any."""

    x: AnyArray  # (n, shape...), or spikes and values (n, n_timesteps, shape...)
    y: IntArray | None  # (n,)
    training: Training
    varies: bool = False  # values that have an axis of timesteps
    lengths: IntArray | None = None  # (n,), of sequences that are over before others
    notes: tuple[str, ...] = ()  # on how they were made of what was given
    has_idle_labels: bool = False  # left out, since there are no classes
    targets: FloatArray | None = None  # (n, n_outputs), values in the network's units

    def __len__(self) -> int:
        return len(self.x)

    def take(self, positions: Sequence[int]) -> "Data":
        """Return the inputs at these positions, in that order."""
        some = list(positions)
        return replace(
            self,
            x=self.x[some],
            y=None if self.y is None else self.y[some],
            targets=None if self.targets is None else self.targets[some],
            lengths=None if self.lengths is None else self.lengths[some],
        )

    @property
    def ends(self) -> IntArray:
        """The last timestep of each input, ``(n,)``."""
        if self.lengths is None:
            return np.full(len(self), self.training.timesteps)
        return self.lengths

    @property
    def has_timesteps(self) -> bool:
        """Whether an input has an axis of timesteps."""
        return self.varies or self.training.encoding is Encoding.EVENTS

    @property
    def n_rows(self) -> int:
        """How many timesteps of an input the chip is given; 1: always the same."""
        is_drawn = self.training.encoding is Encoding.RATE
        return self.training.timesteps if is_drawn or self.has_timesteps else 1

    def stimulus(self, index: int, number: int | None = None) -> Stimulus:
        """Return one input as the chip receives it, drawn by its number (``RATE``)."""
        training = self.training
        stimulus = encode(
            self.x[index],
            training.encoding,
            training.timesteps,
            is_constant=not self.varies,
            largest_count=training.largest_count,
            index=index if number is None else number,
        )
        if self.lengths is None:
            return stimulus
        return replace(stimulus, length=int(self.lengths[index]))

    def stimuli(self, limit: int | None = None) -> Iterator[tuple[int, Stimulus]]:
        """Yield all inputs, or the first ``limit``, with their positions."""
        for index in range(len(self) if limit is None else min(limit, len(self))):
            yield index, self.stimulus(index)

    @property
    def n_rounded(self) -> int:
        """How many values lie between the levels that the chip receives."""
        if self.training.encoding in INTEGERS:
            return 0
        return sum(to_gray(x)[1] for x in self._blocks())

    def remarks(self) -> list[str]:
        """Return what the network does not get, or not as it may be meant."""
        training, found = self.training, [*self.notes]
        if self.n_rounded:
            found.append(
                f"{self.n_rounded} of {self.x.size} values lie between the 256 levels "
                "that the chip receives; they are rounded"
            )
        if training.encoding is Encoding.EVENTS:
            n_late = int(np.count_nonzero(self.x[:, training.timesteps :]))
            if n_late:
                found.append(
                    f"{n_late:,} of {np.count_nonzero(self.x):,} spikes come after "
                    f"timestep {training.timesteps}, the network's last, and are left "
                    f"out; compile it with --timesteps {self.x.shape[1]} to take them"
                    f"{turned('spikes', self.x, training.timesteps)}"
                )
        elif training.encoding is Encoding.BIAS:
            found.append(
                f"the host writes {self.x[0].size} biases before each input; no target "
                "has a price for that, so that no cost holds it"
            )
        elif training.input_range == (0, 1) and not training.inputs:
            found += dark_bytes(self.x)
        if self.has_idle_labels:
            found.append(
                "the network has one output, so it answers with a value and no class; "
                "the labels y are left out (store values as floats)"
            )
        return found

    @cached_property
    def hashes(self) -> IntArray:
        """A number for each input, the same wherever the chip receives the same."""
        is_whole = self.training.encoding in INTEGERS
        return np.concatenate(
            [input_hashes(x if is_whole else to_gray(x)[0]) for x in self._blocks()]
        )

    def _blocks(self) -> Iterator[AnyArray]:
        """Yield all inputs, few enough at once for copies of them."""
        n = max(1, BLOCK // max(1, self.x[:1].size))
        for start in range(0, len(self), n):
            yield self.x[start : start + n]

    @property
    def sha256(self) -> str:
        """The hash of the inputs and their lengths, without the labels."""
        digest = hashlib.sha256(f"{self.x.shape}{self.x.dtype}".encode())
        digest.update(np.ascontiguousarray(self.x).tobytes())
        if self.lengths is not None:
            digest.update(self.lengths.tobytes())
        return digest.hexdigest()


def dark_bytes(x: AnyArray, name: str = "x") -> list[str]:
    """Return a remark if bytes reach so little that 255 may not stand for 1."""
    largest = int(x.max(initial=0)) if x.dtype == np.uint8 else 0
    if not 0 < largest < DARK:
        return []
    return [
        f"the bytes of {name} reach to {largest}, and 255 stands for 1: the largest "
        f"value is {largest / GRAY_LEVELS:.3g}; if {largest} is to be 1, store {name} "
        f"/ {largest}"
    ]


def _dark_inputs(arrays: dict[str, AnyArray], training: Training) -> list[str]:
    """Return the remarks on each of several inputs, which brighter ones would hide."""
    if training.encoding is Encoding.EVENTS:
        return []
    return [
        remark
        for given in training.inputs
        if (given.low, given.high) == (0, 1)
        for remark in dark_bytes(arrays[given.name], given.name)
    ]


def read_data(
    path: str | os.PathLike[str],
    input_shape: Shape,
    training: Training,
    *,
    n_outputs: int | None = None,
) -> Data:
    """Return the inputs in the ``.npz``, ``.npy`` or ``.pt`` file for a network.

    Labels must name one of the ``n_outputs`` of the network, if they are given; floats
    are values of each.

    Raises
    ------
    DataError
        If the file is missing or of another kind, or holds something else than this
        network takes.
    """
    path = Path(path)
    return check_data(
        path, load_arrays(path), input_shape, training, n_outputs=n_outputs
    )


def check_data(
    path: Path,
    arrays: dict[str, AnyArray],
    input_shape: Shape,
    training: Training,
    *,
    n_outputs: int | None = None,
) -> Data:
    """Return the inputs among the arrays of ``path``; see ``read_data``."""
    is_events = training.encoding is Encoding.EVENTS
    name = input_name(training.encoding, arrays)
    truths = arrays
    arrays = as_named(path, as_row(path, arrays, training, name), name)
    if (head := training.head) is not None and head.name in truths:
        arrays["y"] = truths[head.name]
    notes = _dark_inputs(truths, training)
    if is_recorded(arrays[name]):
        arrays, note = binned(path, arrays, name, input_shape, training)
        notes.append(note)
    x, varies = in_shape(path, name, arrays[name], input_shape, training)
    if len(x) == 0:
        raise DataError(f"{path}: holds no inputs; add at least one")
    check_order(path, name, x, arrays.get("y", x), len(input_shape))
    lengths = lengths_in(path, arrays, x, training, has_time=varies or is_events)
    if lengths is not None:
        x = padded(x, lengths, training)
    try:
        x, rounded = _in_units(name, x, training)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    notes += rounded
    _check_values(path, name, x, training)
    if varies and lengths is None:
        x = without_repeats(x, input_shape)
        varies = len(x.shape) > len(input_shape) + 1
    if varies:
        _check_sequences(path, x, training)
    data = Data(
        x=x,
        y=None,
        training=training,
        varies=varies,
        lengths=lengths,
        notes=tuple(notes),
    )
    return _with_truths(path, data, arrays["y"], n_outputs) if "y" in arrays else data


def _in_units(name: str, x: AnyArray, training: Training) -> tuple[AnyArray, list[str]]:
    """Return inputs as shares of their range, or as mantissas, and what to note."""
    if training.encoding is not Encoding.BIAS:
        return to_shares(x, *training.input_range), []
    if name == "bias":
        check_mantissas(x)
        return x.astype(np.int32), []
    scale, offset = training.input_scale, training.input_offset
    mantissas, n_rounded = to_mantissas(x, scale, offset)
    note = f"{n_rounded} of {x.size} biases, {scale:g} * x + {offset:g}, are rounded"
    return mantissas, [note] if n_rounded else []


def _with_truths(path: Path, data: Data, y: AnyArray, n_outputs: int | None) -> Data:
    """Return the inputs with what the outputs should be: labels, or values."""
    n, head = len(data), data.training.head
    if are_values(y, n_outputs, head):
        return replace(data, targets=values_of(path, y, n, n_outputs, head))
    if n_outputs == 1:
        return replace(data, has_idle_labels=True)
    return replace(data, y=labels_of(path, y, n, n_outputs))


def _check_sequences(path: Path, x: AnyArray, training: Training) -> None:
    """Raise an error if values that change are not what a network takes."""
    if training.encoding is Encoding.BIAS:
        raise DataError(
            f"{path}: x changes over {x.shape[1]} timesteps, and a bias is one for all "
            "of them; store inputs of one value for each position"
        )
    if training.encoding is Encoding.RATE:
        raise DataError(
            f"{path}: x changes over {x.shape[1]} timesteps, and encoding 'rate' draws "
            "the spikes of all timesteps from one value; compile the network with "
            "encoding='direct'"
        )
    if x.shape[1] != training.timesteps:
        raise DataError(
            f"{path}: x lasts {x.shape[1]} timesteps, the network "
            f"{training.timesteps}; compile it with --timesteps {x.shape[1]}, store "
            "as many, or store in lengths how many each input lasts"
            f"{turned('x', x, training.timesteps)}"
        )


def _check_values(path: Path, name: str, x: AnyArray, training: Training) -> None:
    if training.encoding is Encoding.BIAS:
        return
    if training.encoding is not Encoding.EVENTS:
        try:
            to_gray(x if x.dtype != np.uint8 else x[:0])  # every byte is a level
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        step = training.input_scale / GRAY_LEVELS
        if (
            x.dtype == np.uint8
            and len(x) > 1
            and x.max(initial=0) == 1
            and step < 1 / 2
        ):
            raise DataError(
                f"{path}: {name} holds only the bytes 0 and 1, and 255 stands for 1; "
                f"store {name} * 255, or floats"
            )
        return
    _check_counts(path, name, x, training)
    if x.shape[1] < training.timesteps:
        raise DataError(
            f"{path}: {name} lasts {x.shape[1]} timesteps, the network needs "
            f"{training.timesteps}; compile it with fewer --timesteps, or store in "
            f"lengths how many each input lasts{turned(name, x, training.timesteps)}"
        )
    if len(x) > 1 and x.any() and not x[:, : training.timesteps].any():
        raise DataError(
            f"{path}: all {np.count_nonzero(x):,} spikes of {name} come after timestep "
            f"{training.timesteps}, the network's last; compile it with --timesteps "
            f"{x.shape[1]}"
        )


def _check_counts(path: Path, name: str, x: AnyArray, training: Training) -> None:
    """Raise an error for what is no number of spikes, or more than expected."""
    if x.dtype.kind in "if" and x.size and x.min() < 0:
        raise DataError(
            f"{path}: {name} reaches down to {x.min():g}, and spikes have no sign; "
            "give each polarity its own channel, or save the network with "
            f"encoding='direct' and input_range=({x.min():g}, {x.max():g})"
        )
    if not is_counts(x):
        raise DataError(
            f"{path}: {name} holds values other than whole numbers from 0 to "
            f"{GRAY_LEVELS}; store how many spikes each timestep and position has"
        )
    most = int(x.max(initial=0))
    if most > training.largest_count:
        raise DataError(
            f"{path}: {name} holds counts up to {most}, the network takes "
            f"{training.largest_count}; give largest_count={most} to save or "
            f"sd.compile, for a target with graded spikes, or clip counts at "
            f"{training.largest_count} in training and in the data"
        )


def load_arrays(path: Path) -> dict[str, AnyArray]:
    """Return the arrays of an ``.npz`` or ``.pt`` file, none of which can hold code.

    The one of an ``.npy`` file is called "x".
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path")
    if path.suffix in ENDINGS:
        return load_tensors(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                check_archive(archive, may_pack=True)
                entries = archive.infolist()
                for entry in entries:
                    if not entry.filename.endswith(".npy"):
                        raise ValueError(f"it holds {entry.filename!r}, no array")
                return {
                    entry.filename.removesuffix(".npy"): _array(
                        partial(archive.open, entry), entry.filename, entry.file_size
                    )
                    for entry in entries
                }
        with path.open("rb") as file:
            _check_magic(file.read(SAMPLE))
        return {"x": _array(lambda: path.open("rb"), path.name, path.stat().st_size)}
    except MemoryError as error:
        raise DataError(
            f"{path}: larger than the memory; cut it into several files"
        ) from error
    except _NO_NPZ as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: not an .npz of plain arrays, or cut short ({why}); store it "
            "with np.savez(path, x=..., y=...)"
        ) from error


def _check_magic(start: bytes) -> None:
    """Raise a ``ValueError`` that says what a file is, if no array."""
    if start.startswith(npy.MAGIC_PREFIX):
        return
    is_text = bool(start) and not set(start) - set(TEXT)
    raise ValueError("it is text" if is_text else "NumPy has not written it")


def _array(opened: Callable[[], IO[bytes]], name: str, n_bytes: int) -> AnyArray:
    """Return one array, unless its header declares another size than it has."""
    with opened() as file:
        version = npy.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = npy.read_array_header_1_0(file)
        else:
            shape, _, dtype = npy.read_array_header_2_0(file)
        check_header(shape, dtype)
        declared = file.tell() + prod(shape) * dtype.itemsize
    if not dtype.hasobject and declared != n_bytes:
        raise ValueError(
            f"{name}: shape {shape} makes {declared} bytes, it has {n_bytes}"
        )
    with opened() as file:
        array: AnyArray = npy.read_array(file, allow_pickle=False)
    return array


def check_header(shape: Shape, dtype: np.dtype[np.generic]) -> None:
    """Raise a ``ValueError`` for an array that no program writes.

    A size of 0 hides how large the others are, and so does a type without bytes.
    """
    if any(type(size) is not int or not 0 <= size < 1 << 62 for size in shape):
        raise ValueError(f"an array has shape {shape}; sizes are whole numbers")
    if prod(size for size in shape if size) >= 1 << 62 or dtype.itemsize == 0:
        raise ValueError(f"an array of {dtype} has shape {shape}, which none has")
