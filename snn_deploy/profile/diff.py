"""What differs between two profiles, input by input where they hold the same ones."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray, IntArray
from snn_deploy.costs.energy import PARTS
from snn_deploy.errors import DataError
from snn_deploy.profile.intervals import (
    Interval,
    difference,
    difference_of_shares,
    paired_difference,
    paired_interval,
    paired_ratio,
    ratio,
)
from snn_deploy.profile.rows import Rows
from snn_deploy.profile.tables import read_rows

# what is compared, and its unit; energies and latency at central prices
METRICS = {
    "accuracy": "",
    "timesteps": "",
    **{f"energy_{part}": "J" for part in PARTS},
    "energy": "J",
    "latency": "s",
}
NAMES = ("network", "target", "backend", "monitor")  # texts of a summary


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedProfile:
    """What a folder of ``snn-deploy profile`` holds."""

    folder: str
    summary: dict[str, Any]
    rows: Rows  # with the cutoff if there is one, one by one


@dataclass(frozen=True, kw_only=True)
class MetricChange:
    """How a mean over the inputs changes; ``None`` where one of the two is unknown."""

    before: float | None
    after: float | None
    difference: Interval | None  # after less before
    ratio: Interval | None  # of ``before``; also ``None`` for shares, and of nothing


@dataclass(frozen=True, kw_only=True)
class Diff:
    """The changes from one profile to another."""

    n_before: int  # inputs compared
    n_after: int
    is_paired: bool  # each input with itself
    note: str  # why not, or what was left out; empty: all inputs of both
    changes: dict[str, MetricChange]  # by metric

    def as_json(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return asdict(self)


def read_profile(folder: Path) -> SavedProfile:
    """Return the profile that ``snn-deploy profile`` wrote to ``folder``.

    Raises
    ------
    DataError
        If it holds none, or one of an earlier version.
    """
    path = folder / "summary.json"
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give one that profile has written")
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{folder}: has no summary.json; give a folder that profile has written"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: no JSON ({error}); profile again") from None
    rows = read_rows(folder / "inputs.parquet")
    if not isinstance(summary, dict) or summary.get("n_inputs") != len(rows):
        raise DataError(
            f"{path}: not of the {len(rows)} inputs in inputs.parquet; profile again"
        )
    if not len(rows):
        raise DataError(f"{folder}: holds no inputs; profile at least one")
    cutoff = summary.get("cutoff")
    is_cutoff = cutoff is None or (isinstance(cutoff, dict) and "rule" in cutoff)
    if not is_cutoff or not all(isinstance(summary.get(n), str) for n in NAMES):
        raise DataError(f"{path}: says no {', '.join(NAMES)} or rule; profile again")
    return SavedProfile(folder=str(folder), summary=summary, rows=rows)


def compare(before: SavedProfile, after: SavedProfile) -> Diff:
    """Return what changes from one profile to the other, with 95 % intervals.

    Inputs with the same position in the data are compared with each other if they are
    the same: their hashes and their labels. Else only means can be.
    """
    one, two = before.rows, after.rows
    positions, note = _matched(one, two)
    is_paired = positions is not None
    if positions is None:
        positions = (np.arange(len(one)), np.arange(len(two)))
    changes = {
        name: _change(
            name,
            _values(one, name, positions[0]),
            _values(two, name, positions[1]),
            is_paired=is_paired,
        )
        for name in METRICS
    }
    return Diff(
        n_before=len(positions[0]),
        n_after=len(positions[1]),
        is_paired=is_paired,
        note=note,
        changes=changes,
    )


def _matched(one: Rows, two: Rows) -> tuple[tuple[IntArray, IntArray] | None, str]:
    """Return the rows of the inputs that both hold, and what there is to say."""
    common, *rows = np.intersect1d(
        one.column("index"), two.column("index"), return_indices=True
    )
    if not len(common):
        return None, "no input has the same position in both"
    for name, what in (("input_hash", "inputs"), ("label", "labels")):
        is_other = one.column(name)[rows[0]] != two.column(name)[rows[1]]
        if is_other.any():
            n = np.count_nonzero(is_other)
            return None, f"{n} of {len(common)} {what} at the same position differ"
    left_out = len(one) + len(two) - 2 * len(common)
    note = f"{left_out} inputs that only one of them holds are left out"
    return (rows[0], rows[1]), note if left_out else ""


def _values(rows: Rows, metric: str, positions: IntArray) -> AnyArray | None:
    """Return a number for each input; ``None``: unknown for one at least."""
    if metric == "accuracy":
        return rows.is_right[positions] if rows.has_labels else None
    if metric == "energy":
        values: AnyArray = rows.energy()
    elif metric.startswith("energy_"):
        values = rows.part(metric.removeprefix("energy_"))
    else:
        values = rows.column("latency_s" if metric == "latency" else metric)
    values = values[positions]
    return None if np.isnan(values).any() else values


def _change(
    metric: str, before: AnyArray | None, after: AnyArray | None, *, is_paired: bool
) -> MetricChange:
    means = [None if v is None else float(v.mean()) for v in (before, after)]
    found, share = None, None
    if before is not None and after is not None:
        if metric == "accuracy":
            found = _change_of_shares(before, after, is_paired=is_paired)
        elif is_paired:
            found = paired_difference(before, after)
            share = paired_ratio(before, after)
        else:
            found, share = difference(before, after), ratio(before, after)
    return MetricChange(before=means[0], after=means[1], difference=found, ratio=share)


def _change_of_shares(
    before: AnyArray, after: AnyArray, *, is_paired: bool
) -> Interval:
    if not is_paired:
        return difference_of_shares(before, after)
    return Interval(**paired_interval(after.astype(np.float64) - before))
