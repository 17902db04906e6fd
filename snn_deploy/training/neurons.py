"""The neurons that reference networks are trained with."""

from typing import Any

import torch
from torch import nn

_DT = 0.001  # Norse's own timestep [s]


class _Floor(torch.autograd.Function):
    """``floor`` whose gradient is that of the identity."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.floor()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0]


class Qcfs(nn.Module):
    """Quantization-clip-floor-shift: a ReLU shaped like the rate of a spiking neuron.

    ``threshold * clip(floor(relu(x) * levels / threshold + 1/2) / levels, 0, 1)``, with
    a learned threshold [1]_. An integrate-and-fire neuron with this threshold that
    starts at half of it turns a constant input into the same value after ``levels``
    timesteps.

    References
    ----------
    .. [1] T. Bu et al., "Optimal ANN-SNN Conversion for High-accuracy and
       Ultra-low-latency Spiking Neural Networks", ICLR 2022, equation 15.
    """

    def __init__(self, levels: int, threshold: float) -> None:
        super().__init__()
        if levels < 1 or threshold <= 0:
            raise ValueError(
                f"Qcfs: levels {levels} and threshold {threshold} must be positive"
            )
        self.levels = levels
        self.threshold = nn.Parameter(torch.tensor(float(threshold)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activation of ``x``, of the same shape."""
        steps: torch.Tensor = _Floor.apply(  # type: ignore[no-untyped-call]
            x.relu() * self.levels / self.threshold + 0.5
        )
        return self.threshold * (steps / self.levels).clamp(0, 1)

    def extra_repr(self) -> str:
        return f"levels={self.levels}, threshold={self.threshold.item():.4g}"


class IntegrateAndFire(nn.Module):
    """One timestep of the neuron that a trained ``Qcfs`` is converted to.

    No leak, initial voltage of half the threshold, a spike at ``voltage >= threshold``
    worth one threshold, soft reset.
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(
        self, x: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the output of this timestep and the voltage after it."""
        before = torch.full_like(x, self.threshold / 2) if state is None else state
        voltage = before + x
        output = self.threshold * (voltage >= self.threshold).to(x.dtype)
        return output, voltage - output


def lif(decay: float, *, reset: str = "hard", surrogate: str = "super") -> nn.Module:
    """Return Norse's ``LIFBoxCell`` that loses ``decay`` of its voltage per timestep.

    The threshold is 1; a spike sets the voltage to 0 (``"hard"``) or takes 1 off
    (``"soft"``). At the voltage v the gradient of a spike is
    ``1 / (abs(v - 1) + 1)**2`` (``"super"``) or ``max(0, 1 - abs(v - 1))``
    (``"triangle"``).

    Norse scales the input by the decay, so with a decay of 1/2 and twice the input, and
    with the triangle, these are the neurons of [1]_.

    References
    ----------
    .. [1] D. Wu et al., "Optimizing event-driven spiking neural network with
       regularization and cutoff", Front. Neurosci. 19, 2025.
    """
    from norse.torch import LIFBoxCell, LIFBoxParameters
    from norse.torch.functional.reset import reset_subtract, reset_value

    parameters = LIFBoxParameters(
        tau_mem_inv=torch.as_tensor(decay / _DT),
        method=surrogate,
        alpha=torch.as_tensor(1.0),  # height of the triangle; the other ignores it
        reset_method={"hard": reset_value, "soft": reset_subtract}[reset],
    )
    cell: nn.Module = LIFBoxCell(p=parameters, dt=_DT)
    return cell
