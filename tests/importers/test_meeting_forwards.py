"""Forwards in which outputs meet: read, compared with their module, and compiled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.file import save
from snn_deploy.ir.floating import evaluate
from tests.build import images
from tests.importers.agreement import louder
from tests.support.spikingjelly import FRAME

neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
SHAPE = (2, 8, 8)


class Net(nn.Module):
    """Two layers of neurons, then what ``meet`` makes of them, a convolution, a row."""

    def __init__(self, meet: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.meet = meet
        self.a, self.sa = nn.Conv2d(2, 4, 3, padding=1), neuron.IFNode()
        self.b, self.sb = nn.Conv2d(4, 4, 3, padding=1), neuron.IFNode()
        self.up, self.sc = nn.ConvTranspose2d(4, 4, 2, 2), neuron.IFNode()
        self.scale = nn.Parameter(torch.tensor([2.0, -1.0, 0.5, 3.0]).view(4, 1, 1))
        self.c, self.sd = nn.LazyConv2d(3, 3), neuron.IFNode()
        self.fc = nn.LazyLinear(5)
        self(torch.zeros(2, *SHAPE))
        for layer in (self.sa, self.sb, self.sc, self.sd):
            layer.reset()

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = self.sa(self.a(x))
        return first, self.sb(self.b(first))

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.sd(self.c(self.meet(self, x))).flatten(1))


def pair(meet: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    return lambda self, x: meet(*self.both(x))


def changed_in_place(x: Tensor, y: Tensor) -> Tensor:
    y += x
    return y.mul_(0.5)


def spread(self: Any, x: Tensor) -> Tensor:
    down = functional.max_pool2d(self.sb(self.b(self.sa(self.a(x)))), 2)
    near = functional.interpolate(down, scale_factor=2)
    return torch.cat([near, self.sc(self.up(down))], 1)


MEETINGS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "concatenation": pair(lambda x, y: torch.cat([x, y, x], dim=1)),
    "and": pair(lambda x, y: x * y),
    "iand": pair(lambda x, y: x * (1.0 - y)),
    "or": pair(torch.maximum),
    "or of booleans": pair(lambda x, y: torch.logical_or(x.bool(), y.bool()).float()),
    "logic of logic": pair(lambda x, y: torch.maximum(x * y, (1 - x) * y)),
    "difference": pair(lambda x, y: 2 * y - x / 4),
    "in place": pair(changed_in_place),
    "padding": pair(lambda x, y: functional.pad(x + y, (1, 0, 2, 1))),
    "pooling behind a sum": pair(lambda x, y: functional.max_pool2d(x + y, 2)),
    "ReLU of spikes": pair(lambda x, y: functional.relu(x + y)),
    "spread": spread,
    "factors of channels": lambda self, x: self.sb(
        self.b(self.sa(self.a(x) * self.scale))
    ),
    "constants of positions": lambda self, x: self.sa(
        self.a(x) + torch.linspace(0, 1, 64, dtype=x.dtype).view(8, 8)
    ),
    "maximum of currents": lambda self, x: self.sb(
        self.b(self.sa(functional.max_pool2d(self.a(x), 2)))
    ),
}


@pytest.mark.parametrize("name", MEETINGS)
def test_forward_computes_and_compiles(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)

    FRAME.check(Net(MEETINGS[name]), tmp_path, SHAPE)


@pytest.mark.parametrize(
    ("meet", "words"),
    [
        (
            lambda x, y: x * (x + y),
            "mul: mul of .*, of which add is more than one spike",
        ),
        (lambda x, y: x / (y + 1), "div: div of"),
        (lambda x, y: torch.cat([x, y], 2), "other axes than channels"),
        (lambda x, y: torch.minimum(x, 0.5 * y), "worth 1 and 0.5"),
        (lambda x, y: (x + y).bool().float(), "makes torch.bool of what does not fit"),
        (lambda x, y: functional.pad(x + y, (1, 1), value=1.0), "pads with 1"),
    ],
)
def test_meetings_that_are_no_neurons_are_refused(
    meet: Callable[[Tensor, Tensor], Tensor], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=words):
        save(Net(pair(meet)), tmp_path / "n.pt", input_shape=SHAPE, timesteps=4)


class Recurrent(nn.Module):
    """A loop over timesteps whose spikes come back."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.back = nn.Linear(9, 6), nn.Linear(6, 6)
        self.lif, self.out = neuron.IFNode(), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        spikes = torch.zeros(x.shape[1], 6, dtype=x.dtype)
        outputs = []
        for now in x:
            spikes = self.lif(self.fc(now) + self.back(spikes))
            outputs.append(self.out(spikes))
        return torch.stack(outputs)


def test_spikes_of_the_timestep_before_are_an_edge_with_a_delay(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = louder(Recurrent())

    graph = save(model, tmp_path / "n.pt", input_shape=(9,), timesteps=5)

    assert [edge.delay for edge in graph.edges if edge.delay] == [1]


def test_factors_and_constants_of_the_inputs_channels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    mean, std = np.array([0.49, 0.44]), np.array([0.2, 0.25])
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(192, 4)
    )
    scale, offset = 1 / std, -mean / std

    graph = save(
        model,
        tmp_path / "n.pt",
        input_shape=SHAPE,
        timesteps=4,
        input_scale=scale,
        input_offset=list(offset),
    )

    stimuli = images(3, SHAPE)
    x = torch.tensor(np.stack([s.at(1) for s in stimuli])) / 255
    normed = (x - torch.tensor(mean).view(2, 1, 1)) / torch.tensor(std).view(2, 1, 1)
    wanted = model.double()(normed).detach().numpy()
    np.testing.assert_allclose(evaluate(graph, stimuli)[:, 0], wanted, rtol=1e-6)
    found = evaluate(
        to_spiking(graph), stimuli
    )  # whose padding is 0 behind the factors
    np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-6)


def test_factors_for_another_number_of_channels_are_refused(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(128, 4))

    with pytest.raises(ModelError, match="input_scale has 3 values for an input of"):
        save(
            model,
            tmp_path / "n.pt",
            input_shape=SHAPE,
            timesteps=4,
            input_scale=[1, 2, 3],
        )
