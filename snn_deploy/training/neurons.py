"""The neurons that reference networks are trained with."""

from typing import Any

import torch
from torch import nn

_DT = 0.001  # Norse's own timestep [s]


class _Staircase(torch.autograd.Function):
    """The values of ``Qcfs``, and gradients as if its floor were the identity.

    One function instead of eight operations, each of which would store its input.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, threshold: torch.Tensor, levels: int
    ) -> torch.Tensor:
        share = x / threshold.to(x.dtype)
        steps = torch.floor(share * levels + 0.5)
        is_sloped = (share > 0) & (steps <= levels)
        steps = steps.clamp_(0, levels).div_(levels)
        ctx.save_for_backward(share, steps, is_sloped)
        return steps * threshold.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        share, steps, is_sloped = ctx.saved_tensors
        of_input = gradients[0] * is_sloped
        of_threshold = (gradients[0] * steps).sum() - (of_input * share).sum()
        return of_input, of_threshold, None


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
        if levels != int(levels):
            raise ValueError(f"Qcfs: levels is {levels}; give a whole number")
        self.levels = int(levels)  # a settings file may say 4.0
        self.threshold = nn.Parameter(torch.tensor(float(threshold)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activation of ``x``, of the same shape."""
        output: torch.Tensor = _Staircase.apply(  # type: ignore[no-untyped-call]
            x, self.threshold, self.levels
        )
        return output

    def extra_repr(self) -> str:
        return f"levels={self.levels}, threshold={self.threshold.item():.4g}"


class _Spike(torch.autograd.Function):
    """1 where ``x >= 0``, and a triangle for its gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        slope: torch.Tensor = (1 - x.abs()).clamp_(min=0)
        return gradients[0] * slope


class IntegrateAndFire(nn.Module):
    """One timestep of the neuron that a trained ``Qcfs`` is converted to.

    Initial voltage of half the threshold, a spike at ``voltage >= threshold`` worth one
    threshold, soft reset. Without ``decay`` no leak; with it, the voltage loses that
    share before each timestep's input. The gradient of a spike is a triangle, as wide
    as the threshold on either side.
    """

    def __init__(self, threshold: torch.Tensor, decay: float = 0.0) -> None:
        super().__init__()
        self.threshold, self.decay = threshold, decay

    def forward(
        self, x: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the output of this timestep and the voltage after it."""
        threshold = self.threshold.to(x.dtype)
        before = threshold / 2 if state is None else state
        voltage = (1 - self.decay) * before + x
        spikes: torch.Tensor = _Spike.apply(  # type: ignore[no-untyped-call]
            voltage / threshold - 1
        )
        output = threshold * spikes
        return output, voltage - output

    def extra_repr(self) -> str:
        return f"threshold={self.threshold.tolist()}, decay={self.decay:g}"


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
