"""energy: counts times prices, and power times time."""

import numpy as np
import pytest

from snn_deploy.chip.events import CHIP_EVENTS, CORE_EVENTS, INJECTION
from snn_deploy.chip.target import CENTRAL
from snn_deploy.chip.target_file import read_target, target_from_table
from snn_deploy.costs.energy import (
    LEFT_OUT,
    PARTS,
    dynamic_energy,
    energies,
    parts_within,
    sum_of,
)
from snn_deploy.costs.prices import prices_of, unknown_prices
from tests.chip.test_target import table

# of Davies et al. 2018, table 2 [pJ], in the order of CORE_EVENTS and CHIP_EVENTS
DAVIES = {"access": 52, "update": 29, "fire": 0, "packet": 1.7, "packet_in": 0,
          "synaptic_operation": 23.6, "injection": 0}  # fmt: skip
ON_CHIP = {"hop_east_west": 3, "hop_north_south": 4}


def test_each_event_has_its_published_price() -> None:
    prices = prices_of(read_target("loihi1"), n_tiles=1, monitor="embedded")

    for i, event in enumerate(CORE_EVENTS):
        counts = np.zeros(len(CORE_EVENTS), np.int64)
        counts[i] = 1000
        found = dynamic_energy(counts, np.zeros(2, np.int64), prices)
        assert found[CENTRAL] == pytest.approx(1e-9 * DAVIES[event])
    for i, event in enumerate(CHIP_EVENTS):
        on_chip = np.zeros(len(CHIP_EVENTS), np.int64)
        on_chip[i] = 1000
        found = dynamic_energy(np.zeros(7, np.int64), on_chip, prices)
        assert found[CENTRAL] == pytest.approx(1e-9 * ON_CHIP[event])


def test_the_parts() -> None:
    prices = prices_of(read_target("loihi1"), n_tiles=1, monitor="embedded")
    cores = np.ones((2, 3, len(CORE_EVENTS)), np.int64)
    chip = np.ones((2, len(CHIP_EVENTS)), np.int64)

    counts = cores.sum(axis=(0, 1)), chip.sum(axis=0)
    central = energies(*counts, np.array([5e-4, 1e-3, 2e-3]), prices)[:, CENTRAL]

    assert dict(zip(PARTS, central, strict=True)) == pytest.approx({
        "neurocores": 6e-12 * sum(DAVIES.values()),
        "mesh": 2e-12 * sum(ON_CHIP.values()),
        "static": 104e-6,
        "reset": 5.94e-6,
        "links": 0.0,
        "injection": np.nan,  # happened, and has no price
        "embedded": 65e-6,
        "host": 0.0,  # none polls
    }, nan_ok=True)  # fmt: skip


def test_without_prices_every_part_is_unknown_and_named() -> None:
    target = target_from_table(table(), "tiny.toml")
    prices = prices_of(target, n_tiles=1, monitor="host")
    cores, chip = np.ones(len(CORE_EVENTS), np.int64), np.zeros(2, np.int64)

    found = energies(cores, chip, np.ones(3), prices)

    assert np.isnan(found).all(axis=-1).tolist() == [
        part not in ("mesh", "links")
        for part in PARTS  # none happened
    ]
    named = unknown_prices(target, "host")
    assert {"energy of static", "energy of reset", "time of poll_host"} <= {*named}
    assert "energy of fire" not in named
    assert "time of fire" not in named


def test_sums_leave_out_what_they_may_and_nothing_else() -> None:
    ones = np.ones(3)
    known = dict.fromkeys(PARTS, ones)
    unknown = np.full(3, np.nan)

    assert sum_of(known, parts_within("neurocores")).tolist() == [1] * 3
    assert sum_of(known, parts_within("chip")).tolist() == [4] * 3
    assert sum_of(known, parts_within("board")).tolist() == [7] * 3
    assert sum_of(known, parts_within("host")).tolist() == [8] * 3
    for part in PARTS:
        total = sum_of({**known, part: unknown}, parts_within("host"))
        expected = [7] * 3 if part in LEFT_OUT else [np.nan] * 3
        np.testing.assert_array_equal(total, expected)


def test_injected_packets_pay_their_own_price() -> None:
    chip = table()
    chip["cost"]["injection"] = {
        "energy_low_pj": 1, "energy_pj": 2, "energy_high_pj": 5, "source": "made up"
    }  # fmt: skip
    prices = prices_of(target_from_table(chip, "t.toml"), n_tiles=1, monitor="embedded")
    cores = np.zeros(len(CORE_EVENTS), np.int64)
    cores[INJECTION] = 3
    chip_counts = np.zeros(len(CHIP_EVENTS), np.int64)

    found = energies(cores, chip_counts, np.ones(3), prices)

    parts = dict(zip(PARTS, found, strict=True))
    assert parts["injection"] == pytest.approx([3e-12, 6e-12, 15e-12])
    assert parts["neurocores"].tolist() == [0.0] * 3
    dynamic = dynamic_energy(cores, chip_counts, prices)
    assert dynamic == pytest.approx([3e-12, 6e-12, 15e-12])
