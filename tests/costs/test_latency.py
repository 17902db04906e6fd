"""latency: a timestep is as long as its busiest neurocore; a stream overlaps inputs."""

from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.results import Block, Counts, n_rows_of
from snn_deploy.chip.events import (
    ACCESS,
    CHIP_EVENTS,
    CORE_EVENTS,
    FIRE,
    INJECTION,
    PACKET,
    SYNAPTIC_OPERATION,
    UPDATE,
)
from snn_deploy.chip.target import BAND, CENTRAL, Target
from snn_deploy.chip.target_file import read_target, target_from_table
from snn_deploy.costs.latency import stream_times, timestep_durations
from snn_deploy.costs.prices import Prices, prices_of, unknown_prices
from tests.chip.test_target import table

N_CORES = 3
N_BEHIND_MOST = 6
MAPPED = np.array([4, 5, 6])


def target_of(**costs: Any) -> Target:
    chip = table()
    for name in ("access", "update", "packet", "packet_in", "synaptic_operation"):
        chip["cost"][name] = {"energy_pj": 1, "time_ns": 1, "source": "made up"}
    chip["cost"]["poll_embedded"] = {"time_us": 7, "source": "made up"}
    for name, cost in costs.items():
        chip["cost"][name] = {**cost, "source": "made up"}
    return target_from_table(chip, "tiny.toml")


def prices(monitor: str = "embedded", **costs: Any) -> Prices:
    return prices_of(target_of(**costs), n_tiles=1, monitor=monitor)


def none(n: int) -> tuple[IntArray, IntArray]:
    return (
        np.zeros((n, N_CORES, len(CORE_EVENTS)), np.int64),
        np.zeros((n, len(CHIP_EVENTS)), np.int64),
    )


def drawn(rng: np.random.Generator, n: int) -> tuple[IntArray, IntArray]:
    cores, chip = none(n)
    cores[:] = rng.integers(0, 50, cores.shape)
    chip[:] = rng.integers(0, 50, chip.shape)
    return cores, chip


def test_a_timestep_lasts_as_long_as_its_busiest_neurocore() -> None:
    cores, chip = none(2)
    cores[0, 0, [ACCESS, UPDATE, FIRE, PACKET]] = 4, 3, 2, 1  # 4 + 3 + 2 * 3 + 1
    cores[0, 1, SYNAPTIC_OPERATION] = 13
    cores[1, 2, SYNAPTIC_OPERATION] = 99

    low, central, high = timestep_durations(cores, chip, prices()).T

    np.testing.assert_allclose(central, [24e-9, 109e-9])  # and 10 ns of barrier
    np.testing.assert_allclose(high, [114e-9, 199e-9])
    np.testing.assert_array_equal(low, central)  # none given


def test_injection_goes_on_beside_the_computing() -> None:
    cores, chip = none(1)
    cores[0, 0, ACCESS], cores[0, [0, 2], INJECTION] = 40, [1, 2]

    for time_us, expected in ((0.001, 50e-9), (1, 3e-6)):
        found = timestep_durations(cores, chip, prices(injection={"time_us": time_us}))

        assert found[0, CENTRAL] == pytest.approx(expected)


def test_a_host_outside_injects_at_its_own_price() -> None:
    cores, chip = none(1)
    cores[0, 0, INJECTION] = 3
    inside, outside = {"time_us": 1}, {"time_us": 5}

    for monitor, costs, expected in (
        ("embedded", {"injection": inside, "injection_host": outside}, 3e-6),
        ("host", {"injection": inside, "injection_host": outside}, 15e-6),
        ("host", {"injection": inside}, 3e-6),
        ("embedded", {"injection_host": outside}, 10e-9),  # the barrier
    ):
        found = timestep_durations(cores, chip, prices(monitor, **costs))
        assert found[0, CENTRAL] == pytest.approx(expected)

    only_outside = target_of(injection_host=outside)
    assert "time of injection" in unknown_prices(only_outside, "embedded")
    assert "time of injection" not in unknown_prices(only_outside, "host")


