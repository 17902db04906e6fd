"""conventional: the multiply-accumulates that the layers of the trained network do."""

import pytest

from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.costs.conventional import conventional
from snn_deploy.ir.nodes import Flatten
from tests.build import chain, conv, lif, linear, simulator


def test_multiply_accumulates_are_those_of_the_layers() -> None:
    first = conv("conv", (2, 6, 6), 4, padding=(0, 0))
    graph = chain(
        first,
        lif("conv_lif", (4, 4, 4)),
        Flatten(name="flatten", shape=(4, 4, 4)),
        linear("fc", 64, 5),
        lif("fc_lif", (5,)),
    )

    found = conventional(compile_model(graph, simulator()).graph)

    assert found["multiply_accumulates"] == 4 * 4 * 4 * 2 * 3 * 3 + 64 * 5


def test_joules_come_with_their_source() -> None:
    graph = chain(linear("fc", 10, 5), lif("lif", (5,)))

    found = conventional(compile_model(graph, simulator()).graph)

    # the operations of Horowitz' table: 32-bit floats; 8-bit product, 32-bit sum
    assert found["energy_j"]["float32"] == pytest.approx(50 * (3.7e-12 + 0.9e-12))
    assert found["energy_j"]["int8"] == pytest.approx(50 * (0.2e-12 + 0.1e-12))
    assert "Horowitz" in found["energy_source"]
