"""Lava equals the reference: our processes, and Lava's own where they can.

Starting Lava takes a third of a second, so that fewer networks are drawn here.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn_deploy.backends.engine.cpu import CpuProgram
from snn_deploy.backends.lava.backend import LavaBackend, LavaProgram
from snn_deploy.backends.lava.compat import import_lava
from snn_deploy.backends.protocol import QUANTITIES
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.errors import BackendError
from snn_deploy.ir.stimuli import Stimulus
from tests.build import trains
from tests.conformance.lava_own import conv_cases, dense_cases, run_own
from tests.conformance.networks import ROOMY, Case, cases, lengths, mapped
from tests.conformance.tally import TALLY, examples, n_values
from tests.conformance.test_equality import (
    check_equal,
    lasting,
    periods,
    slow_loop,
    traced,
)
from tests.counting import COUNTS

try:
    import_lava()
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)


@examples(8, shrinks=False)
@given(
    case=cases(n_stimuli=2, max_timesteps=12),
    period=periods,
    n_timesteps=lengths(20),
)
def test_lava_records_what_the_reference_does(
    case: Case, period: int | None, n_timesteps: int
) -> None:
    graph = retime(case.graph, ROOMY)
    n = n_timesteps + lasting(graph)
    program = LavaBackend().load(mapped(graph))
    try:
        for stimulus in case.stimuli:
            found = program.record(
                stimulus, QUANTITIES, n_timesteps=n_timesteps, reset_every=period
            )
            wanted = traced(graph, stimulus, n, n_timesteps=n_timesteps, period=period)
            check_equal(found, wanted)
    finally:
        program.close()
    TALLY.add("lava record = reference", 2 * n, 2 * n_values(wanted))


@examples(8, shrinks=False)
@given(case=cases(n_stimuli=2, max_timesteps=6, may_be_long=False))
def test_lava_after_any_cutoff_equals_the_cpu_with_its_counts(case: Case) -> None:
    network = mapped(retime(case.graph, ROOMY), reads_zeros=False)
    cpu, program = CpuProgram(network), LavaBackend().load(network)
    n_timesteps = 0
    try:
        for stop in range(1, case.n_timesteps + 1):
            for stimulus, end in zip(
                case.stimuli, (stop, case.n_timesteps), strict=True
            ):
                check_same_session(cpu, program, stimulus, end)
                n_timesteps += end
    finally:
        program.close()
    n_values = n_timesteps * network.graph.readout.size
    TALLY.add("lava sessions and counts = cpu", n_timesteps, n_values)


def check_same_session(
    cpu: CpuProgram, program: LavaProgram, stimulus: Stimulus, stop: int
) -> None:
    sessions = (cpu.start([stimulus]), program.start([stimulus]))
    for _ in range(stop):
        one, other = (session.step() for session in sessions)
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.readout, other.readout)
    for session in sessions:
        session.retire(np.array([0]))
    one_activity, other_activity = (session.activity(0) for session in sessions)
    for name in COUNTS:
        one_counts, other_counts = (
            getattr(activity, name) for activity in (one_activity, other_activity)
        )
        np.testing.assert_array_equal(one_counts, other_counts)


def test_lava_records_three_thousand_timesteps() -> None:
    graph = retime(slow_loop(), ROOMY)
    (stimulus,) = trains(1, 3000, (3,))
    program = LavaBackend().load(mapped(graph))
    try:
        found = program.record(stimulus, QUANTITIES, n_timesteps=3000)
    finally:
        program.close()

    wanted = traced(graph, stimulus, 3000 + lasting(graph), n_timesteps=3000)
    check_equal(found, wanted)
    assert all(found[p.name, "spikes"].sum() > 100 for p in graph.order if p.spikes)
    TALLY.add("lava record, long = reference", 3000, n_values(wanted))


def test_nothing_stays_on_lavas_way_for_62_timesteps_after_a_cutoff() -> None:
    network = mapped(retime(slow_loop(), ROOMY))
    cpu, program = CpuProgram(network), LavaBackend().load(network)
    first, second = trains(2, 66, (3,))
    try:
        for stop in (1, 2, 30, 61, 62, 63, 66):
            check_same_session(cpu, program, first, stop)
            check_same_session(cpu, program, second, 66)
    finally:
        program.close()
    TALLY.add("lava sessions and counts = cpu", 7 * 66, 7 * 66 * 4)


own_periods = st.one_of(st.none(), st.integers(1, 9))


@examples(10, shrinks=False)
@given(data=st.data(), reset_every=own_periods)
def test_reference_equals_the_dense_processes_of_lava(
    data: st.DataObject, reset_every: int | None
) -> None:
    case = data.draw(dense_cases(has_reset=reset_every is not None))
    check_equals_own(case, reset_every, "reference = Lava's own LIF and Dense")


@examples(8, shrinks=False)
@given(data=st.data(), reset_every=own_periods)
def test_reference_equals_the_conv_process_of_lava(
    data: st.DataObject, reset_every: int | None
) -> None:
    case = data.draw(conv_cases(has_reset=reset_every is not None))
    check_equals_own(case, reset_every, "reference = Lava's own LIF and Conv")


def check_equals_own(case: Case, reset_every: int | None, name: str) -> None:
    n = case.n_timesteps
    own = run_own(case.graph, case.stimuli[0], n, reset_every=reset_every)
    ours = traced(case.graph, case.stimuli[0], n, n_timesteps=n, period=reset_every)
    check_equal(ours, own)
    TALLY.add(name, n, n_values(own))
