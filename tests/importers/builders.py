"""Modules that a ``state_dict`` of the tests belongs to."""

from typing import Any

import torch
from torch import Tensor, nn

from snn_deploy.nn.neurons import Qcfs


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), Qcfs(4, 1.0), nn.Flatten(), nn.Linear(108, 4)
    )


def of_snntorch() -> nn.Module:
    from snntorch import Leaky

    return nn.Sequential(
        nn.Linear(6, 5), Leaky(beta=0.7, init_hidden=True), nn.Linear(5, 3)
    )


def in_parallel() -> nn.Module:
    return nn.DataParallel(network())


def with_relu() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 4))


def wider() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), Qcfs(4, 1.0), nn.Flatten(), nn.Linear(108, 5)
    )


class Own(nn.Module):
    """Neurons of one's own, one timestep."""

    def __init__(self, decay: float, *, is_hard: bool) -> None:
        super().__init__()
        self.decay, self.is_hard = decay, is_hard
        self.v: Any = 0.0

    def reset(self) -> None:
        self.v = 0.0

    def forward(self, x: Tensor) -> Tensor:
        v = self.v * self.decay + x
        s: Tensor = (v > 0.5).to(x)
        self.v = v * (1 - s) if self.is_hard else v - 0.5 * s
        return s


class Looped(nn.Module):
    """All timesteps are inside, and the mean over them is the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.decay = nn.Linear(6, 5), 0.7

    def forward(self, x: Tensor) -> Tensor:
        voltage = torch.zeros(len(x), 5)
        outputs = []
        for _ in range(7):
            voltage = voltage * self.decay + self.layers(x)
            spikes = (voltage > 1).to(x)
            voltage = voltage * (1 - spikes)
            outputs.append(spikes)
        return torch.stack(outputs).mean(0)


def broken() -> nn.Module:
    raise RuntimeError("no such thing")


def number() -> int:
    return 3


def conventional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.ReLU6(), nn.Flatten(), nn.Linear(192, 3)
    )
