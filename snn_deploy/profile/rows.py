"""One row for each input: what it gave and what it cost, as columns of numbers."""

import tempfile
from collections.abc import Sequence
from types import SimpleNamespace
from typing import overload

import numpy as np

from snn_deploy.arrays import AnyArray, BoolArray, FloatArray
from snn_deploy.chip.events import COLUMNS as COUNTED
from snn_deploy.chip.target import BAND, end_name
from snn_deploy.costs.energy import LEFT_OUT, PARTS, TOTAL, parts_within, sum_of

IN_MEMORY = 1 << 26  # bytes of a table; a larger one lies in a file without a name
NO_LABEL = -1


class Row(SimpleNamespace):
    """What one input gave and cost: a field for each of ``COLUMNS``.

    Energies and times are modelled, from counts and the target's prices; the ones
    called low and high are the ends of the band. ``None`` is unknown.
    """

    @property
    def is_right(self) -> bool:
        return bool(self.prediction == self.label)

    @property
    def energy_j(self) -> float | None:
        """Up to the board; unknown if a part is that cannot be left out."""
        parts = {
            part: getattr(self, f"energy_{part}_j") for part in parts_within(TOTAL)
        }
        if any(parts[p] is None for p in parts if p not in LEFT_OUT):
            return None
        return sum(energy or 0.0 for energy in parts.values())


# column: unit, meaning
COLUMNS = {
    "index": ("", "position of the input in the data, from 0"),
    "input_hash": (
        "", "a number for what the chip receives, the same for the same input"
    ),
    "label": ("", "the right answer; null: unknown"),
    "prediction": (
        "", "the answer: the output with the largest score; 0 if answers are values"
    ),
    "timesteps": ("timesteps", "input timesteps that the decision took"),
    "chip_timesteps": (
        "timesteps",
        "chip timesteps that the input holds the chip: with the pipeline's if inputs "
        "are served one by one",
    ),
    "stopped_early": ("", "whether it ended before the last timestep"),
    "gap": ("", "largest less second largest score at the stop; 0 for values"),
    "squared_error": (
        "",
        "of values, in the network's units: squared difference to what they should be, "
        "mean of the outputs; null: answers are classes, or it is not known",
    ),
    "absolute_error": ("", "the same, of the differences without sign"),
    **{name: ("events", meaning) for name, meaning in COUNTED.items()},
    "run_on_synaptic_operations": (
        "events",
        "synaptic operations for spikes of layers after their last timestep, until the "
        "answer is out; among the others",
    ),
    **{
        end_name(f"energy_{part}_j", end): ("J", f"{meaning}, {end} prices")
        for part, meaning in zip(
            PARTS,
            (
                "neurocores: energy of the events there",
                "chip: energy of the steps from tile to tile",
                "chip: static power times the time that the input holds the chip",
                "chip: energy to clear it between inputs",
                "board: energy of packets on links between chips",
                "board: energy of the packets that the host sends",
                "board: power of its processors, times the time that the input holds "
                "the chip",
                "host: power of the computer that polls from outside, if it does, "
                "times that time",
            ),
            strict=True,
        )
        for end in BAND
    },
    **{
        end_name("energy_run_on_j", end): (
            "J",
            "energy of the events of layers after their last timestep, until the "
            f"answer is out; part of the others', {end} prices",
        )
        for end in BAND
    },
    **{
        end_name(name, end): ("s", f"first timestep to {until}, {end} prices")
        for name, until in (
            ("latency_s", "answer"),
            ("period_s", "that of the next input"),
        )
        for end in BAND
    },
}  # fmt: skip
# a further column of the files, whose rows of inputs that failed have nothing else
FAILURE = {"failure": ("", "why the machine failed at this input, twice, so that it "
                           "has no numbers; null: it has")}  # fmt: skip
GIVEN = ("index", "input_hash", "label")  # which an input that failed has, too
ERRORS = ("squared_error", "absolute_error")


def type_of(name: str) -> type:
    """Return the type of a column's numbers."""
    if name == "stopped_early":
        return np.bool_
    is_real = COLUMNS[name][0] in ("J", "s") or name in ERRORS
    return np.float64 if is_real else np.int64


ROW = np.dtype([(name, type_of(name)) for name in COLUMNS], align=True)


class Rows(Sequence[Row]):
    """Rows of a known number of inputs, in order.

    Internally an unknown cost is not a number and an unknown label is ``NO_LABEL``.
    """

    def __init__(self, n: int) -> None:
        self.space = _space(n)
        self.n = 0  # written by now

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Rows":
        """Return rows as a table."""
        table = np.zeros(len(rows), ROW)
        for i, row in enumerate(rows):
            for name, value in vars(row).items():
                unknown = NO_LABEL if name == "label" else np.nan
                table[name][i] = unknown if value is None else value
        found = cls(len(rows))
        found.extend(table)
        return found

    @property
    def table(self) -> AnyArray:
        """All rows, ``(n,)``, a structured array of type ``ROW``."""
        return self.space[: self.n]

    def extend(self, rows: AnyArray) -> None:
        """Add the rows of several inputs."""
        self.space[self.n : self.n + len(rows)] = rows
        self.n += len(rows)

    def some(self, chosen: BoolArray) -> "Rows":
        """Return the rows of some inputs, ``chosen`` has shape ``(n,)``."""
        found = Rows(int(chosen.sum()))
        found.extend(self.table[chosen])
        return found

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, position: int) -> Row: ...
    @overload
    def __getitem__(self, position: slice) -> list[Row]: ...

    def __getitem__(self, position: int | slice) -> Row | list[Row]:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(self.n))]
        if not -self.n <= position < self.n:
            raise IndexError(f"row {position} of {self.n}")
        values = {name: self.column(name)[position].item() for name in COLUMNS}
        for name, value in values.items():
            if value != value or (name == "label" and value == NO_LABEL):
                values[name] = None
        return Row(**values)

    def column(self, name: str) -> AnyArray:
        """Return the values of all rows, ``(n,)``."""
        return self.table[name]

    def part(self, part: str, end: str = "central") -> FloatArray:
        """Return a part of the energy of each input [J], ``(n,)``."""
        return self.column(end_name(f"energy_{part}_j", end))

    def energy(self, end: str = "central", boundary: str = TOTAL) -> FloatArray:
        """Return the energy of each input up to a boundary [J].

        It leaves out what ``LEFT_OUT`` says where that is unknown, and is not a number
        if another part is.
        """
        parts = {part: self.part(part, end) for part in parts_within(boundary)}
        return sum_of(parts, parts)

    @property
    def has_labels(self) -> bool:
        """Whether every input has a label."""
        return self.n > 0 and bool((self.column("label") != NO_LABEL).all())

    @property
    def has_errors(self) -> bool:
        """Whether the errors of all values are known."""
        return self.n > 0 and not np.isnan(self.column("squared_error")).any()

    @property
    def is_right(self) -> BoolArray:
        """Whether each answer is the label, ``(n,)``."""
        right: BoolArray = self.column("prediction") == self.column("label")
        return right


def _space(n: int) -> AnyArray:
    if n * ROW.itemsize <= IN_MEMORY:
        return np.zeros(n, ROW)
    with tempfile.TemporaryFile() as file:  # the map keeps it, and the disk is larger
        space: AnyArray = np.memmap(file, ROW, "w+", shape=(n,))
    return space
