"""Long inputs, as audio has them: memory grows with what is connected."""

import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from snn_deploy.backends.engine.cpu import CpuProgram
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff import monitor
from snn_deploy.cutoff.decision import never
from snn_deploy.data.data import Data
from snn_deploy.ir import convolve
from snn_deploy.ir.convolve import Convolution
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.nodes import Flatten
from snn_deploy.ir.stimuli import Stimulus
from tests.build import TRAINING, chain, conv, lif, linear, rng, simulator

LENGTH = 12_000  # its square is over a gigabyte


def audio(length: int = LENGTH) -> Graph:
    first = conv("first", (1, 1, length), 1, kernel=(1, 9), padding=(0, 4))
    second = conv(
        "second", (1, 1, length), 2, kernel=(1, 400), stride=(1, 200), padding=(0, 0)
    )
    shape = second.output_shape
    return chain(
        first,
        lif("a", (1, 1, length)),
        second,
        lif("b", shape),
        Flatten(name="flat", shape=shape),
        linear("out", shape[0] * shape[2], 3),
    )


@pytest.fixture(scope="module")
def network() -> MappedNetwork:
    return compile_model(audio(), simulator())


@contextmanager
def at_most(megabytes: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("goal", [None, "energy", "cores"])
def test_compiling_needs_no_matrix_of_all_by_all(goal: str | None) -> None:
    with at_most(100):
        compile_model(audio(), simulator(), optimize=goal, seconds=0.1)


def test_connections_need_no_matrix_of_kernel_by_input(network: MappedNetwork) -> None:
    graph = network.graph
    (second,) = [p for p in graph.projections if p.target == "b"]

    with at_most(10):
        found = second.synapses.fan_outs(graph.shape_of("a"))

    readers = np.zeros(LENGTH, int)
    for start in range(0, LENGTH - 399, 200):
        readers[start : start + 400] += 2
    np.testing.assert_array_equal(found, readers)


def test_convolution_looks_at_few_windows_at_once() -> None:
    x, weight = np.ones((1, 2, 1, 100_000)), np.ones((1, 2, 1, 400))
    settings: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0)}

    with at_most(300):  # all windows are 640 megabytes
        Convolution(**settings, dilation=(1, 1), groups=1).convolve(x, weight)


def test_a_batch_of_long_inputs_is_small() -> None:
    small, wide = (
        CpuProgram(compile_model(audio(length), simulator()))
        for length in (800, 100_000)
    )

    assert small.max_batch == 100
    assert 2 <= wide.max_batch < 30


def test_convolution_in_blocks_is_that_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x = rng(1).integers(-9, 9, (3, 4, 7, 11)).astype(np.float64)
    weight = rng(2).integers(-9, 9, (6, 2, 3, 2)).astype(np.float64)
    settings: dict[str, Any] = {
        "stride": (1, 2),
        "padding": (1, 2),
        "dilation": (2, 1),
        "groups": 2,
        "cropped": (1, 2),
    }
    whole = Convolution(**settings).convolve(x, weight)

    monkeypatch.setattr(convolve, "FEWEST", 0)
    for most in (1, 100, 500, 2000):
        monkeypatch.setattr(convolve, "MOST_READ", most)
        found = Convolution(**settings).convolve(x, weight)

        np.testing.assert_array_equal(found, whole)


def test_inputs_are_taken_by_their_size(
    monkeypatch: pytest.MonkeyPatch, network: MappedNetwork
) -> None:
    sizes: list[int] = []

    class Watched(CpuProgram):
        def run(self, stimuli: Sequence[Stimulus], *args: Any, **kwargs: Any) -> Any:
            sizes.append(len(stimuli))
            return super().run(stimuli, *args, **kwargs)

    x = rng(3).random((5, 1, 1, LENGTH))
    data = Data(x=x, y=None, training=TRAINING)
    program = Watched(network)
    whole = list(monitor.decide_inputs(program, network, data.stimuli(), never))

    monkeypatch.setattr(monitor, "MOST_BYTES", 2 * 4 * LENGTH)
    found = list(monitor.decide_inputs(program, network, data.stimuli(), never))

    assert sizes == [5, 2, 2, 1]
    for (index, scores), (other, expected) in zip(found, whole, strict=True):
        assert index == other
        np.testing.assert_array_equal(scores, expected)


def test_hashes_of_long_inputs_are_those_of_each_alone() -> None:
    x = rng(4).random((16, 1, 1, 1 << 20), np.float32)
    data = Data(x=x, y=None, training=TRAINING)

    with at_most(200):
        found = data.hashes

    alone = [int(data.take([index]).hashes[0]) for index in range(16)]
    assert found.tolist() == alone
