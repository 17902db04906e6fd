"""Where Lava's own processes do something else than one expects, or than ours do.

Each of these shapes the compiler or the tests of equality: the reason stands with it.
"""

import contextlib
import io
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from snn_deploy.backends.lava.compat import forking, import_lava
from snn_deploy.errors import BackendError
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus
from tests.build import dense, integers, population
from tests.conformance.test_equality import traced

try:
    import_lava()
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(autouse=True)
def _unchanged_logger() -> Iterator[None]:
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = handlers


def lava_currents(
    rows: npt.ArrayLike, synapses: Any, n: int, *, du: int = 4095
) -> list[int]:
    """Return the current of Lava's first neuron, in ``n`` timesteps."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.source import RingBuffer
    from lava.proc.lif.process import LIF

    data = np.zeros((*synapses.s_in.shape, n), np.int32)
    given = np.asarray(rows, np.int32)
    data[..., : given.shape[-1]] = given
    source = RingBuffer(data=data)
    neurons = LIF(shape=synapses.a_out.shape, vth=131071, du=du, dv=0)
    source.s_out.connect(synapses.s_in)
    synapses.a_out.connect(neurons.a_in)
    found = []
    with forking(), contextlib.redirect_stdout(io.StringIO()):
        try:
            for _ in range(n):
                run_cfg = Loihi2SimCfg(select_tag="fixed_pt")
                source.run(condition=RunSteps(num_steps=1), run_cfg=run_cfg)
                found.append(int(neurons.u.get().flat[0]))
        finally:
            source.stop()
    return found


def our_currents(graph: QuantizedGraph, rows: npt.ArrayLike, n: int) -> list[int]:
    """Return the current of our first neuron."""
    values = np.asarray(rows, np.int64).T
    trace = traced(graph, Stimulus(values=values, is_constant=False), n)
    return [int(current) for current in trace["a", "current"][:, 0]]


def network(weights: npt.ArrayLike, **changes: Any) -> QuantizedGraph:
    projection = dense("input", "a", weights, delay=1, **changes)
    neurons = population("a", (1,), threshold=np.array(131071))
    return integers(
        [neurons], [projection], shape=(np.shape(weights)[1],), largest_value=255
    )


def test_each_connection_delays_by_one_timestep() -> None:
    """So that loops of processes cannot wait for each other; ``retime`` adds it."""
    from lava.proc.dense.process import Dense

    synapses = Dense(weights=np.array([[4]]))

    found = lava_currents([[1]], synapses, 3)

    assert found == [0, 4 * 64, 0]
    assert found == our_currents(network([[4]]), [[1]], 3)


def test_weights_of_mixed_sign_lose_the_lowest_bit() -> None:
    """The sign takes it: the compiler makes them even, toward minus infinity here."""
    from lava.proc.dense.process import Dense
    from lava.utils.weightutils import SignMode

    synapses = Dense(weights=np.array([[3, -7]]), sign_mode=SignMode.MIXED)

    found = lava_currents([[1, 0], [0, 1]], synapses, 3)

    assert found == [0, 2 * 64, -8 * 64]
    assert found == our_currents(network([[2, -8]]), [[1, 0], [0, 1]], 3)


def test_weights_of_one_sign_keep_the_lowest_bit() -> None:
    from lava.proc.dense.process import Dense
    from lava.utils.weightutils import SignMode

    synapses = Dense(weights=np.array([[255]]), sign_mode=SignMode.EXCITATORY)

    found = lava_currents([[1]], synapses, 2)

    assert found == our_currents(network([[255]]), [[1]], 2) == [0, 255 * 64]


def test_conv_ignores_its_weight_exponent() -> None:
    """Ours does not: a network of ours with exponents is no network of Lava's Conv."""
    from lava.proc.conv.process import Conv

    synapses = Conv(
        weight=np.full((1, 1, 1, 1), 4), weight_exp=3, input_shape=(1, 1, 1)
    )

    found = lava_currents([[[[1]]]], synapses, 2)

    assert found == [0, 4 * 64]
    assert our_currents(network([[4]], exponent=3), [[1]], 2) == [0, 4 * 8 * 64]


def test_conv_does_not_clip_its_weights() -> None:
    """Dense clips at 8 bits and a sign; for Conv the compiler has to hold the range."""
    from lava.proc.conv.process import Conv
    from lava.proc.dense.process import Dense

    conv = Conv(weight=np.full((1, 1, 1, 1), 1000), input_shape=(1, 1, 1))

    assert lava_currents([[[[1]]]], conv, 2) == [0, 1000 * 64]
    assert lava_currents([[1]], Dense(weights=np.array([[1000]])), 2) == [0, 255 * 64]


def test_current_of_lava_wraps_once_and_ours_fully() -> None:
    """A register of 24 bits cannot hold more: Lava's current leaves its range here."""
    from lava.proc.dense.process import Dense

    weights = np.array([[255]])
    synapses = Dense(weights=weights, weight_exp=4, num_message_bits=8)

    found = lava_currents([[255]], synapses, 2)

    total = 255 * 255 * 16 * 64
    assert found == [0, total - 2**24]
    assert found[1] > 2**23  # no longer a number of 24 bits
    ours = our_currents(network(weights, exponent=4), [[255]], 2)
    assert ours == [0, total - 4 * 2**24]
    assert -(2**23) < ours[1] <= 2**23


def test_current_of_lava_equals_ours_where_one_wrap_suffices() -> None:
    from lava.proc.dense.process import Dense

    weights = np.array([[255]])
    synapses = Dense(weights=weights, weight_exp=2, num_message_bits=8)

    found = lava_currents([[255]], synapses, 2)

    assert found == [0, 255 * 255 * 4 * 64 - 2**24]
    assert found == our_currents(network(weights, exponent=2), [[255]], 2)


def test_delays_of_lava_round_apart_what_arrives_together() -> None:
    """A negative exponent drops bits of the sum of each delay; ours of the whole sum.

    On the chip the sum of a timestep is one accumulator. So equality with
    ``DelayDense`` is drawn with negative exponents only where all delays are equal.
    """
    from lava.proc.dense.process import DelayDense

    weights, delays = np.array([[3, 3]]), np.array([[0, 1]])
    synapses = DelayDense(weights=weights, delays=delays, weight_exp=-1)
    rows = [[0, 1], [1, 0]]  # both arrive in the third timestep

    assert lava_currents(rows, synapses, 3) == [0, 0, (3 // 2 + 3 // 2) * 64]
    late = network(weights, exponent=-1, axon_delay=np.array([0, 1]))
    assert our_currents(late, rows, 3) == [0, 0, (3 + 3) // 2 * 64]
