"""energy: counts times prices, and power times time."""

import numpy as np
import pytest

from snn_deploy.chip.events import CHIP_EVENTS, CORE_EVENTS
from snn_deploy.chip.target import CENTRAL
from snn_deploy.chip.target_file import read_target, target_from_table
from snn_deploy.costs.energy import PARTS, dynamic_energy, energies
from snn_deploy.costs.prices import prices_of, unknown_prices
from tests.chip.test_target import table

# of Davies et al. 2018, table 2 [pJ], in the order of CORE_EVENTS and CHIP_EVENTS
DAVIES = {"access": 52, "update": 29, "fire": 0, "packet": 1.7, "packet_in": 0,
          "synaptic_operation": 23.6}  # fmt: skip
ON_CHIP = {"hop_east_west": 3, "hop_north_south": 4, "injection": 1.7}


def test_each_event_has_its_published_price() -> None:
    prices = prices_of(read_target("loihi1"), n_tiles=1, monitor="embedded")

    for i, event in enumerate(CORE_EVENTS):
        counts = np.zeros(len(CORE_EVENTS), np.int64)
        counts[i] = 1000
        found = dynamic_energy(counts, np.zeros(3, np.int64), prices)
        assert found[CENTRAL] == pytest.approx(1e-9 * DAVIES[event])
    for i, event in enumerate(CHIP_EVENTS):
        on_chip = np.zeros(len(CHIP_EVENTS), np.int64)
        on_chip[i] = 1000
        found = dynamic_energy(np.zeros(6, np.int64), on_chip, prices)
        assert found[CENTRAL] == pytest.approx(1e-9 * ON_CHIP[event])


def test_the_four_parts() -> None:
    prices = prices_of(read_target("loihi1"), n_tiles=1, monitor="embedded")
    cores = np.ones((2, 3, len(CORE_EVENTS)), np.int64)
    chip = np.ones((2, len(CHIP_EVENTS)), np.int64)

    counts = cores.sum(axis=(0, 1)), chip.sum(axis=0)
    central = energies(*counts, np.array([5e-4, 1e-3, 2e-3]), prices)[:, CENTRAL]

    events = 6 * sum(DAVIES.values()) + 2 * sum(ON_CHIP.values())
    assert dict(zip(PARTS, central, strict=True)) == pytest.approx({
        "dynamic": 1e-12 * events,
        "static": 104e-6,
        "reset": 5.94e-6,
        "host": 65e-6,
    })  # fmt: skip


def test_without_prices_every_part_is_unknown_and_named() -> None:
    target = target_from_table(table(), "tiny.toml")
    prices = prices_of(target, n_tiles=1, monitor="host")
    cores, chip = np.ones(len(CORE_EVENTS), np.int64), np.zeros(3, np.int64)

    found = energies(cores, chip, np.ones(3), prices)

    assert np.isnan(found).all()
    named = unknown_prices(target, "host")
    assert {"energy of static", "energy of reset", "time of poll_host"} <= {*named}
    assert "energy of fire" not in named
    assert "time of fire" not in named
