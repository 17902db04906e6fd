"""Random modules, each in every form of time: one graph, and that of the module."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snn_deploy
from snn_deploy.importers.torch.frameworks.registry import copied
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.stimuli import Stimulus
from tests.importers.agreement import in_double, louder
from tests.importers.builders import Own

neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
snn = pytest.importorskip("snntorch")
T, N, SHAPE = 6, 3, (2, 5, 5)
FORMS = ("step", "first", "second", "still", "boosted", "vectors")


class Charging(Own):
    """The same, written as a difference that is added in place."""

    def forward(self, x: Tensor) -> Tensor:
        self.v += (x - self.v) * self.decay
        s: Tensor = (self.v >= 0.5).to(x)
        self.v = self.v * (1.0 - s)
        return s


class Random(nn.Module):
    """A residual network that a seed draws; ``form`` says where its time is."""

    def __init__(self, seed: int, form: str) -> None:
        super().__init__()
        torch.manual_seed(seed)
        draw = np.random.default_rng(seed)
        self.form = form
        self.first = nn.Conv2d(2, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.last = nn.Linear(75, 4)
        kinds = draw.integers(0, 5, 3)
        self.neurons = nn.ModuleList(self._neurons(int(kind)) for kind in kinds)
        self.is_in_place, self.adds_currents = draw.integers(0, 2, 2).astype(bool)

    def _neurons(self, kind: int) -> Any:
        return (
            lambda: neuron.LIFNode(v_threshold=0.5),
            lambda: neuron.IFNode(v_threshold=0.5, v_reset=None),
            lambda: Own(0.7, is_hard=True),
            lambda: Own(0.8, is_hard=False),
            lambda: Charging(0.6, is_hard=True),
        )[kind]()

    def step(self, x: Tensor) -> Any:
        return self.behind(self.first(x))

    def behind(self, x: Tensor) -> Any:
        a, b, c = self.neurons
        x = a(x)
        y = self.norm(self.second(x))
        if not self.adds_currents:
            y = b(y)
        if self.is_in_place:
            y += x
        else:
            y = x + y
        if self.adds_currents:
            y = b(y)
        return c(self.last(y.flatten(1)))

    def still(self, x: Tensor) -> Any:
        if self.form == "still":
            total = self.step(x)
            for _ in range(1, T):
                total = total + self.step(x)
            return total / T
        x = self.first(x)  # a first layer for all timesteps
        total = self.behind(x)
        for _ in range(1, T):
            total += self.behind(x)
        return total

    def forward(self, x: Tensor) -> Any:
        if self.form == "step":
            return self.step(x)
        if self.form in ("still", "boosted"):
            return self.still(x)
        if self.form == "second":
            return torch.stack([self.step(x[:, t]) for t in range(x.size(1))], 1)
        if self.form == "vectors":  # the first layer takes all timesteps at once
            a, _, c = self.neurons
            y = self.first(x.flatten(0, 1)).view(*x.shape[:2], 3, 5, 5)
            z = torch.zeros(x.shape[0], x.shape[1], 3, 5, 5)
            for t in range(x.shape[0]):
                z[t] = a(y[t])
            return torch.stack([c(self.last(s.flatten(1))) for s in z])
        return [self.step(each) for each in x]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(6))
def test_every_form_of_a_random_network_is_read(
    seed: int, form: str, tmp_path: Path
) -> None:
    module = louder(Random(seed, form))
    values = np.random.default_rng(seed).integers(0, 256, (N, T, *SHAPE))
    is_still = form in ("still", "boosted")
    if is_still:
        values = np.repeat(values[:, :1], T, axis=1)

    graph = snn_deploy.save(
        module,
        tmp_path / "net.pt",
        input_shape=SHAPE,
        timesteps=None if is_still else T,
    )

    stimuli = [Stimulus(values=v, is_constant=False) for v in values]
    found = evaluate(graph, stimuli)
    ours, x = in_double(copied(module)), torch.as_tensor(values / 255)
    with torch.no_grad():
        if form == "still":
            np.testing.assert_allclose(found.mean(1), ours(x[:, 0]), atol=1e-12)
        elif form == "boosted":
            np.testing.assert_array_equal(found.sum(1), ours(x[:, 0]))
        elif form == "step":
            expected = torch.stack([ours(x[:, t]) for t in range(T)], 1)
            np.testing.assert_array_equal(found, expected)
        elif form == "second":
            np.testing.assert_array_equal(found, ours(x))
        else:
            given: Any = ours(x.transpose(0, 1))
            each = torch.stack(given) if isinstance(given, list) else given
            np.testing.assert_array_equal(found, each.transpose(0, 1))
    assert np.ptp(found) > 0
