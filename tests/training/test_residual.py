"""Residual layers: from the recipe to the chip, the two branches meet in time."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model, to_spiking
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.file import read_model, save
from snn_deploy.ir.floating import FloatRun, evaluate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.training import recipes
from snn_deploy.training.networks import build_network, convert, run_over_time

SHAPE = (2, 6, 6)
N_TIMESTEPS = 5


def block(neurons: recipes.Layer, skip: tuple[recipes.Layer, ...]) -> recipes.Residual:
    stride = 2 if skip else 1
    body = (
        recipes.Conv(channels=4, kernel=3, stride=stride, padding=1),
        recipes.BatchNorm(gain=4.0),
        neurons,
        recipes.Conv(channels=4, kernel=3, padding=1),
        recipes.BatchNorm(gain=4.0),
    )
    return recipes.Residual(body=body, skip=skip)


def network(
    neurons: recipes.Layer, skip: tuple[recipes.Layer, ...]
) -> torch.nn.Sequential:
    layers = (
        recipes.Conv(channels=4, kernel=3, padding=1),
        recipes.BatchNorm(gain=4.0),
        neurons,
        block(neurons, skip),
        neurons,
        recipes.Flatten(),
        recipes.Linear(features=3),
    )
    built = build_network(layers, SHAPE, seed=0)
    with torch.no_grad():  # statistics
        for _ in range(30):
            run_over_time(convert(built).train(), inputs(50), N_TIMESTEPS)
    return built.eval()


def inputs(n: int, seed: int = 1) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 256, (n, SHAPE[0], 2, 2))  # large patches, no noise
    return torch.from_numpy(corners.repeat(3, 2).repeat(3, 3) / 255).float()


def stimuli(x: torch.Tensor) -> list[Stimulus]:
    values = np.rint(x.numpy() * 255).astype(np.int64)
    return [Stimulus(values=v[np.newaxis], is_constant=True) for v in values]


def deployed(model: torch.nn.Module, folder: Path) -> Graph:
    path = folder / "model.pt"
    save(model, path, input_shape=SHAPE, timesteps=N_TIMESTEPS)
    return read_model(path)


LIF = recipes.Lif(decay=0.5)
QCFS = recipes.QcfsActivation(levels=4, threshold=1.0)
IDENTITY: tuple[recipes.Layer, ...] = ()
CONVOLUTION = (recipes.Conv(channels=4, kernel=1, stride=2), recipes.BatchNorm())
each_kind = pytest.mark.parametrize(
    ("neurons", "skip"),
    [(LIF, IDENTITY), (LIF, CONVOLUTION), (QCFS, IDENTITY), (QCFS, CONVOLUTION)],
    ids=["lif", "lif, convolution", "qcfs", "qcfs, convolution"],
)


def test_layer_by_layer_computes_what_timestep_by_timestep_does() -> None:
    model, x = network(LIF, CONVOLUTION), inputs(4)

    together = run_over_time(model, x, N_TIMESTEPS)

    state, outputs = None, []
    for _ in range(N_TIMESTEPS):
        output, state = model(x, state)
        outputs.append(output)
    torch.testing.assert_close(together, torch.stack(outputs))
    assert not torch.equal(together[0], together[-1])


@each_kind
def test_saved_network_computes_what_the_recipe_trained(
    neurons: recipes.Layer, skip: tuple[recipes.Layer, ...], tmp_path: Path
) -> None:
    model, x = network(neurons, skip), inputs(4)

    graph = to_spiking(deployed(model, tmp_path))
    found = np.diff(evaluate(graph, stimuli(x)), axis=1, prepend=0)

    expected = run_over_time(convert(model).eval(), x, N_TIMESTEPS)
    np.testing.assert_allclose(
        found, expected.detach().transpose(0, 1), rtol=1e-4, atol=1e-5
    )


@each_kind
def test_chip_spikes_where_the_trained_network_does(
    neurons: recipes.Layer, skip: tuple[recipes.Layer, ...], tmp_path: Path
) -> None:
    graph = deployed(network(neurons, skip), tmp_path)
    shown = stimuli(inputs(10, seed=4))

    compiled = compile_model(graph, read_target("loihi-sim")).graph

    expected = float_spikes(to_spiking(graph), shown)
    found = chip_spikes(compiled, shown)
    assert len(expected) == 3
    for name, spikes in expected.items():
        assert 0.02 < spikes.mean() < 0.98, name
        # rounded weights move few spikes; without a branch, as when it comes late, a
        # tenth or more of the first ones are others
        assert np.mean(found[name][0] != spikes[0]) < 0.05, name


def float_spikes(
    graph: Graph, shown: list[Stimulus]
) -> dict[str, npt.NDArray[np.bool_]]:
    run = FloatRun(graph, shown)
    for _ in range(N_TIMESTEPS):
        run.step()
    names = [name for name in run.voltage if name != graph.output.name]
    return {
        name: np.stack([sent[name].reshape(len(shown), -1) > 0 for sent in run.sent])
        for name in names
    }


def chip_spikes(
    graph: QuantizedGraph, shown: list[Stimulus]
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the spikes of each population in its local time."""
    chip = Simulation(graph, shown)
    seen: dict[str, list[npt.NDArray[np.bool_]]] = {
        p.name: [] for p in graph.populations
    }
    for _ in range(N_TIMESTEPS + graph.depth):
        chip.step()
        for name in seen:
            if name in chip.sent[-1]:
                seen[name].append(chip.sent[-1][name] > 0)
    return {name: np.stack(found[:N_TIMESTEPS]) for name, found in seen.items()}


def test_branches_of_different_shapes_are_refused() -> None:
    skip = (recipes.Conv(channels=4, kernel=1),)

    with pytest.raises(
        ModelError,
        match=r"layer 1: the body gives \(4, 3, 3\) and the skip \(4, 6, 6\)",
    ):
        build_network((LIF, block(LIF, skip)), SHAPE, seed=0)
