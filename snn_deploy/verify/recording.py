"""Record what every neuron does, from raw spikes or biases, timestep by timestep."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snn_deploy.arrays import AnyArray, IntArray, Shape, n_neurons
from snn_deploy.backends.protocol import (
    LIMITED,
    QUANTITIES,
    BatchProgram,
    Program,
    Recording,
)
from snn_deploy.data.data import load_arrays, read_data
from snn_deploy.data.lengths import lengths_in
from snn_deploy.errors import DataError
from snn_deploy.files.writing import write_whole
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus

MOST_AT_ONCE = 25  # inputs that are recorded together
MOST_VALUES = 1 << 23  # of these
LARGEST = 1 << 24  # of a raw input: 24 bits


@dataclass(frozen=True, kw_only=True, eq=False)
class RawInputs:
    """Inputs in the integers that the chip receives."""

    stimuli: tuple[Stimulus, ...]
    n_timesteps: int
    remarks: tuple[str, ...] = ()  # see ``Data.remarks``
    lengths: tuple[int, ...] | None = None  # where inputs end before

    @property
    def ends(self) -> tuple[int, ...]:
        """The last timestep of each input."""
        if self.lengths is None:
            return (self.n_timesteps,) * len(self.stimuli)
        return tuple(min(length, self.n_timesteps) for length in self.lengths)


def read_raw(
    path: Path, graph: QuantizedGraph, n_timesteps: int | None = None
) -> RawInputs:
    """Return the inputs in the ``.npz`` file at ``path``.

    The file holds ``spikes`` (n, n_timesteps, shape...), integers that the first layer
    receives, ``bias`` (n, shape...), constant mantissas for the population that takes a
    bias, or both, and the ``lengths`` of spikes; or ``x``, which is encoded as the
    network was trained.

    Parameters
    ----------
    path : Path
    graph : QuantizedGraph
    n_timesteps : int, optional
        How long each input lasts; default: as long as the spikes, else as trained.

    Raises
    ------
    DataError
        If the file is missing, or does not fit the network.
    """
    arrays = load_arrays(path)
    if "spikes" not in arrays and "bias" not in arrays:
        data = read_data(path, graph.source.shape, graph.training)
        stimuli = tuple(stimulus for _, stimulus in data.stimuli())
        return RawInputs(
            stimuli=stimuli,
            n_timesteps=n_timesteps or graph.training.timesteps,
            lengths=_listed(data.lengths),
            remarks=tuple(data.remarks()),
        )
    spikes, bias = arrays.get("spikes"), arrays.get("bias")
    n = len(spikes) if spikes is not None else len(_present(bias))
    if bias is not None:
        bias = _shaped(path, "bias", bias, (n,), _bias_shape(path, graph))
    if spikes is None:
        spikes = np.zeros((n, 1, *graph.source.shape), np.int32)
        lasts = graph.training.timesteps
    else:
        lasts = spikes.shape[1] if spikes.ndim > 1 else 0
        spikes = _shaped(path, "spikes", spikes, (n, lasts), graph.source.shape)
    if n == 0 or lasts == 0:
        raise DataError(f"{path}: holds no timesteps; add at least one")
    whole = replace(graph.training, timesteps=lasts)
    lengths = lengths_in(path, arrays, spikes, whole, has_time="spikes" in arrays)
    stimuli = tuple(
        Stimulus(
            values=spikes[i], is_constant=False, bias=None if bias is None else bias[i]
        )
        for i in range(n)
    )
    return RawInputs(
        stimuli=stimuli, n_timesteps=n_timesteps or lasts, lengths=_listed(lengths)
    )


def _listed(lengths: IntArray | None) -> tuple[int, ...] | None:
    return None if lengths is None else tuple(lengths.tolist())


def _present(array: AnyArray | None) -> AnyArray:
    assert array is not None
    return array


def _bias_shape(path: Path, graph: QuantizedGraph) -> Shape:
    takers = [p for p in graph.populations if p.takes_bias]
    if not takers:
        raise DataError(
            f"{path}: has a bias, but no layer of {graph.name} takes one; store spikes"
        )
    return takers[0].shape


def _shaped(
    path: Path, name: str, array: AnyArray, leading: Shape, shape: Shape
) -> IntArray:
    """Return integers of shape (leading..., shape...); axes of size 1 do not matter."""
    found = array.shape[len(leading) :]
    squeezed = tuple(n for n in found if n != 1)
    if array.shape[: len(leading)] != leading or squeezed != tuple(
        n for n in shape if n != 1
    ):
        raise DataError(
            f"{path}: {name} has shape {array.shape}, needed is "
            f"{(*leading, *shape)}; store it so"
        )
    if (
        not np.array_equal(array, np.rint(array))
        or np.abs(array).max(initial=0) >= LARGEST
    ):
        raise DataError(
            f"{path}: {name} must hold integers of 24 bits; round or rescale it"
        )
    integers: IntArray = array.astype(np.int64).reshape(*leading, *shape)
    return integers


def record(
    program: Program,
    graph: QuantizedGraph,
    inputs: RawInputs,
    quantities: Sequence[str],
    *,
    reset_every: int | None = None,
    chip_time: bool = False,
) -> Iterator[dict[str, IntArray]]:
    """Yield, for each input, ``<population>/<quantity>`` (n_timesteps, shape...).

    Of ``LIMITED``, counts of a whole population, the shape is (n_timesteps, 1).
    Row t is the population's local timestep t + 1, so that all layers are aligned with
    the input; with ``chip_time`` it is the chip's timestep t + 1. Rows behind the end
    of an input are 0.
    """
    n = inputs.n_timesteps
    values = sum(p.size for p in graph.populations) * (n + graph.lag) * len(quantities)
    size = max(1, min(MOST_AT_ONCE, MOST_VALUES // values))
    for start in range(0, len(inputs.stimuli), size):
        stimuli = inputs.stimuli[start : start + size]
        if isinstance(program, BatchProgram):
            recordings = program.record_all(
                stimuli, quantities, n_timesteps=n, reset_every=reset_every
            )
        else:
            recordings = [
                program.record(s, quantities, n_timesteps=n, reset_every=reset_every)
                for s in stimuli
            ]
        ends = inputs.ends[start : start + size]
        for found, end in zip(recordings, ends, strict=True):
            _end(found, graph, end)
            yield {
                f"{name}/{quantity}": _rows(
                    found, graph, name, quantity, n, chip_time=chip_time
                )
                for name, quantity in found
            }


def _end(found: Recording, graph: QuantizedGraph, end: int) -> None:
    """Leave nothing behind the end of an input, at which the chip would go on."""
    for name, quantity in found:
        last = graph.population(name).offset + end
        found[name, quantity] = np.concatenate(
            [found[name, quantity][:last], np.zeros_like(found[name, quantity][last:])]
        )


def _rows(
    found: Recording,
    graph: QuantizedGraph,
    name: str,
    quantity: str,
    n_timesteps: int,
    *,
    chip_time: bool,
) -> IntArray:
    population = graph.population(name)
    values = found[name, quantity]
    if not chip_time:
        values = values[population.offset : population.offset + n_timesteps]
    shape = (1,) if quantity in LIMITED else population.shape
    return values.reshape(-1, *shape)


def take_limited(
    recordings: Iterable[dict[str, IntArray]], found: dict[str, dict[str, int]]
) -> Iterator[dict[str, IntArray]]:
    """Yield recordings without ``LIMITED``; add these to ``found``, by population."""
    for rows in recordings:
        kept = {}
        for name, values in rows.items():
            population, _, quantity = name.rpartition("/")
            if quantity not in LIMITED:
                kept[name] = values
                continue
            counts = found.setdefault(population, dict.fromkeys(LIMITED, 0))
            counts[quantity] += int(values.sum())
        yield kept


def parse_quantities(text: str) -> tuple[str, ...]:
    """Return the quantities named in a list with commas."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in QUANTITIES:
            raise ValueError(
                f"{name!r} cannot be recorded; choose from {', '.join(QUANTITIES)}"
            )
    return names


def write_trace(recordings: Iterable[dict[str, IntArray]], path: Path) -> int:
    """Write recordings as one ``.npz``, an axis for the inputs first; return how many.

    Integers are stored in the smallest type that holds them.
    """
    rows = list(recordings)
    packed = {name: _packed(np.stack([row[name] for row in rows])) for name in rows[0]}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **packed)  # type: ignore[arg-type]

    write_whole(path, write)
    return len(rows)


def _packed(array: IntArray) -> IntArray:
    assert n_neurons(array.shape) > 0
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if info.min <= array.min() and array.max() <= info.max:
            packed: IntArray = array.astype(dtype)
            return packed
    return array
