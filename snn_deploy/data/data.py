"""Read input data: ``.npz`` with ``x`` (n, shape...) or ``spikes``, and ``y``."""

import hashlib
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from snn_deploy.arrays import AnyArray, IntArray, Shape
from snn_deploy.errors import DataError
from snn_deploy.files.archives import check_archive
from snn_deploy.ir.graph import Training
from snn_deploy.ir.stimuli import (
    GRAY_LEVELS,
    Encoding,
    Stimulus,
    encode,
    input_hashes,
    to_gray,
)

DARK = 128  # a bit of every byte below is idle
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
    """Inputs for a network, checked, and their labels if they have any."""

    x: AnyArray  # (n, shape...), or spikes (n, n_timesteps, shape...)
    y: IntArray | None  # (n,)
    training: Training
    has_idle_labels: bool = False  # left out, since there are no classes

    def __len__(self) -> int:
        return len(self.x)

    def take(self, positions: Sequence[int]) -> "Data":
        """Return the inputs at these positions, in that order."""
        y = None if self.y is None else self.y[list(positions)]
        return replace(self, x=self.x[list(positions)], y=y)

    def stimulus(self, index: int) -> Stimulus:
        """Return one input as the chip receives it."""
        training = self.training
        return encode(self.x[index], training.encoding, training.timesteps, index=index)

    def stimuli(self, limit: int | None = None) -> Iterator[tuple[int, Stimulus]]:
        """Yield all inputs, or the first ``limit``, with their positions."""
        for index in range(len(self) if limit is None else min(limit, len(self))):
            yield index, self.stimulus(index)

    @property
    def n_rounded(self) -> int:
        """How many values lie between the levels that the chip receives."""
        if self.training.encoding is Encoding.EVENTS:
            return 0
        return sum(to_gray(x)[1] for x in self._blocks())

    def remarks(self) -> list[str]:
        """Return what the network does not get, or not as it may be meant."""
        training, found = self.training, []
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
                )
        else:
            found += dark_bytes(self.x)
        if self.has_idle_labels:
            found.append(
                "the network has one output, so it answers with a value and no class; "
                "the labels y are left out"
            )
        return found

    @cached_property
    def hashes(self) -> IntArray:
        """A number for each input, the same wherever the chip receives the same."""
        is_events = self.training.encoding is Encoding.EVENTS
        return np.concatenate(
            [input_hashes(x if is_events else to_gray(x)[0]) for x in self._blocks()]
        )

    def _blocks(self) -> Iterator[AnyArray]:
        """Yield all inputs, few enough at once for copies of them."""
        n = max(1, BLOCK // max(1, self.x[:1].size))
        for start in range(0, len(self), n):
            yield self.x[start : start + n]

    @property
    def sha256(self) -> str:
        """The hash of the inputs, without the labels."""
        digest = hashlib.sha256(f"{self.x.shape}{self.x.dtype}".encode())
        digest.update(np.ascontiguousarray(self.x).tobytes())
        return digest.hexdigest()


def dark_bytes(x: AnyArray) -> list[str]:
    """Return a remark if bytes reach so little that 255 may not stand for 1."""
    largest = int(x.max(initial=0)) if x.dtype == np.uint8 else 0
    if not 0 < largest < DARK:
        return []
    return [
        f"the bytes of x reach to {largest}, and 255 stands for 1: the largest value "
        f"is {largest / GRAY_LEVELS:.3g}; if {largest} is to be 1, store x / {largest}"
    ]


def read_data(
    path: str | os.PathLike[str],
    input_shape: Shape,
    training: Training,
    *,
    n_outputs: int | None = None,
) -> Data:
    """Return the inputs in the ``.npz`` file at ``path`` for a network.

    Labels must name one of the ``n_outputs`` of the network, if they are given.

    Raises
    ------
    DataError
        If the file is missing or no ``.npz``, or holds something else than this network
        takes.
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
    name = "spikes" if is_events else "x"
    if name not in arrays:
        raise DataError(
            f"{path}: has no {name!r} but {', '.join(sorted(arrays)) or 'nothing'}; "
            f"store the inputs as {name!r}"
        )
    x = arrays[name]
    axis = 2 if is_events else 1
    shape = x.shape[axis:]
    is_line = len(input_shape) == 3 and input_shape[1] == 1
    if is_line and shape == (input_shape[0], input_shape[2]):  # of a 1d convolution
        x = x.reshape(*x.shape[:axis], *input_shape)
        shape = input_shape
    if shape != input_shape and shape == _row(input_shape):
        x, shape = x.reshape(*x.shape[:-1], 1, x.shape[-1]), input_shape
    if shape != input_shape:
        raise DataError(
            f"{path}: {name} has inputs of shape {shape}, the network takes "
            f"{input_shape}; store {name} as (n, "
            + ("timesteps, " if is_events else "")
            + ", ".join(map(str, input_shape))
            + ")"
        )
    if len(x) == 0:
        raise DataError(f"{path}: holds no inputs; add at least one")
    _check_values(path, name, x, training)
    if n_outputs == 1:
        return Data(x=x, y=None, training=training, has_idle_labels="y" in arrays)
    labels = _labels(path, arrays.get("y"), len(x), n_outputs)
    return Data(x=x, y=labels, training=training)


def _row(shape: Shape) -> Shape:
    """Return the shape of a map of height 1 as that of a row of several channels."""
    is_row = len(shape) == 3 and shape[1] == 1
    return (shape[0], shape[2]) if is_row else shape


def _check_values(path: Path, name: str, x: AnyArray, training: Training) -> None:
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
    elif not np.isin(x, (0, 1)).all():
        raise DataError(
            f"{path}: {name} holds values other than 0 and 1; store one spike at most "
            "for each timestep and position"
        )
    elif x.shape[1] < training.timesteps:
        raise DataError(
            f"{path}: {name} lasts {x.shape[1]} timesteps, the network needs "
            f"{training.timesteps}; compile it with fewer --timesteps"
        )
    elif len(x) > 1 and x.any() and not x[:, : training.timesteps].any():
        raise DataError(
            f"{path}: all {np.count_nonzero(x):,} spikes of {name} come after timestep "
            f"{training.timesteps}, the network's last; compile it with --timesteps "
            f"{x.shape[1]}"
        )


def load_arrays(path: Path) -> dict[str, AnyArray]:
    """Return the arrays of an ``.npz`` file, none of which can hold code."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                check_archive(archive, may_pack=True)
                entries = archive.infolist()
                if any(e.filename.endswith("/data.pkl") for e in entries):
                    raise ValueError("torch.save wrote it")
                for entry in entries:
                    if not entry.filename.endswith(".npy"):
                        raise ValueError(f"it holds {entry.filename!r}, no array")
                return {
                    entry.filename.removesuffix(".npy"): _array(archive, entry)
                    for entry in entries
                }
        with path.open("rb") as file:
            _check_magic(file.read(SAMPLE))
            file.seek(0)
            np.load(file, allow_pickle=False)
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
    raise DataError(f"{path}: one array, not an .npz; store it with np.savez")


def _check_magic(start: bytes) -> None:
    """Raise a ``ValueError`` that says what a file is, if no array."""
    if start.startswith(npy.MAGIC_PREFIX):
        return
    is_text = bool(start) and not set(start) - set(TEXT)
    raise ValueError("it is text" if is_text else "NumPy has not written it")


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> AnyArray:
    """Return one array, unless its header declares another size than it has."""
    with archive.open(entry) as file:
        version = npy.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = npy.read_array_header_1_0(file)
        else:
            shape, _, dtype = npy.read_array_header_2_0(file)
        check_header(shape, dtype)
        declared = file.tell() + prod(shape) * dtype.itemsize
    if not dtype.hasobject and declared != entry.file_size:
        raise ValueError(
            f"{entry.filename}: shape {shape} makes {declared} bytes, it has "
            f"{entry.file_size}"
        )
    with archive.open(entry) as file:
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


def _labels(
    path: Path, y: AnyArray | None, n: int, n_outputs: int | None
) -> IntArray | None:
    if y is None:
        return None
    if y.shape != (n,) or y.dtype.kind not in "iu":
        raise DataError(
            f"{path}: y is {y.dtype} of shape {y.shape}; store integers of shape "
            f"({n},), one label for each input"
        )
    if n_outputs is not None and (y.min() < 0 or y.max() >= n_outputs):
        raise DataError(
            f"{path}: y reaches from {y.min()} to {y.max()}, the network has "
            f"{n_outputs} outputs; count labels from 0"
        )
    labels: IntArray = y.astype(np.int64)
    return labels
