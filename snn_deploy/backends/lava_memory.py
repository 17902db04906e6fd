"""Memory that the host shares with Lava's processes: stimulus, spikes, counts."""

import mmap
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snn_deploy.arrays import AnyArray, BoolArray, IntArray, Shape
from snn_deploy.spikes import Stimulus


def shared_zeros(shape: Shape, dtype: npt.DTypeLike) -> AnyArray:
    """Return zeros in memory shared with all processes that are forked later.

    It has no name in the file system and goes with the last process that uses it.
    """
    empty = np.zeros(shape, dtype)  # lazily allocated; only its size is of use
    memory = mmap.mmap(-1, max(empty.nbytes, 1))
    return np.frombuffer(memory, dtype, empty.size).reshape(shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ledger:
    """What a process writes down for the host."""

    name: str  # as in the graph
    process_id: IntArray  # (1,)
    executed: IntArray  # (1,), timesteps of the latest input, written at its end


def new_ledger(name: str) -> Ledger:
    """Return the empty ledger of one process."""
    return Ledger(
        name=name,
        process_id=shared_zeros((1,), np.int64),
        executed=shared_zeros((1,), np.int64),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Raster:
    """One bit for each neuron and chip timestep."""

    n_neurons: int
    bits: AnyArray  # (n_chip_timesteps, n_neurons / 8)

    def write(self, timestep: int, values: BoolArray) -> None:
        """Keep the bits of a chip timestep, counted from 1."""
        self.bits[timestep - 1] = np.packbits(values)

    def read(self, n_timesteps: int) -> BoolArray:
        """Return a copy of the first timesteps, ``(n_timesteps, n_neurons)``."""
        bits = np.unpackbits(self.bits[:n_timesteps], axis=1, count=self.n_neurons)
        return bits.astype(np.bool_)


def new_raster(n_timesteps: int, n_neurons: int) -> Raster:
    """Return a raster of zeros."""
    bits = shared_zeros((n_timesteps, -(-n_neurons // 8)), np.uint8)
    return Raster(n_neurons=n_neurons, bits=bits)


@dataclass(frozen=True, kw_only=True, eq=False)
class Feed:
    """The stimulus of the input in progress."""

    values: IntArray  # (n_timesteps, n_neurons); the first row alone when constant
    is_constant: BoolArray  # (1,)

    def write(self, stimulus: Stimulus) -> None:
        """Put the next input in place."""
        rows = stimulus.values.reshape(len(stimulus.values), -1)
        n_rows = min(len(rows), len(self.values))
        self.is_constant[0] = stimulus.is_constant
        self.values[:n_rows] = rows[:n_rows]
        if not stimulus.is_constant:
            self.values[n_rows:] = 0

    def at(self, timestep: int) -> IntArray:
        """Return what is injected at a chip timestep; zeros after the last."""
        if timestep > len(self.values):
            return np.zeros(self.values.shape[1], self.values.dtype)
        values: IntArray = self.values[0 if self.is_constant[0] else timestep - 1]
        return values


def new_feed(n_timesteps: int, n_neurons: int) -> Feed:
    """Return a feed of zeros."""
    return Feed(
        values=shared_zeros((n_timesteps, n_neurons), np.int32),
        is_constant=shared_zeros((1,), np.bool_),
    )