def test_an_event_of_unknown_time_makes_its_timesteps_unknown() -> None:
    cores, chip = none(2)
    cores[1, 0, SYNAPTIC_OPERATION] = 1

    found = timestep_durations(cores, chip, prices(synaptic_operation={"energy_pj": 1}))

    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()


def laid_out(
    inputs: list[tuple[IntArray, IntArray]], n_timesteps: int, depth: int, paid: Prices
) -> FloatArray:
    """Return the duration of every timestep of the stream, written out at once."""
    cores, chip = none(len(inputs) * n_timesteps + len(inputs[0][1]) - n_timesteps)
    for i, (in_cores, in_chip) in enumerate(inputs):
        rows = slice(i * n_timesteps, i * n_timesteps + len(in_chip))
        cores[rows] += in_cores
        chip[rows] += in_chip
    cores[:, :, ACCESS] = MAPPED
    durations = timestep_durations(cores, chip, paid)
    for i in range(len(inputs)):
        durations[(i + 1) * n_timesteps + depth - 1] += paid.poll
    return durations


def block(
    inputs: list[tuple[IntArray, IntArray]], n_timesteps: int, depth: int
) -> Block:
    """Return inputs as a machine gives them, each by what it causes in a stream."""
    n, lag = len(inputs), depth + N_BEHIND_MOST
    counts = Counts.none((n, n_rows_of(n_timesteps, depth, lag)), N_CORES, 0)
    found = Block(
        scores=np.zeros((n, n_timesteps, 2), np.int64),
        timesteps=np.full(n, n_timesteps),
        counts=counts,
        depth=depth,
    )
    for i, (cores, chip) in enumerate(inputs):
        found.whole.cores[i, :n_timesteps] = cores[:n_timesteps]
        found.whole.chip[i, :n_timesteps] = chip[:n_timesteps]
        end = len(cores) - n_timesteps
        found.tail.cores[i, :end] = cores[n_timesteps:]
        found.tail.chip[i, :end] = chip[n_timesteps:]
    return found


@pytest.mark.parametrize(
    ("n_timesteps", "depth", "n"),
    [(1, 1, 1), (1, 4, 3), (2, 5, 7), (4, 4, 3), (8, 3, 5), (3, 0, 2)],
)
@pytest.mark.parametrize("n_behind", [0, 1, N_BEHIND_MOST])  # layers behind the output
def test_inputs_in_a_stream_share_the_timesteps(
    n_timesteps: int, depth: int, n: int, n_behind: int
) -> None:
    rng = np.random.default_rng(n)
    lag = depth + n_behind
    inputs = [drawn(rng, n_timesteps + lag) for _ in range(n)]
    blocks = [
        block(inputs[:2], n_timesteps, depth),
        block(inputs[2:], n_timesteps, depth),
    ]

    times = stream_times(blocks, MAPPED, depth, prices())

    found = [*zip(*times, strict=True)]
    durations = laid_out(inputs, n_timesteps, depth, prices())
    assert len(found) == n
    for i, (latency, period) in enumerate(found):
        rows = durations[i * n_timesteps :]
        np.testing.assert_allclose(latency, rows[: n_timesteps + depth].sum(axis=0))
        np.testing.assert_allclose(period, rows[:n_timesteps].sum(axis=0))


def test_prices_are_low_central_and_high() -> None:
    for name in ("loihi1", "loihi2", "loihi-sim"):
        paid = prices_of(read_target(name), n_tiles=3, monitor="host")

        for array in vars(paid).values():
            assert array.shape[-1] == len(BAND)
            if np.isnan(array).all():
                continue
            known = array[~np.isnan(array).any(axis=-1)]
            assert (np.diff(known, axis=-1) >= 0).all()
