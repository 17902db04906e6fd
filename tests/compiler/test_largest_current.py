"""largest_current: max pooling of currents, as neurons that send differences."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snn_deploy.backends.registry import open_backend
from snn_deploy.compiler.pipeline import compile_model, to_spiking
from snn_deploy.cutoff.monitor import collect_scores
from snn_deploy.errors import FitError, PassError
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.nodes import Conv2d, Flatten, MaxPool2d
from snn_deploy.ir.stimuli import Encoding
from tests.build import (
    batch_norm,
    chain,
    conv,
    images,
    lif,
    linear,
    rng,
    simulator,
    trains,
)

RATE = Training(timesteps=12, encoding=Encoding.RATE)
SHAPE = (2, 8, 8)


def pool(**changes: Any) -> MaxPool2d:
    settings: dict[str, Any] = {"kernel": (2, 2), "stride": (2, 2), **changes}
    return MaxPool2d(name="pool", shape=(3, 8, 8), **settings)


def whole(layer: Conv2d) -> Conv2d:
    """Return weights on the grid of the chip, of which one uses it up."""
    weight = rng(1).integers(-20, 25, layer.weight.shape)
    weight[:, 0] = np.abs(weight[:, 0])  # so that differences stay on it
    weight[:, 0, 0, 0] = 127
    bias = np.array([3.0, -5.0, 0.0])
    return replace(layer, weight=weight.astype(np.float64), bias=bias)


def network(pooling: MaxPool2d, **neurons: Any) -> Graph:
    shape = pooling.output_shape
    values: dict[str, Any] = {"threshold": np.array(150.0), **neurons}
    last = linear("fc", int(np.prod(shape)), 4)
    weight = rng(2).integers(-3, 4, last.weight.shape).astype(np.float64)
    return chain(
        whole(conv("conv", SHAPE, 3)),
        pooling,
        lif("lif", shape, **values),
        Flatten(name="flat", shape=shape),
        replace(last, weight=weight, bias=np.zeros(4)),
        training=RATE,
    )


@pytest.mark.parametrize(
    "changes",
    [{}, {"kernel": (3, 2), "stride": (2, 1)}, {"dilation": (2, 1), "stride": (1, 3)}],
    ids=str,
)
def test_neurons_behind_get_the_largest_current(changes: dict[str, Any]) -> None:
    before = network(pool(**changes))
    stimuli = trains(5, RATE.timesteps, SHAPE)

    spiking = to_spiking(before)

    assert not spiking.nodes_of(MaxPool2d)
    found = np.diff(evaluate(spiking, stimuli), axis=1, prepend=0)
    expected = evaluate(before, stimuli)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.ptp(expected) > 10


def test_chip_spikes_where_the_float_network_does() -> None:
    before = network(pool(), voltage_decay=np.array(0.0), reset=Reset.HARD)
    stimuli = trains(6, RATE.timesteps, SHAPE)

    compiled = compile_model(before, simulator())

    assert "round maximum" not in [change.kind for change in compiled.graph.changes]
    expected = np.cumsum(evaluate(before, stimuli), axis=1)
    scale = compiled.graph.readout.scale
    assert np.ptp(expected) > 10
    for name in ("reference", "cpu"):
        program = open_backend(name).load(compiled)
        found = collect_scores(program, compiled, enumerate(stimuli))
        np.testing.assert_allclose(found * scale, expected, atol=1e-9)


@pytest.mark.parametrize("encoding", [Encoding.RATE, Encoding.DIRECT])
def test_trained_weights_lose_less_than_their_rounding(encoding: Encoding) -> None:
    training = replace(RATE, encoding=encoding)
    before = chain(
        conv("conv", SHAPE, 3),
        batch_norm("norm", (3, 8, 8)),
        pool(),
        lif("lif", (3, 4, 4), threshold=np.array(0.8)),
        training=training,
    )
    is_graded = encoding is Encoding.DIRECT
    stimuli = images(9, SHAPE) if is_graded else trains(9, 12, SHAPE)

    found, expected = (evaluate(g, stimuli) for g in (to_spiking(before), before))

    assert 0.05 < expected.mean() < 0.95
    assert np.mean(found != expected) < 0.01
    compiled = compile_model(before, simulator())
    kinds = {change.kind for change in compiled.graph.changes}
    with pytest.raises(FitError, match=r"pool_0_1_over: round maximum, 48 values, by "):
        compile_model(
            before, simulator(), is_strict=True, allow=kinds - {"round maximum"}
        )


def test_windows_beyond_the_map_and_large_ones_are_refused() -> None:
    for changes in ({"padding": (1, 1)}, {"kernel": (4, 4)}):
        with pytest.raises(PassError, match="pool: max pooling of currents over"):
            to_spiking(network(pool(**changes)))
