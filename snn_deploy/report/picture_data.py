"""What the pictures show, as tables for their CSV files."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from snn_deploy.chip.target import BAND
from snn_deploy.costs.energy import TOTAL, parts_within
from snn_deploy.profile.activity import activity_of, classes_of
from snn_deploy.profile.intervals import share_interval
from snn_deploy.profile.profile import Profile
from snn_deploy.report.exhibits import Row
from snn_deploy.report.front import front_data
from snn_deploy.report.pictures import energy_shares
from snn_deploy.report.units import Quantity

Table = tuple[Sequence[str], list[Row]]
WAYS = ("as profiled", "at all timesteps")


def _accuracy(profile: Profile) -> Table:
    n = len(profile.rows)
    low, high = share_interval(profile.accuracy_at * n, np.array(n))
    columns = ("timestep", "accuracy", "low", "high", "agreement with the last")
    found = zip(profile.accuracy_at, low, high, profile.agreement_at, strict=True)
    return columns, [(t, *map(float, row)) for t, row in enumerate(found, 1)]


def _error(profile: Profile) -> Table:
    errors = profile.squared_error_at.tolist()
    return ("timestep", "mean squared error"), [*enumerate(errors, 1)]


def _timesteps(profile: Profile) -> Table:
    timesteps, counts = np.unique(profile.rows.column("timesteps"), return_counts=True)
    rows = zip(timesteps.tolist(), counts.tolist(), strict=True)
    return ("timesteps", "inputs"), [*rows]


def _parts(profile: Profile) -> Table:
    runs = [("all timesteps", profile.fixed_rows)]
    if profile.has_cutoff:
        runs.insert(0, ("with cutoff", profile.rows))
    parts = parts_within(TOTAL)
    rows: list[Row] = []
    for name, found in runs:
        for end in BAND:
            means = (float(found.part(part, end).mean()) for part in parts)
            energies = [Quantity("", None if m != m else m, "J") for m in means]
            rows.append((name, end, *energies))
    return ("timesteps", "prices", *parts), rows


def _spread(profile: Profile) -> Table:
    edges, shares = energy_shares(profile)
    ends = [[Quantity("", float(e), "J") for e in pair] for pair in pairwise(edges)]
    columns = ("from", "to", *(f"{name}, {end}" for name, end in shares))
    heights = np.array([*shares.values()]).T.tolist()
    return columns, [(*pair, *row) for pair, row in zip(ends, heights, strict=True)]


def _classes(profile: Profile) -> Table:
    columns: list[str] = []
    rows: list[Row] = []
    ways = WAYS if profile.has_cutoff else WAYS[1:]
    for way in ways:
        columns += [f"{what}, {way}" for what in ("right", "accuracy", "low", "high")]
    for share in classes_of(profile):
        row: list[object] = [share.label, share.n]
        for right in share.n_right[-len(ways) :]:
            ends = share_interval(np.array(right), np.array(share.n))
            row += [right, right / share.n, *map(float, ends)]
        rows.append(row)
    return ("class", "inputs", *columns), rows


def _activity(profile: Profile) -> Table:
    columns = ("layer", "neurons", "spikes", "spikes of a neuron")
    rows: list[Row] = [
        (", ".join(g.names), g.n_neurons, g.spikes, g.spikes / g.n_neurons,
         g.operations)
        for g in activity_of(profile)
    ]  # fmt: skip
    return (*columns, "synaptic operations"), rows


DATA: dict[str, Callable[[Profile], Table]] = {
    "accuracy": _accuracy,
    "error": _error,
    "timesteps": _timesteps,
    "parts": _parts,
    "spread": _spread,
    "classes": _classes,
    "activity": _activity,
    "front": front_data,
}
