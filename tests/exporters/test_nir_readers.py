"""write_nir for one tool: what that one spikes, or a refusal that says why."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from snn_deploy.arrays import AnyArray
from snn_deploy.errors import ModelError
from snn_deploy.exporters.nir import write_nir
from snn_deploy.exporters.nir_readers import READERS
from snn_deploy.importers.nir.reader import read_nir
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.nodes import Add, AvgPool2d, Flatten
from snn_deploy.ir.stimuli import Encoding
from tests.build import chain, conv, graph, integrator, lif, linear, rng
from tests.exporters.test_nir import SHAPE, deep, loop, run, strong
from tests.importers.nir_truth import (
    in_norse,
    in_sinabs,
    in_snntorch,
    in_spikingjelly,
    trains,
)

Run = Callable[[nir.NIRGraph, AnyArray], AnyArray]
RUNS: dict[str, Run] = {
    "norse": in_norse,
    "sinabs": in_sinabs,
    "snntorch": in_snntorch,
    "spikingjelly": in_spikingjelly,
}
EVENTS = Training(timesteps=30, encoding=Encoding.EVENTS)
LEAK = np.array(0.1)


def ties(comparison: Comparison, **settings: Any) -> Graph:
    """Return neurons whose voltages are whole, and often the threshold."""
    weight = rng(3).integers(-1, 3, size=(6, 8)).astype(float)
    settings = {"voltage_decay": np.array(0.0), "threshold": np.array(3.0), **settings}
    return chain(
        replace(linear("fc", 8, 6), weight=weight, bias=np.zeros(6)),
        lif("lif", (6,), comparison=comparison, **settings),
        training=EVENTS,
    )


def by_channel(**settings: Any) -> Graph:
    """Return a convolution whose channels have thresholds, and gains, of their own."""
    each = np.array([0.4, 0.5, 0.7, 0.9]).reshape(-1, 1, 1)
    return chain(
        conv("conv", SHAPE, 4, stride=(2, 2)),
        lif("lif", (4, 4, 4), threshold=each, reset_amount=each, **settings),
        AvgPool2d(name="pool", kernel=(2, 2), stride=(2, 2), shape=(4, 4, 4)),
        Flatten(name="flat", shape=(4, 2, 2)),
        strong("fc", 16, 5),
        lif("out", (5,), voltage_decay=LEAK, threshold=np.array(0.6)),
        training=EVENTS,
    )


def branches() -> Graph:
    nodes = [
        conv("a", SHAPE, 3, seed=1),
        conv("b", SHAPE, 3, seed=2),
        Add(name="sum", shape=(3, 8, 8)),
        lif("lif", (3, 8, 8), voltage_decay=LEAK, threshold=np.array(1.0)),
    ]
    return graph(
        nodes, "input>a input>b a>sum b>sum sum>lif", shape=SHAPE, training=EVENTS
    )


def soft() -> Graph:
    """Return neurons of soft reset to which nothing comes that takes off or doubles."""
    layer = linear("fc", 8, 6)
    weight = np.abs(layer.weight)
    weight = np.floor(64 * weight / weight.sum(axis=1, keepdims=True)) / 64
    settings = {"voltage_decay": np.array(0.0), "threshold": np.array(2.0)}
    return chain(
        replace(layer, weight=weight, bias=np.zeros(6)),
        lif(
            "lif", (6,), reset=Reset.SOFT, reset_amount=np.array(2.0),
            comparison=Comparison.GREATER_EQUAL, **settings,
        ),
        training=EVENTS,
    )  # fmt: skip


def several() -> Graph:
    """Return neurons as sinabs makes them: they spike several times, above a floor."""
    settings: dict[str, Any] = {
        "voltage_decay": np.array(0.0),
        "threshold": np.array(0.5),
        "reset": Reset.SOFT,
        "reset_amount": np.array(0.5),
        "comparison": Comparison.GREATER_EQUAL,
        "lowest_voltage": np.array(-0.5),
        "max_spikes": 255,
    }
    return chain(
        conv("conv", SHAPE, 4, stride=(2, 2)),
        lif("lif", (4, 4, 4), **settings),
        Flatten(name="flat", shape=(4, 4, 4)),
        linear("fc", 64, 5),
        lif("out", (5,), **settings),
        training=EVENTS,
    )


AT = Comparison.GREATER_EQUAL
NETWORKS: dict[str, Graph] = {
    "leaky": deep(0.6, voltage_decay=LEAK, input_gain=np.array(0.7)),
    "current": deep(0.9, current_decay=np.array(0.4), voltage_decay=LEAK),
    "no leak": deep(0.9, voltage_decay=np.array(0.0)),
    "at the threshold": deep(0.6, voltage_decay=LEAK, comparison=AT),
    "ties": ties(Comparison.GREATER),
    "ties, at": ties(AT),
    "channels": by_channel(voltage_decay=LEAK),
    "channels, decays": by_channel(
        voltage_decay=np.linspace(0.05, 0.2, 4).reshape(-1, 1, 1)
    ),
    "branches": branches(),
    "loop": loop(),
    "soft": soft(),
    "several": several(),
}
EXACT = {
    "norse": (
        "leaky", "current", "no leak", "at the threshold", "ties", "ties, at",
        "channels", "channels, decays", "loop",
    ),
    "sinabs": ("soft", "several"),
    "snntorch": (
        "leaky", "current", "at the threshold", "channels", "channels, decays",
        "branches",
    ),
    "spikingjelly": (
        "leaky", "current", "no leak", "at the threshold", "ties", "ties, at",
        "channels", "branches",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("reader", READERS)
def test_the_file_is_what_the_tool_computes_or_refused(
    tmp_path: Path, reader: str, name: str
) -> None:
    network, path = NETWORKS[name], tmp_path / "net.nir"
    x = trains(network.input.shape)

    if name not in EXACT[reader]:
        with pytest.raises(ModelError, match="would compute something else: "):
            write_nir(network, path, reader)
        assert not path.exists()
        return
    (note,) = write_nir(network, path, reader)

    expected = run(network, x)
    np.testing.assert_array_equal(RUNS[reader](nir.read(path), x), expected)
    assert 0 < np.count_nonzero(expected) < expected.size
    np.testing.assert_array_equal(run(read_nir(path), x), expected)
    assert f"{READERS[reader].title} reads it as it is meant" in note


def one(**settings: Any) -> Graph:
    layer = strong("fc", 8, 6)
    return chain(layer, lif("lif", (6,), **settings), training=EVENTS)


DECAYS = np.linspace(0.1, 0.5, 6)


@pytest.mark.parametrize(
    ("reader", "network", "message"),
    [
        ("norse", one(reset=Reset.SOFT), "lif: resets its voltage to 0"),
        ("sinabs", one(voltage_decay=LEAK), "lif: takes the threshold off"),
        ("sinabs", one(reset=Reset.SOFT, voltage_decay=LEAK, comparison=AT),
         "lif: counts time constants in timesteps"),
        ("sinabs", one(reset=Reset.SOFT, voltage_decay=LEAK * 0, comparison=AT),
         "cuts voltages off at minus the threshold.*spikes more often"),
        ("norse", branches(), "gives something else where the network has branches"),
        ("spikingjelly", one(lowest_voltage=np.array(-0.5)), "has no lowest voltage"),
        ("snntorch", one(voltage_decay=LEAK * 0), "without a leak one of 0.1"),
        ("snntorch", loop(), "was not tried with loops"),
        ("spikingjelly", one(voltage_decay=DECAYS), "takes one tau for a layer"),
        ("spikingjelly", one(voltage_decay=np.array(1.0)), "that loses all in"),
        ("norse", chain(strong("fc", 8, 6), integrator("out", (6,)), training=EVENTS),
         "out: has no I;"),
        ("norse", replace(one(voltage_decay=LEAK), is_on_grid=True),
         "lif: does not round sums or decays as the chip does"),
    ],
)  # fmt: skip
def test_the_reason_is_told(
    tmp_path: Path, reader: str, network: Graph, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        write_nir(network, tmp_path / "net.nir", reader)


def test_a_file_for_nobody_tells_who_reads_it_how(tmp_path: Path) -> None:
    notes = write_nir(NETWORKS["leaky"], tmp_path / "net.nir")

    told = dict(zip(READERS, notes, strict=True))
    assert told["norse"].endswith(
        "as it is meant: norse.torch.from_nir(graph, dt=0.0001)"
    )
    assert "sinabs reads it otherwise (lif1: takes the threshold off" in told["sinabs"]
    assert "as it is meant" in told["snntorch"]
    assert "spikes where the voltage is >= the threshold" in told["spikingjelly"]
    assert nir.read(tmp_path / "net.nir").metadata["readers"] == "\n".join(notes)


def test_other_tools_are_not_known(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no reader of NIR is called 'nengo'"):
        write_nir(NETWORKS["leaky"], tmp_path / "net.nir", "nengo")
