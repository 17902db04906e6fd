"""What a trained activation is on the chip: exact counts, the same spikes all along.

With x and threshold integers in units of 2**-20, all voltages are exact in float64, and
so is the expected count ``clip(floor(x T / threshold + 1/2), 0, T)`` in integers.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.registry import open_backend
from snn_deploy.compiler.pipeline import compile_model, to_spiking
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.data.datasets import Part, digits
from snn_deploy.importers.torch.module import trace
from snn_deploy.ir.floating import FloatRun, evaluate
from snn_deploy.ir.graph import Training
from snn_deploy.ir.neurons import Comparison, Lif, Reset
from snn_deploy.ir.stimuli import Encoding, Stimulus, encode
from snn_deploy.nn.neurons import IntegrateAndFire, Qcfs
from snn_deploy.training import recipes, train
from snn_deploy.training.networks import build_network, convert, run_over_time
from tests.build import chain, lif, simulator

N_DRAWS = 100_000
UNIT = 2.0**-20


def draws(n_timesteps: int) -> tuple[IntArray, IntArray]:
    """Return inputs and thresholds, a fifth of which give a tie after all timesteps."""
    rng = np.random.default_rng(n_timesteps)
    threshold = rng.integers(1, 1 << 22, N_DRAWS)
    x = rng.integers(-(1 << 21), 1 << 23, N_DRAWS)
    j = rng.integers(1, 1 << 14, N_DRAWS // 5)
    spikes = rng.integers(1, n_timesteps + 1, N_DRAWS // 5)
    threshold[: N_DRAWS // 5] = 2 * n_timesteps * j
    x[: N_DRAWS // 5] = (2 * spikes - 1) * j  # x T / threshold + 1/2 = spikes
    return x, threshold


def expected(x: IntArray, threshold: IntArray, n_timesteps: int) -> IntArray:
    count = (2 * x * n_timesteps + threshold) // (2 * threshold)
    clipped: IntArray = np.clip(count, 0, n_timesteps)
    return clipped


def expected_if_strict(x: IntArray, threshold: IntArray, n_timesteps: int) -> IntArray:
    """Return the counts of neurons that spike at ``voltage > threshold``."""
    count = -((2 * x * n_timesteps + threshold) // (-2 * threshold)) - 1
    clipped: IntArray = np.clip(count, 0, n_timesteps)
    return clipped


def counts(
    x: IntArray, threshold: IntArray, n_timesteps: int, comparison: Comparison
) -> IntArray:
    """Return the spikes that the float graph's neurons give for a constant input."""
    theta = threshold * UNIT
    neurons = lif(
        "if",
        x.shape,
        voltage_decay=np.array(0.0),
        initial_voltage=theta / 2,
        threshold=theta,
        reset=Reset.SOFT,
        reset_amount=theta,
        comparison=comparison,
    )
    training = Training(
        timesteps=n_timesteps, encoding=Encoding.EVENTS, input_scale=UNIT
    )
    stimulus = Stimulus(values=x[np.newaxis], is_constant=True)
    spikes = evaluate(chain(neurons, training=training), [stimulus])
    total: IntArray = spikes[0].sum(axis=0).astype(np.int64)
    return total


@pytest.mark.parametrize("n_timesteps", [1, 2, 3, 4, 7, 8, 16, 32])
def test_spikes_are_the_rounded_rate_with_ties_up(n_timesteps: int) -> None:
    x, threshold = draws(n_timesteps)

    found = counts(x, threshold, n_timesteps, Comparison.GREATER_EQUAL)

    np.testing.assert_array_equal(found, expected(x, threshold, n_timesteps))


@pytest.mark.parametrize("n_timesteps", [1, 2, 3, 4, 7, 8, 16, 32])
def test_strict_comparison_gives_one_spike_less_at_ties_and_only_there(
    n_timesteps: int,
) -> None:
    x, threshold = draws(n_timesteps)

    found = counts(x, threshold, n_timesteps, Comparison.GREATER)

    np.testing.assert_array_equal(found, expected_if_strict(x, threshold, n_timesteps))
    fewer = expected(x, threshold, n_timesteps) - found
    whole = (2 * x * n_timesteps + threshold) % (2 * threshold) == 0
    reached = (x > 0) & (2 * x * n_timesteps + threshold <= 2 * threshold * n_timesteps)
    np.testing.assert_array_equal(fewer, whole & reached)
    assert fewer.sum() >= N_DRAWS // 5


