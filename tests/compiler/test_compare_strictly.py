"""compare_strictly: >= on a chip that has > only, exact or told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import IntArray
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.lower.compare_strictly import compare_strictly
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.pipeline import compile_model, to_spiking
from snn_deploy.errors import FitError
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Population, QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus
from tests.build import dense, integers, population, rng, simulator
from tests.compiler.test_abilities import network, without_greater_equal
from tests.recording import record_reference

EXACT: dict[str, dict[str, Any]] = {
    "no memory, no leak": {},
    "all of the voltage leaks": {"voltage_decay": np.array(4096)},
    "the current never decays": {"current_decay": np.array(-1)},
    "a bias in thresholds": {"bias_mantissa": np.array(1), "bias_exponent": 6},
    "a soft reset": {"reset": Reset.SOFT, "reset_amount": np.array(128)},
    "a start": {"initial_voltage": np.array(-64)},
    "several spikes": {
        "reset": Reset.SOFT,
        "reset_amount": np.array(128),
        "max_spikes": 5,
    },
}
LOSSY: dict[str, dict[str, Any]] = {
    "a leak": {"voltage_decay": np.array(2048)},
    "a current with a memory": {"current_decay": np.array(2047)},
    "a bias in between": {"bias_mantissa": np.array(32)},
    "a soft reset in between": {"reset": Reset.SOFT, "reset_amount": np.array(96)},
    "a start in between": {"initial_voltage": np.array(32)},
    "a threshold of 0": {"threshold": np.array(0)},
}


def spiking(**changes: Any) -> QuantizedGraph:
    """Return one layer that spikes at >=, its sums whole numbers from -8 to 8."""
    settings = {
        "current_decay": np.array(4095),
        "voltage_decay": np.array(0),
        "threshold": np.array(3),
        "comparison": Comparison.GREATER_EQUAL,
        **changes,
    }
    weights = rng(1).integers(-2, 3, (8, 4))
    neurons, synapses = population("a", (8,), **settings), dense("input", "a", weights)
    graph = integers([neurons], [synapses], shape=(4,))
    precision = replace(graph.precision, greater_equal=False, current_decay_offset=1)
    return replace(graph, precision=precision)


def spikes(graph: QuantizedGraph) -> IntArray:
    x = rng(2).integers(0, 2, (200, *graph.source.shape))
    stimulus = Stimulus(values=x, is_constant=False)
    found: IntArray = record_reference(graph, stimulus, ("spikes",), n_timesteps=200)[
        "a", "spikes"
    ]
    return found


def only(graph: QuantizedGraph) -> Population:
    (found,) = graph.populations
    assert found.comparison is Comparison.GREATER
    return found


@pytest.mark.parametrize("case", EXACT)
def test_voltages_in_units_of_the_threshold_are_compared_exactly(case: str) -> None:
    graph = spiking(**EXACT[case])

    strict = compare_strictly(graph)

    assert only(strict).threshold == 2
    assert strict.changes == ()
    np.testing.assert_array_equal(spikes(strict), spikes(graph))
    late = replace(only(strict), threshold=np.array(3))
    ties = spikes(replace(strict, populations=(late,))) != spikes(graph)
    assert ties.any()


@pytest.mark.parametrize("case", LOSSY)
def test_other_neurons_miss_ties_and_say_so(case: str) -> None:
    graph = spiking(**LOSSY[case])

    strict = compare_strictly(graph)

    assert only(strict).threshold == graph.populations[0].threshold
    (change,) = strict.changes
    assert (change.layer, change.kind, change.count) == ("a", "compare strictly", 8)
    assert change.largest == float(graph.populations[0].scale)


def test_a_chip_that_compares_with_both_is_left_alone() -> None:
    graph = spiking()
    able = replace(graph, precision=replace(graph.precision, greater_equal=True))

    assert compare_strictly(able) is able


def test_float_networks_are_compiled_and_strict_refuses_what_is_lost() -> None:
    exact = to_spiking(network(voltage_decay=np.array(0.0)))
    leaky = network()

    quantized = quantize(exact, without_greater_equal())
    assert quantized.changes == ()
    wanted = quantize(exact, simulator())
    for before, after in zip(wanted.populations, quantized.populations, strict=True):
        np.testing.assert_array_equal(after.threshold, before.threshold - 1)
    with pytest.raises(FitError, match="compare strictly, 8 values"):
        compile_model(leaky, without_greater_equal(), is_strict=True)
    compile_model(
        leaky, without_greater_equal(), is_strict=True, allow=("compare strictly",)
    )


def test_integrate_and_fire_of_spikingjelly_spikes_on_loihi1_as_it_does(
    tmp_path: Path,
) -> None:
    torch = pytest.importorskip("torch")
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    import snn_deploy

    module = torch.nn.Sequential(
        torch.nn.Linear(6, 8, bias=False), neuron.IFNode(v_threshold=8.0)
    )
    weight = 2 * rng(1).integers(-2, 4, (8, 6))
    with torch.no_grad():
        module[0].weight.copy_(torch.as_tensor(weight))
    snn_deploy.save(
        module, tmp_path / "net.pt", input_shape=(6,), timesteps=40, encoding="events"
    )
    x = rng(2).integers(0, 2, (40, 6))

    graph = replace(load_model(tmp_path / "net.pt"), is_on_grid=True)
    chip = compile_model(graph, read_target("loihi1"), is_strict=True)
    rows = record_reference(
        chip.graph, Stimulus(values=x, is_constant=False), ("spikes",), n_timesteps=40
    )

    with torch.no_grad():
        neuron_spikes = [module(torch.as_tensor(row[None]).float())[0] for row in x]
    offset = chip.graph.population("1").offset
    found = rows["1", "spikes"][offset : offset + 40]
    np.testing.assert_array_equal(found, torch.stack(neuron_spikes).numpy())
    assert 0.1 < found.mean() < 0.9
