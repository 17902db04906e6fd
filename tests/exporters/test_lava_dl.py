"""write_lava_dl: the integers come back, and what netx would compute otherwise."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snn_deploy.arrays import IntArray, spread
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.convert import write_integers
from snn_deploy.errors import FitError, ModelError
from snn_deploy.exporters.lava_dl import write_lava_dl
from snn_deploy.files.writing import packaged_folder
from snn_deploy.fixedpoint import shift
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.graph import Functional, Training
from snn_deploy.ir.heads import Head, HeadKind
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.ir.synapses import ConvSynapses, SparseSynapses
from tests.build import RATE, dense, integers, population
from tests.conformance.netx_networks import TARGET, netx_network


def read_back(path: Path) -> QuantizedGraph:
    """Return the integers of a file, in local time; nothing was lost."""
    network = quantize(to_spiking(load_model(path)), TARGET)
    assert {c.kind for c in network.changes} <= {"saturate voltage", "wrap current"}
    return network


def said(network: QuantizedGraph) -> list[Any]:
    """Return all that decides what a network computes, layer by layer."""
    found: list[Any] = [network.source.shape, network.source.largest_value]
    for p in network.populations:
        bias = shift(p.bias_mantissa, p.bias_exponent)
        registers = [p.current_decay, p.voltage_decay, bias, p.initial_voltage]
        if p.spikes:
            registers.append(p.threshold)
        found += [p.shape, p.spikes, p.refractory, p.max_spikes]
        found += [spread(r, p.shape).tolist() for r in registers]
        for one in network.projections_into(p):
            sender = network.shape_of(one.source)
            late: IntArray = one.delay + spread(one.axon_delay, sender)
            weights = one.synapses.weights * 2**one.exponent
            found += [one.source == p.name, weights.tolist(), late.tolist()]
            if isinstance(one.synapses, ConvSynapses):
                found += [one.synapses.stride, one.synapses.padding]
                found += [one.synapses.dilation, one.synapses.groups]
    return found


@pytest.mark.parametrize("seed", [1, 2, 10, 24, 35, 36])
def test_random_networks_come_back_integer_by_integer(
    seed: int, tmp_path: Path
) -> None:
    network = retime(netx_network(seed), TARGET)

    write_integers(network, tmp_path / "net.net")

    found = read_back(tmp_path / "net.net")
    assert said(found) == said(network.in_local_time())
    assert replace(found.training, heads=()) == network.training


def network(**changes: Any) -> QuantizedGraph:
    """Return three inputs, two neurons and an output."""
    limits = TARGET.precision
    found = integers(
        [population("hidden", (2,), **changes), population("out", (2,))],
        [
            dense("input", "hidden", [[40, 50, -10], [-30, -20, 2]]),
            dense("hidden", "out", [[6, 2], [2, 6]]),
        ],
        shape=(3,),
    )
    return replace(found, precision=limits)


def test_numbers_are_scalars_and_the_simulation_is_written(tmp_path: Path) -> None:
    write_lava_dl(
        network(bias_mantissa=np.array([3, -4]), bias_exponent=7), tmp_path / "a"
    )

    with h5py.File(tmp_path / "a") as file:
        neuron = file["layer/1/neuron"]
        for name, value in (("iDecay", 4096), ("vDecay", 409), ("vThMant", 100)):
            assert neuron[name].shape == ()
            assert neuron[name][()] == value
        assert file["layer/1/bias"][()].tolist() == [6, -8]
        assert file["layer/1/weight"][()].tolist() == [[40, 50, -10], [-30, -20, 2]]
        assert file["simulation/tSample"][()] == RATE.timesteps
        assert file["simulation/Ts"][()] == 1


@pytest.mark.parametrize(
    "training",
    [
        Training(timesteps=3, encoding=Encoding.RATE),
        Training(timesteps=9, encoding=Encoding.EVENTS, largest_count=5),
        Training(timesteps=4, encoding=Encoding.DIRECT, input_scale=255.0),
    ],
    ids=str,
)
def test_time_and_encoding_are_read_back(training: Training, tmp_path: Path) -> None:
    whole = replace(network(), training=training)

    write_lava_dl(whole, tmp_path / "a.net")

    assert replace(load_model(tmp_path / "a.net").training, heads=()) == training


def test_an_encoding_that_is_given_takes_the_place_of_the_files(tmp_path: Path) -> None:
    write_lava_dl(network(), tmp_path / "a.net")

    found = load_model(tmp_path / "a.net", encoding="direct").training

    assert (found.encoding, found.input_scale) == (Encoding.DIRECT, 255)


def test_voltages_that_are_read_out_are_neurons_that_never_spike(
    tmp_path: Path,
) -> None:
    whole = network()
    out = replace(whole.populations[1], spikes=False, threshold=np.array(0))
    training = replace(whole.training, functional=Functional.MAX)
    read_out = replace(
        whole, populations=(whole.populations[0], out), training=training
    )

    write_lava_dl(read_out, tmp_path / "a.net")

    assert not read_back(tmp_path / "a.net").populations[1].spikes
    assert replace(load_model(tmp_path / "a.net").training, heads=()) == training


@pytest.mark.parametrize("spikes", [True, False])
def test_what_outputs_stand_for_is_read_back(spikes: bool, tmp_path: Path) -> None:
    whole = network()
    heads = (
        Head(name="digit", n_outputs=1, kind=HeadKind.CLASS),
        Head(name="angle", n_outputs=1, kind=HeadKind.VALUES, scale=0.3, is_mean=True),
    )
    training = Training(
        timesteps=4,
        encoding=Encoding.DIRECT,
        input_scale=255.0,
        input_low=-1.0,
        input_high=3.0,
        heads=heads,
        answers="angle",
    )
    out = replace(whole.populations[1], spikes=spikes, scale=np.array(0.25))
    out = replace(out, threshold=out.threshold * spikes)
    whole = replace(whole, populations=(whole.populations[0], out), training=training)

    write_lava_dl(whole, tmp_path / "a.net")

    again = read_back(tmp_path / "a.net")
    assert again.training.input_range == (-1, 3)
    assert (again.head.name, again.head.kind) == ("angle", HeadKind.VALUES)
    outputs = np.array([[6400]])
    np.testing.assert_allclose(again.in_units(outputs, 2), whole.in_units(outputs, 2))


# what netx's neurons cannot do


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reset": Reset.SOFT}, "no soft reset"),
        ({"comparison": Comparison.GREATER_EQUAL}, "no spikes at voltage == thres"),
        ({"threshold": np.array([100, 101])}, "one threshold for all neurons"),
        ({"voltage_decay": np.array([4, 5])}, "one decay for all neurons of a layer"),
        ({"initial_voltage": np.array(5)}, "no initial voltage but 0"),
        ({"refractory": 2}, r"refractory periods 0 to 0 \(needed: 0 to 2\)"),
        (
            {"bias_mantissa": np.array(1)},
            r"exponents of biases 6 to 6 \(needed: 0 to 0\)",
        ),
    ],
)
def test_neurons_that_netx_does_not_have_are_refused(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(
        FitError, match=f"do not run on loihi2-netx, which has.*{words}"
    ):
        write_integers(network(**changes), tmp_path / "a.net")

    assert not list(tmp_path.iterdir())


# what netx would read otherwise


def with_weights(weights: Any) -> QuantizedGraph:
    whole = network()
    first = dense("input", "hidden", weights)
    return replace(whole, projections=(first, whole.projections[1]))


def looped(**changes: Any) -> QuantizedGraph:
    whole = network(**changes)
    loop = dense("hidden", "hidden", [[2, -2], [-4, 2]], delay=1)
    return replace(whole, projections=(*whole.projections, loop))


def delayed(**changes: Any) -> QuantizedGraph:
    whole = network(**changes)
    late = replace(whole.projections[1], axon_delay=np.array([0, 3]))
    return replace(whole, projections=(whole.projections[0], late))


def branched() -> QuantizedGraph:
    whole = network()
    around = dense("input", "out", [[2, 4, 6], [2, 4, 6]])
    return replace(whole, projections=(*whole.projections, around))


def single_synapses(onto: tuple[int, ...]) -> QuantizedGraph:
    places = np.arange(4)
    synapses = SparseSynapses(
        weights=2 * places + 2, targets=places, sources=places, size=(4, 4)
    )
    first = replace(dense("input", "a", [[1]]), synapses=synapses)
    return integers([population("a", onto)], [first], shape=(4,))


def cropped() -> QuantizedGraph:
    synapses = ConvSynapses(
        weights=np.full((1, 1, 2, 2), 2),
        stride=(1, 1),
        padding=(1, 1),
        dilation=(1, 1),
        groups=1,
        cropped=(1, 1),
    )
    first = replace(dense("input", "a", [[1]]), synapses=synapses)
    return integers([population("a", (1, 3, 3))], [first], shape=(1, 3, 3))


ONE = {"bias_mantissa": np.array([-3, 1]), "bias_exponent": 6}


@pytest.mark.parametrize(
    ("whole", "words"),
    [
        (with_weights([[3, -2, 2], [2, 2, 2]]), "hidden: odd weights beside others of"),
        (with_weights(np.zeros((2, 3))), "hidden: all weights are 0, by which netx"),
        (
            with_weights([[-8, -2, 0], [-1, 0, 0]]),
            "hidden: weights down to -8 and none over 0, of which netx clips the low",
        ),
        (looped(**ONE), "hidden: sends to itself, and the bias of hidden can cause sp"),
        (delayed(**ONE), "out: what it receives is delayed, and the bias of hidden ca"),
        (branched(), "out: does not receive the spikes of hidden alone"),
        (replace(network(), output="hidden"), "hidden: is read out, but out follows"),
        (
            network(takes_bias=True, bias_exponent=6),
            "hidden: takes its bias from the d",
        ),
        (single_synapses((1, 2, 2)), "a: maps of neurons behind single synapses"),
        (cropped(), "a: pads unevenly; train with the same padding"),
    ],
)
def test_what_netx_would_compute_otherwise_is_refused(
    whole: QuantizedGraph, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=words):
        write_lava_dl(whole, tmp_path / "a.net")

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "whole",
    [
        with_weights([[3, 0, 1], [2, 2, 2]]),
        with_weights([[-9, -2, 0], [-1, 0, 0]]),
        looped(),
        delayed(bias_mantissa=np.array([-3, 0]), bias_exponent=6),
        single_synapses((4,)),
    ],
)
def test_what_netx_reads_as_it_is_meant_is_written(
    whole: QuantizedGraph, tmp_path: Path
) -> None:
    write_lava_dl(whole, tmp_path / "a.net")

    assert (
        read_back(tmp_path / "a.net").populations[0].size == whole.populations[0].size
    )


def test_weights_that_were_tuned_for_netx_are_rounded_no_more() -> None:
    model = load_model(packaged_folder("models") / "mnist_netx" / "model.pt")

    changes = quantize(to_spiking(model), TARGET).changes

    assert {change.kind for change in changes} == {"round bias"}
