"""tebn: joint statistics, one factor a timestep, and a target that cannot switch."""

import pytest
import torch
from norse.torch import SequentialState
from torch import nn

from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.errors import PassError
from snn_deploy.importers.torch.module import trace
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Training
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.nn.neurons import lif
from snn_deploy.nn.tebn import Tebn
from tests.build import images, simulator


def tebn(n: int, *factors: float) -> Tebn:
    layer = Tebn(nn.BatchNorm1d(n), len(factors))
    layer.factors.data = torch.tensor(factors)
    return layer


def test_statistics_are_joint_over_time_and_factors_are_not() -> None:
    # values 0 and 2 in the first timestep, 4 and 6 in the second: mean 3, variance 5
    signal = torch.tensor([[[0.0], [2.0]], [[4.0], [6.0]]])

    found = tebn(1, 1.0, 0.5).over_time(signal, 2)

    normal = (signal - 3) / (5 + 1e-5) ** 0.5
    expected = normal * torch.tensor([1.0, 0.5]).reshape(2, 1, 1)
    torch.testing.assert_close(found, expected)


def test_timestep_by_timestep_is_the_same_in_evaluation() -> None:
    layer = tebn(3, 1.0, 0.5, 2.0)
    signal = torch.rand(5, 4, 3, generator=torch.Generator().manual_seed(0))
    layer.over_time(signal, 5)  # moves the running statistics
    layer.eval()

    together = layer.over_time(signal, 5)

    state = None
    for x, expected in zip(signal, together, strict=True):
        found, state = layer(x, state)
        torch.testing.assert_close(found, expected)


def test_constant_signal_is_normalized_once_for_all_timesteps() -> None:
    layer = tebn(3, 1.0, 0.5).eval()
    x = torch.rand(1, 4, 3, generator=torch.Generator().manual_seed(0))

    found = layer.over_time(x, 2)

    torch.testing.assert_close(found, layer.over_time(x.expand(2, 4, 3), 2))


def test_single_timestep_in_training_is_refused() -> None:
    with pytest.raises(RuntimeError, match="needs all timesteps together"):
        tebn(1, 1.0)(torch.zeros(2, 1))


def network() -> nn.Module:
    model: nn.Module = SequentialState(
        nn.Flatten(), nn.Linear(4, 3), tebn(3, 6.0, 0.3, 2.0), lif(0.5), nn.Linear(3, 2)
    )
    return model.eval()


def test_graph_computes_what_the_module_does() -> None:
    torch.manual_seed(0)
    module = network()
    training = Training(timesteps=4, encoding=Encoding.DIRECT)
    stimuli = images(6, (1, 2, 2))

    graph = trace(module, "n", (1, 2, 2), training)

    found = evaluate(graph, stimuli)
    module.double()
    x = torch.stack([torch.from_numpy(s.values[0] / 255.0) for s in stimuli])
    state = None
    for timestep in range(4):
        expected, state = module(x, state)
        torch.testing.assert_close(torch.from_numpy(found[:, timestep]), expected)


def test_target_that_cannot_switch_weights_refuses_by_name() -> None:
    training = Training(timesteps=3, encoding=Encoding.DIRECT)
    graph = trace(network(), "n", (1, 2, 2), training)

    with pytest.raises(
        PassError, match=r"2: TEBN scales by 0\.3 to 6, another factor at each of 3"
    ):
        compile_model(graph, simulator())
