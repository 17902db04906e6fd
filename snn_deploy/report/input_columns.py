"""The columns of the table of inputs: what was measured and what is modelled."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.costs.energy import PARTS
from snn_deploy.profile.profile import Profile
from snn_deploy.report.units import UNKNOWN, shared_prefix

DIGITS, DIGITS_SHOWN = 5, 3  # of a cost that the page holds
MEASURED, MODELLED = "measured", "modelled"
RESULTS = ("right", "wrong", "lost by stopping", "no label")
RIGHT, WRONG, LOST, NO_LABEL = range(len(RESULTS))


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One quantity of all inputs of the table."""

    key: str
    name: str
    note: str  # its unit, and how it is known
    values: AnyArray  # (n,), not a number: unknown
    words: tuple[str, ...] = ()  # that the values stand for
    is_cost: bool = False  # a cost, or an error: of three digits

    @property
    def head(self) -> str:
        """What the column is called in a file."""
        unit = self.note.split(",")[0] if self.note.endswith(MODELLED) else ""
        return f"{self.name} [{unit}]" if unit else self.name

    @property
    def numbers(self) -> FloatArray:
        """What to sort by."""
        return self.values.astype(np.float64)

    def text(self, row: int) -> str:
        """Return a cell as the script writes it, too."""
        value: int | float = self.values[row].item()
        if self.words:
            return self.words[int(value)]
        if value != value:
            return UNKNOWN
        if not self.is_cost:
            return f"{int(value):,}"
        places = DIGITS_SHOWN - 1
        if value:
            places -= int(f"{value:.{places}e}".split("e")[1])
        return f"{round(value, places):,.{max(places, 0)}f}"

    @property
    def as_json(self) -> dict[str, Any]:
        """What the script reads."""
        values = [None if v != v else v for v in self.values.tolist()]
        return {
            "key": self.key,
            "head": self.head,
            "values": values,
            "words": self.words,
            "isCost": self.is_cost,
        }


def columns(profile: Profile, shown: IntArray) -> list[Column]:
    """Return the columns of the table, for the inputs at these positions."""
    rows, fixed = profile.rows, profile.fixed_rows
    label = rows.column("label")[shown].astype(np.float64)
    label[label < 0] = np.nan
    counts: list[tuple[str, str, AnyArray]] = [
        ("timesteps", "timesteps", rows.column("timesteps")),
        ("gap", "gap", rows.column("gap")),
        ("spikes", "spikes", rows.column("spikes")),
        ("operations", "synaptic operations", rows.column("synaptic_operations")),
    ]
    found = [
        Column(key="index", name="input", note="", values=rows.column("index")[shown]),
        Column(key="label", name="label", note="given", values=label),
        Column(
            key="answer", name="answer", note=MEASURED,
            values=rows.column("prediction")[shown],
        ),
        Column(
            key="result", name="result", note=MEASURED,
            values=results(profile)[shown], words=RESULTS,
        ),
    ]  # fmt: skip
    if profile.has_errors:
        errors = rows.column("squared_error")[shown]
        found[1:] = [
            Column(key="error", name="squared error", note=MEASURED, values=errors,
                   is_cost=True)
        ]  # fmt: skip
    elif profile.has_cutoff:
        values = fixed.column("prediction")[shown]
        found.insert(
            3,
            Column(key="full", name="at all timesteps", note=MEASURED, values=values),
        )
    found += [_cost("energy", rows.energy()[shown], "J")]
    parts = {part: rows.part(part)[shown] for part in PARTS}
    parts = {part: values for part, values in parts.items() if (values != 0).any()}
    known = np.nansum(
        [*parts.values(), np.zeros(len(shown))], axis=0
    )  # all parts in the unit that suits it
    found += [_cost(part, parts[part], "J", like=known) for part in parts]
    found.append(_cost("latency", rows.column("latency_s")[shown], "s"))
    found += [
        Column(key=key, name=name, note=MEASURED, values=values[shown])
        for key, name, values in counts
    ]
    return found


def results(profile: Profile) -> IntArray:
    """Return for each input what became of its answer, a position in ``RESULTS``."""
    rows, fixed = profile.rows, profile.fixed_rows
    found = np.where(rows.is_right, RIGHT, np.where(fixed.is_right, LOST, WRONG))
    found[rows.column("label") < 0] = NO_LABEL
    return found


def _cost(
    key: str, values: AnyArray, unit: str, *, like: AnyArray | None = None
) -> Column:
    scale = values if like is None else like
    worth, name = shared_prefix([float(np.nan_to_num(scale).max())], unit)
    with np.errstate(divide="ignore"):
        digits = DIGITS - 1 - np.floor(np.log10(np.abs(values / worth)))
    power = 10.0 ** np.where(np.isfinite(digits), digits, 0)
    rounded = np.rint(values / worth * power) / power
    note = f"{name}, {MODELLED}"
    return Column(key=key, name=key, note=note, values=rounded, is_cost=True)
