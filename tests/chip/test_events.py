"""events: one table, which counters, prices and columns follow."""

from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import IntArray
from snn_deploy.backends.counting import Counter
from snn_deploy.backends.engine.compiled import Engine, available
from snn_deploy.backends.results import Counts
from snn_deploy.chip.events import (
    ACCESS,
    CHIP_EVENTS,
    COLUMNS,
    CORE_EVENTS,
    EVENTS,
    FIRE,
    PACKET,
    PACKET_IN,
    SYNAPTIC_OPERATION,
    UPDATE,
    Place,
)
from snn_deploy.chip.target_file import read_target
from snn_deploy.costs.prices import prices_for
from snn_deploy.profile import detail, rows
from tests.profile.test_profile import artifact
from tests.report.profiles import network

engine = pytest.importorskip(
    "snn_deploy.backends.engine._engine", reason="the compiled engine is not installed"
)


def test_every_event_has_its_counter_and_its_price() -> None:
    mapped = network(read_target("loihi1"))

    counts, prices = Counter(mapped).start(2), prices_for(mapped, "embedded")

    at = [event.place for event in EVENTS]
    assert at == sorted(at, key=list(Place).index)
    assert counts.cores.shape[-1] == len(CORE_EVENTS) == len(prices.core_energy)
    assert counts.chip.shape[-1] == len(CHIP_EVENTS) == len(prices.mesh_energy)


def test_counters_of_neurocores_and_chip_are_views_of_one_array() -> None:
    counts = Counts.none((2,), n_cores=3, n_links=4)

    counts.cores[1, 2, -1], counts.chip[0, -1], counts.limits[0, -1] = 5, 6, 7

    assert counts.values.sum() == 18
    assert counts.values[1, 3 * len(CORE_EVENTS) - 1] == 5
    assert counts.values[
        0, [3 * len(CORE_EVENTS) + len(CHIP_EVENTS) + 3, -1]
    ].tolist() == [6, 7]


def test_columns_of_profiles_follow() -> None:
    assert {event.name for event in EVENTS if event.is_priced} < {*detail.COLUMNS}
    assert {*COLUMNS} < {*rows.COLUMNS}
    assert {event.column for event in EVENTS if event.column} == {*COLUMNS}


def told(monkeypatch: pytest.MonkeyPatch, **columns: int) -> Engine:
    """Return the engine, told other columns than those of the table."""
    original = engine.Counting

    def counting(network: Any, *, mapped: IntArray, tallies: Any, **_: int) -> Any:
        return original(network, mapped=mapped, tallies=tallies, **columns)

    monkeypatch.setattr(engine, "Counting", counting)
    return Engine(artifact().network, available()[0])


def counts_of(machine: Engine) -> IntArray:
    graph = machine.network.graph
    values = np.ones((1, *graph.source.shape), np.int32)
    never = np.full(graph.training.timesteps, np.inf)
    _, _, counts, _ = machine.layout.network.run(
        [(values, True, None)], never, 1, machine.counting, machine.instructions
    )
    return counts


def test_the_engine_counts_in_the_columns_that_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = counts_of(Engine(artifact().network, available()[0]))

    found = counts_of(
        told(
            monkeypatch,
            n_columns=200,
            core_columns=50,
            access=49,
            update=48,
            limits=190,
        )
    )

    assert usual[..., [ACCESS, UPDATE]].any(axis=(0, 1)).all()
    np.testing.assert_array_equal(found[..., [49, 48]], usual[..., [ACCESS, UPDATE]])
    spikes = [FIRE, PACKET, PACKET_IN, SYNAPTIC_OPERATION]  # of the first neurocore
    np.testing.assert_array_equal(found[..., spikes], usual[..., spikes])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_columns": 11}, "do not hold the neurocores"),
        ({"core_columns": 0}, "do not hold the neurocores"),
        ({"access": 12}, "no such column"),
        ({"update": -1}, "no such column"),
        ({"limits": 98}, "columns of limits"),
    ],
)
def test_columns_that_make_no_sense_are_refused(
    changes: dict[str, int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {
        "n_columns": 99,
        "core_columns": 12,
        "access": 11,
        "update": 9,
        "limits": 97,
    }

    machine = told(monkeypatch, **{**columns, **changes})

    with pytest.raises(ValueError, match=message):
        _ = machine.counting
