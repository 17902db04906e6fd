"""Frameworks compute in single precision: where they differ from us, it is a tie.

The counts stand at the end of what pytest prints.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import snn_deploy
from snn_deploy.arrays import FloatArray
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Lif
from snn_deploy.ir.stimuli import Stimulus
from tests.build import rng
from tests.conformance.tally import TALLY
from tests.conformance.ties import Comparison, Trains, compare
from tests.importers.agreement import Run, merged, stepped, with_states

N, TIMESTEPS, SHAPE = 2, 32, (2, 16, 16)
Maker = Callable[[], nn.Module]


def norse(**settings: Any) -> Maker:
    import norse.torch as nt

    def make() -> nn.Module:
        kind = nt.LIFCell if settings else nt.LIFBoxCell
        parameters = nt.LIFParameters if settings else nt.LIFBoxParameters
        cell: nn.Module = kind(
            parameters(
                v_th=torch.tensor(0.3), tau_mem_inv=torch.tensor(330.0), **settings
            )
        )
        return cell

    return make


def in_norse(*layers: nn.Module) -> nn.Module:
    from norse.torch import SequentialState

    sequence: nn.Module = SequentialState(*layers)
    return sequence


def snntorch(kind: str, **settings: Any) -> Maker:
    package = pytest.importorskip("snntorch")
    return lambda: getattr(package, kind)(init_hidden=True, **settings)


def spikingjelly(kind: str, **settings: Any) -> Maker:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    return lambda: getattr(neuron, kind)(**settings)


def sinabs(kind: str, spikes: str, **settings: Any) -> Maker:
    layers = pytest.importorskip("sinabs.layers")
    function = getattr(pytest.importorskip("sinabs.activation"), spikes)
    return lambda: getattr(layers, f"{kind}Squeeze")(
        num_timesteps=TIMESTEPS, spike_fn=function, **settings
    )


# by framework: kinds of neurons, each with how networks of it are built and run
CASES: list[tuple[str, Callable[[], Maker], Callable[..., nn.Module], Run]] = [
    ("Norse", lambda: norse(), in_norse, with_states),
    (
        "Norse",
        lambda: norse(tau_syn_inv=torch.tensor(170.0)),
        in_norse,
        with_states,
    ),
    ("snnTorch", lambda: snntorch("Leaky", beta=0.9), nn.Sequential, stepped),
    (
        "snnTorch",
        lambda: snntorch("Leaky", beta=0.7, reset_mechanism="zero"),
        nn.Sequential,
        stepped,
    ),
    (
        "snnTorch",
        lambda: snntorch("Synaptic", alpha=0.6, beta=0.8),
        nn.Sequential,
        stepped,
    ),
    ("SpikingJelly", lambda: spikingjelly("IFNode"), nn.Sequential, stepped),
    (
        "SpikingJelly",
        lambda: spikingjelly("LIFNode", tau=3.0, v_reset=None, v_threshold=0.3),
        nn.Sequential,
        stepped,
    ),
    ("sinabs", lambda: sinabs("IAF", "MultiSpike"), nn.Sequential, merged),
    (
        "sinabs",
        lambda: sinabs("LIF", "SingleSpike", tau_mem=7.0, norm_input=False),
        nn.Sequential,
        merged,
    ),
]
WEIGHTS = {
    # of any value, as training leaves them: sums near the threshold are rare
    "any": lambda weight, draw: weight.normal_(
        0.02, float(2 / np.sqrt(weight[0].numel())), generator=draw
    ),
    # of eighths and more, as training for few bits leaves them: sums meet the threshold
    "few bits": lambda weight, draw: weight.copy_(
        torch.randint(-3, 5, weight.shape, generator=draw)
        / 2 ** np.ceil(np.log2(weight[0].numel()) / 2)
    ),
}


def network(sequence: Callable[..., nn.Module], neurons: Maker, seed: int) -> nn.Module:
    """Return some thousand neurons in three layers."""
    torch.manual_seed(seed)
    return sequence(
        nn.Conv2d(2, 12, 3),
        neurons(),
        nn.Conv2d(12, 8, 3, stride=2, groups=2),
        neurons(),
        nn.Flatten(),
        nn.Linear(288, 200),
        neurons(),
    )


def in_single_precision(
    module: nn.Module, run: Run, graph: Graph, x: FloatArray
) -> Trains:
    """Return what each layer of neurons sends when the framework runs as it is."""
    sent: dict[str, list[torch.Tensor]] = {n.name: [] for n in graph.nodes_of(Lif)}
    for name, layer in module.named_modules():
        if name in sent:
            layer.register_forward_hook(
                lambda _, __, result, name=name: sent[name].append(
                    result[0] if isinstance(result, tuple) else result
                )
            )
    with torch.no_grad():
        run(module, torch.as_tensor(x, dtype=torch.float32))
    return {name: _in_time(results) for name, results in sent.items()}


def _in_time(results: list[torch.Tensor]) -> FloatArray:
    if len(results) == 1:
        together = results[0].reshape(N, TIMESTEPS, *results[0].shape[1:])
    else:
        together = torch.stack(results, dim=1)
    assert together.dtype == torch.float32
    sent: FloatArray = together.double().numpy()
    return sent


def draw(
    number: int, weights: str, folder: Path, seed: int
) -> tuple[Graph, list[Stimulus], Trains]:
    """Return a random network as imported, inputs, and what its framework gives."""
    _, neurons, sequence, run = CASES[number]
    module = network(sequence, neurons(), seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                WEIGHTS[weights](layer.weight, generator)
                assert layer.bias is not None
                layer.bias.zero_()
    graph = snn_deploy.save(
        module,
        folder / "net.pt",
        input_shape=SHAPE,
        timesteps=TIMESTEPS,
        encoding="events",
    )
    x = (rng(seed).random((N, TIMESTEPS, *SHAPE)) < 0.4).astype(np.float64)
    theirs = in_single_precision(module, run, graph, x)
    stimuli = [Stimulus(values=v.astype(np.int64), is_constant=False) for v in x]
    return graph, stimuli, theirs


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_every_difference_is_a_tie(number: int, weights: str, tmp_path: Path) -> None:
    for seed in range(math.ceil(2 * TALLY.share)):
        graph, stimuli, theirs = draw(number, weights, tmp_path, seed)

        found = compare(graph, stimuli, theirs)

        assert not found.errors, "\n".join(found.errors[:5])
        shares = [np.mean(spikes > 0) for spikes in theirs.values()]
        assert min(shares) > 0
        assert 0.02 < np.mean(shares) < 0.98
        count(CASES[number][0], weights, found)


def count(framework: str, weights: str, found: Comparison) -> None:
    TALLY.tie(
        f"{framework}, float32, {weights}", found.spikes, found.ties, found.farthest
    )


@pytest.mark.parametrize("timestep", [0, 9])
def test_a_spike_that_is_no_tie_is_an_error(tmp_path: Path, timestep: int) -> None:
    graph, stimuli, theirs = draw(0, "any", tmp_path, seed=0)
    name = graph.nodes_of(Lif)[1].name
    wrong = {**theirs, name: theirs[name].copy()}
    wrong[name][1, timestep, 2, 3, 4] = 1 - wrong[name][1, timestep, 2, 3, 4]

    found = compare(graph, stimuli, wrong)

    assert f"{name}(1, 2, 3, 4), timestep {timestep + 1}" in found.errors[0]


def test_a_threshold_that_is_a_little_wrong_is_an_error(tmp_path: Path) -> None:
    graph, stimuli, theirs = draw(0, "any", tmp_path, seed=0)
    node = graph.nodes_of(Lif)[0]
    other = graph.replace(node, by=replace(node, threshold=node.threshold * 1.0005))

    assert compare(other, stimuli, theirs).errors
