"""Memory that the host shares with Lava's processes: stimulus, spikes, counts."""

import mmap
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snn_deploy.arrays import AnyArray, BoolArray, IntArray, Shape
from snn_deploy.ir.dynamics import State
from snn_deploy.ir.quantized import Population, QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus


def shared_zeros(shape: Shape, dtype: npt.DTypeLike) -> AnyArray:
    """Return zeros in memory shared with all processes that are forked later.

    It has no name in the file system and goes with the last process that uses it.
    """
    empty = np.zeros(shape, dtype)  # lazily allocated; only its size is of use
    memory = mmap.mmap(-1, max(empty.nbytes, 1))
    return np.frombuffer(memory, dtype, empty.size).reshape(shape)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a machine is built for: how long an input lasts, what is kept of it."""

    n_timesteps: int
    is_recording: bool = False
    quantities: tuple[str, ...] = ()
    reset_every: int | None = None

    def n_chip_timesteps(self, graph: QuantizedGraph) -> int:
        """Return the chip timesteps of an input that is not stopped."""
        return self.n_timesteps + graph.lag

    def held_after(self, graph: QuantizedGraph) -> int | None:
        """Return the local timestep after which populations rest, if they do."""
        holds = graph.precision.counts_timesteps and not self.is_recording
        return self.n_timesteps if holds else None

    def n_silent(self, graph: QuantizedGraph) -> int:
        """Return the chip timesteps before the first that the host hears of."""
        return 0 if self.is_recording else graph.depth


@dataclass(frozen=True, kw_only=True, eq=False)
class Ledger:
    """What a process writes down for the host."""

    name: str  # as in the graph
    process_id: IntArray  # (1,)
    executed: IntArray  # (1,), timesteps of the latest input, written at its end
    n_steps: IntArray  # (1,), timesteps of all inputs, written at the end of each


def new_ledger(name: str) -> Ledger:
    """Return the empty ledger of one process."""
    return Ledger(
        name=name,
        process_id=shared_zeros((1,), np.int64),
        executed=shared_zeros((1,), np.int64),
        n_steps=shared_zeros((1,), np.int64),
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
class Tape:
    """What the neurons of one population did, timestep by timestep."""

    rows: dict[str, IntArray]  # by quantity: (n_chip_timesteps, n_neurons)

    def write(self, timestep: int, state: State) -> None:
        """Keep the state at a chip timestep, counted from 1."""
        for quantity, rows in self.rows.items():
            rows[timestep - 1] = getattr(state, quantity)[0]


def new_tape(
    n_timesteps: int, population: Population, quantities: tuple[str, ...]
) -> Tape:
    """Return a tape of zeros; spikes take as few bytes as the largest one needs."""
    spike = np.min_scalar_type(population.max_spikes)
    kinds = {quantity: np.dtype(np.int32) for quantity in quantities}
    kinds |= {"spikes": spike} if "spikes" in quantities else {}
    size = (n_timesteps, population.size)
    return Tape(rows={name: shared_zeros(size, kind) for name, kind in kinds.items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class Feed:
    """The stimulus of the input in progress."""

    values: IntArray  # (n_timesteps, n_neurons); the first row alone when constant
    is_constant: BoolArray  # (1,)
    biases: IntArray  # (n,), mantissas for the populations that take a bias
    has_bias: BoolArray  # (1,)

    def write(self, stimulus: Stimulus) -> None:
        """Put the next input in place."""
        rows = stimulus.values.reshape(len(stimulus.values), -1)
        n_rows = min(len(rows), len(self.values))
        self.is_constant[0] = stimulus.is_constant
        self.values[:n_rows] = rows[:n_rows]
        if not stimulus.is_constant:
            self.values[n_rows:] = 0
        self.has_bias[0] = stimulus.bias is not None
        if stimulus.bias is not None and self.biases.size:
            self.biases[:] = stimulus.bias.reshape(-1)

    def bias(self, population: Population) -> IntArray | None:
        """Return the mantissas that the stimulus brings for a population, if any."""
        return self.biases if population.takes_bias and self.has_bias[0] else None

    def at(self, timestep: int) -> IntArray:
        """Return what is injected at a chip timestep; zeros after the last."""
        if timestep > len(self.values):
            return np.zeros(self.values.shape[1], self.values.dtype)
        values: IntArray = self.values[0 if self.is_constant[0] else timestep - 1]
        return values


def new_feed(n_timesteps: int, graph: QuantizedGraph) -> Feed:
    """Return a feed of zeros."""
    n_biases = max((p.size for p in graph.populations if p.takes_bias), default=0)
    return Feed(
        values=shared_zeros((n_timesteps, graph.source.size), np.int32),
        is_constant=shared_zeros((1,), np.bool_),
        biases=shared_zeros((n_biases,), np.int64),
        has_bias=shared_zeros((1,), np.bool_),
    )