@pytest.mark.parametrize("n_timesteps", [1, 4, 8])
def test_neuron_of_training_and_its_activation_agree_with_the_rounded_rate(
    n_timesteps: int,
) -> None:
    x, threshold = draws(n_timesteps)
    drive, theta = torch.from_numpy(x * UNIT), torch.from_numpy(threshold * UNIT)
    neuron, state, total = IntegrateAndFire(theta), None, torch.zeros(N_DRAWS)

    for _ in range(n_timesteps):
        output, state = neuron(drive, state)
        total = total + output / theta

    np.testing.assert_array_equal(total.numpy(), expected(x, threshold, n_timesteps))
    one = Qcfs(n_timesteps, 1.0).double()
    rate = one(torch.from_numpy(x[N_DRAWS // 5 :] / (1 << 20)))
    whole = np.full(len(rate), 1 << 20)
    by_hand = expected(x[N_DRAWS // 5 :], whole, n_timesteps) / n_timesteps
    np.testing.assert_array_equal(rate.detach().numpy(), by_hand)


@pytest.mark.parametrize("n_timesteps", range(1, 18))
def test_one_layer_converts_exactly_for_any_number_of_timesteps(
    n_timesteps: int,
) -> None:
    layers = (
        recipes.Flatten(),
        recipes.Linear(features=50),
        recipes.QcfsActivation(levels=4, threshold=0.5),
    )
    network = build_network(layers, (1, 4, 4), seed=0)
    rng = np.random.default_rng(0)
    weight = rng.integers(-64, 65, (50, 16))  # in units of 1 / (64 * 255)
    with torch.no_grad():
        network.get_parameter("1.weight").copy_(torch.from_numpy(weight / 64))
        network.get_parameter("1.bias").zero_()
    training = Training(timesteps=n_timesteps, encoding=Encoding.DIRECT)
    graph = to_spiking(trace(network, "n", (1, 4, 4), training))
    pixels = rng.integers(0, 256, (20, 1, 1, 4, 4))
    stimuli = [Stimulus(values=p, is_constant=True) for p in pixels]

    spikes = evaluate(graph, stimuli).sum(axis=1) / 0.5

    drive = pixels.reshape(20, 16) @ weight.T
    theta = np.full_like(drive, 64 * 255 // 2)
    np.testing.assert_array_equal(spikes, expected(drive, theta, n_timesteps))


@pytest.mark.parametrize("n_timesteps", [1, 2, 3, 5, 8])
def test_converted_layer_spikes_on_the_chip_as_its_integers_say(
    n_timesteps: int,
) -> None:
    layers = (
        recipes.Flatten(),
        recipes.Linear(features=10),
        recipes.QcfsActivation(levels=4, threshold=2.0),
    )
    network = build_network(layers, (1, 4, 4), seed=0)
    training = Training(timesteps=n_timesteps, encoding=Encoding.DIRECT)
    chip = compile_model(trace(network, "n", (1, 4, 4), training), simulator())
    pixels = np.random.default_rng(1).integers(0, 256, (50, 1, 1, 4, 4))
    stimuli = [Stimulus(values=p, is_constant=True) for p in pixels]

    program = open_backend("cpu").load(chip)
    results = list(run_inputs(program, chip, enumerate(stimuli), never))

    (population,) = chip.graph.populations
    (projection,) = chip.graph.projections
    sums = pixels.reshape(50, 16) @ projection.synapses.weights.T
    sums = np.floor(sums * 2.0**projection.exponent).astype(np.int64) * 64
    bias = population.bias_mantissa.reshape(-1) << population.bias_exponent
    drive = sums + bias
    theta = population.threshold.reshape(-1) * 64
    start = population.initial_voltage.reshape(-1)
    # voltages are integers: the most spikes k with start + T drive - k theta > -theta
    reached = start + n_timesteps * drive
    count = np.clip((reached + theta - theta - 1) // theta, 0, n_timesteps)
    found = np.stack([result.scores[-1] for result in results])
    np.testing.assert_array_equal(found, count)


SPIKING: Sequence[recipes.Layer] = (
    recipes.Conv(channels=4, kernel=3),
    recipes.BatchNorm(gain=3.0),
    recipes.Lif(decay=0.5),
    recipes.AvgPool(kernel=2),
    recipes.Flatten(),
    recipes.Linear(features=20),
    recipes.BatchNorm(gain=3.0),
    recipes.Lif(decay=0.25, reset=Reset.SOFT),
    recipes.Linear(features=10),
)
RATES: Sequence[recipes.Layer] = (
    recipes.Conv(channels=4, kernel=3, bias=True),
    recipes.QcfsActivation(levels=4, threshold=0.5),
    recipes.AvgPool(kernel=2),
    recipes.Flatten(),
    recipes.Linear(features=20),
    recipes.QcfsActivation(levels=4, threshold=0.2),
    recipes.Linear(features=10),
)


def trained(layers: Sequence[recipes.Layer], folder: Path) -> torch.nn.Sequential:
    """Return a network after an epoch of 300 small digits."""
    training = recipes.Training(
        epochs=1, batch_size=30, learning_rate=0.01, weight_decay=0.0
    )
    recipe = recipes.Recipe(
        name="tiny",
        description="a test",
        data="digits",
        seed=0,
        timesteps=6,
        layers=tuple(layers),
        loss=recipes.MeanOutput(),
        training=training,
    )
    part = digits().take(np.arange(300))
    checkpoint = train.fit(recipe, part, folder)
    network = train.build(recipe, part)
    network.load_state_dict(checkpoint.best_network)
    return network.eval()


@pytest.mark.parametrize("layers", [SPIKING, RATES], ids=["lif", "qcfs"])
def test_network_its_graph_and_the_float_reference_spike_alike(
    layers: Sequence[recipes.Layer], tmp_path: Path
) -> None:
    n_timesteps, part = 6, digits().take(np.arange(12))
    network = trained(layers, tmp_path)
    training = Training(timesteps=n_timesteps, encoding=Encoding.DIRECT)
    graph = trace(network, "n", part.input_shape, training)
    stimuli = [encode(x, Encoding.DIRECT, n_timesteps) for x in part.x]

    spikes = spikes_of_module(convert(network).double(), part, n_timesteps)

    reference = to_spiking(graph)
    names = [n.name for n in reference.order if isinstance(n, Lif)]
    # a graph of activations has no spikes before it is converted
    runs = [FloatRun(reference, stimuli)]
    runs += [FloatRun(graph, stimuli)] if graph.nodes_of(Lif) else []
    assert list(spikes) == names
    assert all(np.any(spikes[name]) and not np.all(spikes[name]) for name in names)
    for timestep in range(n_timesteps):
        for run in runs:
            run.step()
            for name in names:
                found = run.sent[-1][name] > 0
                np.testing.assert_array_equal(found, spikes[name][timestep], name)


def spikes_of_module(
    network: torch.nn.Module, part: Part, n_timesteps: int
) -> dict[str, list[FloatArray]]:
    """Return where each layer of neurons spikes, timestep by timestep."""
    seen: dict[str, list[FloatArray]] = {}

    def keep(name: str) -> object:
        def hook(module: object, inputs: object, result: object) -> None:
            if not isinstance(result, tuple):
                return
            spikes = (result[0] > 0).numpy()
            if len(inputs) == 3:  # type: ignore[arg-type]  # all timesteps
                seen[name] = list(spikes)
            else:
                seen.setdefault(name, []).append(spikes)

        return hook

    for name, module in network.named_children():
        module.register_forward_hook(keep(name))  # type: ignore[arg-type]
    with torch.no_grad():
        run_over_time(network, torch.from_numpy(part.x / 255.0), n_timesteps)
    return seen
