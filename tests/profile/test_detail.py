"""detail: sums over layers, neurocores and timesteps are those of the inputs."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from snn_deploy.artifact import pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.events import (
    ACCESS,
    FIRE,
    INJECTION,
    LINKS,
    PACKET,
    SYNAPTIC_OPERATION,
)
from snn_deploy.compiler.map.partition import partition
from snn_deploy.compiler.map.place import place
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.profile.detail import COLUMNS, MESH
from snn_deploy.profile.profile import Profile, profile_inputs
from snn_deploy.profile.tables import write_detail
from tests.build import simulator
from tests.profile.test_profile import artifact, data, profiled


@pytest.fixture(scope="module")
def found() -> Profile:
    return profiled(risk(20))


@pytest.mark.parametrize(("end", "name"), [*enumerate(["low", "central", "high"])])
def test_dynamic_energies_add_up_to_that_of_the_inputs(
    found: Profile, end: int, name: str
) -> None:
    parts = found.detail

    total = parts.core_energy[..., end].sum() + parts.chip_energy[:, end].sum()
    events = [found.rows.part(part, name) for part in ("neurocores", "mesh")]
    mean = np.sum(events, axis=0).mean()
    assert total == pytest.approx(mean, rel=1e-12)


def test_events_add_up_to_those_of_the_inputs(found: Profile) -> None:
    parts = found.detail

    counts = parts.cores.sum(axis=(0, 1))
    rows = found.rows
    assert counts[FIRE] == pytest.approx(rows.column("spikes").mean())
    operations = rows.column("synaptic_operations").mean()
    assert counts[SYNAPTIC_OPERATION] == pytest.approx(operations)
    packets = counts[PACKET] + counts[INJECTION]
    assert packets == pytest.approx(rows.column("packets").mean())
    crossings = parts.chip[:, LINKS].sum()
    assert crossings == pytest.approx(rows.column("crossings").mean())
    assert crossings > 0


def test_layers_are_those_that_lie_on_the_neurocores() -> None:
    graph = artifact().network.graph
    chip = simulator()
    small = replace(chip, neurocore=replace(chip.neurocore, compartments=8))
    network = place(partition(graph, small), small)
    found = profile_inputs(pack(network), open_backend("cpu"), data(), cutoff=None)

    parts = found.detail

    assert set(parts.layers) == {p.name for p in graph.populations}
    for layer in set(parts.layers):
        here = [name == layer for name in parts.layers]
        assert parts.cores[0, here, ACCESS].sum() == graph.population(layer).size


def test_layers_that_share_a_neurocore_are_told_together(found: Profile) -> None:
    assert set(found.detail.layers) == {"hidden, more, out"}


def test_the_table_holds_every_timestep_and_neurocore(
    found: Profile, tmp_path: Path
) -> None:
    parts = found.detail
    n_timesteps, n_cores = parts.cores.shape[:2]

    write_detail(parts, tmp_path / "d.parquet")
    write_detail(parts, tmp_path / "d.csv", form="csv")

    table = pq.read_table(tmp_path / "d.parquet")
    assert table.column_names == [*COLUMNS]
    rows = table.to_pylist()
    assert len(rows) == n_timesteps * (n_cores + 1)
    energy = sum(row["energy_dynamic_j"] for row in rows)
    assert energy == pytest.approx(
        (found.rows.part("neurocores") + found.rows.part("mesh")).mean()
    )
    mesh = [row for row in rows if row["layer"] == MESH]
    assert [row["neurocore"] for row in mesh] == [None] * n_timesteps
    assert {row["injection"] for row in mesh} == {0}
    injected = [row["injection"] for row in rows if row["layer"] != MESH]
    assert injected == parts.cores[..., INJECTION].ravel().tolist()
    assert sum(injected) > 0
    crossings = [row["chip_crossing"] for row in mesh]
    assert crossings == parts.chip[:, LINKS].sum(axis=1).tolist()
    with (tmp_path / "d.csv").open(encoding="utf-8") as file:
        texts = [*csv.DictReader(file)]
    for name in ("fire", "energy_dynamic_high_j"):
        values = [float(row[name]) for row in texts]
        np.testing.assert_allclose(values, [row[name] for row in rows], rtol=1e-15)
