"""The neurons that reference networks are trained with."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn

from snn_deploy.extras import require

_DT = 0.001  # Norse's own timestep [s]
_Loop = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class _Staircase(torch.autograd.Function):
    """The values of ``Qcfs``, and gradients as if its floor were the identity.

    One function instead of eight operations, each of which would store its input.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, threshold: torch.Tensor, levels: int
    ) -> torch.Tensor:
        ctx.save_for_backward(x, threshold)
        ctx.levels = levels
        _, steps = _steps(x, threshold, levels)
        return (steps.clamp(0, levels) / levels * threshold).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        x, threshold = ctx.saved_tensors
        share, steps = _steps(x, threshold, ctx.levels)
        gradient = gradients[0].to(share.dtype)
        is_sloped = (share > 0) & (steps <= ctx.levels)
        of_input = torch.where(is_sloped, gradient, 0.0)
        height = steps.clamp(0, ctx.levels) / ctx.levels
        of_threshold = (gradient * height - of_input * share).sum()
        return of_input.to(x.dtype), of_threshold.to(threshold.dtype), None


def _steps(
    x: torch.Tensor, threshold: torch.Tensor, levels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``x`` as a share of the threshold, and in whole steps, not clipped."""
    share = exactly(x) / threshold
    return share, torch.floor(share * levels + 0.5)


def exactly(x: torch.Tensor) -> torch.Tensor:
    """Return ``x`` in single precision if it has less: sums over time need it."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def staircase(x: torch.Tensor, threshold: torch.Tensor, levels: int) -> torch.Tensor:
    """Return the values of ``Qcfs`` for ``x``, of the same shape and precision."""
    output: torch.Tensor = _Staircase.apply(  # type: ignore[no-untyped-call]
        x, threshold, levels
    )
    return output


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
        self.is_fused = False
        self.threshold = nn.Parameter(torch.tensor(float(threshold)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activation of ``x``, of the same shape."""
        if not self.is_fused:
            return staircase(x, self.threshold, self.levels)
        rows = _fused_staircase(self.levels)(_as_rows(x, 1), self.threshold)
        return _like(rows, x)

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


def fire(
    currents: torch.Tensor, threshold: torch.Tensor, decay: float, n_timesteps: int
) -> torch.Tensor:
    """Return the outputs of ``IntegrateAndFire`` for all timesteps, from rest.

    ``currents`` are ``(n_timesteps, ...)``, or one timestep if they are constant.
    """
    voltage, outputs = threshold / 2, []
    for timestep in range(n_timesteps):
        current = exactly(currents[min(timestep, len(currents) - 1)])
        output, voltage = _integrate(current, voltage, threshold, decay)
        outputs.append(output.to(currents.dtype))
    return torch.stack(outputs)


def _integrate(
    current: torch.Tensor, voltage: torch.Tensor, threshold: torch.Tensor, decay: float
) -> tuple[torch.Tensor, torch.Tensor]:
    voltage = (1 - decay) * voltage + current
    spikes: torch.Tensor = _Spike.apply(  # type: ignore[no-untyped-call]
        voltage / threshold - 1
    )
    output = threshold * spikes
    return output, voltage - output


class IntegrateAndFire(nn.Module):
    """The neuron that a trained ``Qcfs`` is converted to, for one timestep or for all.

    Initial voltage of half the threshold, a spike at ``voltage >= threshold`` worth one
    threshold, soft reset. Without ``decay`` no leak; with it, the voltage loses that
    share before each timestep's input. The gradient of a spike is a triangle, as wide
    as the threshold on either side.
    """

    def __init__(self, threshold: torch.Tensor, decay: float = 0.0) -> None:
        super().__init__()
        self.threshold, self.decay, self.is_fused = threshold, decay, False

    def forward(
        self,
        x: torch.Tensor,
        state: torch.Tensor | None = None,
        n_timesteps: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the output of this timestep and the voltage after it.

        With ``n_timesteps``, those of all timesteps, ``(n_timesteps, n, ...)``, from
        rest, and no voltage; ``x`` has the same shape, or one timestep if it is
        constant.
        """
        if n_timesteps is not None:
            return self._over_time(x, n_timesteps), None
        before = self.threshold / 2 if state is None else state
        output, voltage = _integrate(exactly(x), before, self.threshold, self.decay)
        return output.to(x.dtype), voltage

    def _over_time(self, currents: torch.Tensor, n_timesteps: int) -> torch.Tensor:
        if not self.is_fused:
            return fire(currents, self.threshold, self.decay, n_timesteps)
        x = currents.flatten(0, 1)
        rows = _fused_fire(self.decay, n_timesteps)(
            _as_rows(x, len(currents)), self.threshold
        )
        outputs = _like(rows, x)
        return outputs.view(n_timesteps, -1, *outputs.shape[1:])

    def extra_repr(self) -> str:
        return f"threshold={self.threshold.tolist()}, decay={self.decay:g}"


def fuse_loops(network: nn.Module) -> None:
    """Let the neurons of ``network`` compute as one compiled loop each, on its device.

    The same values, several times as fast on large layers: what an operation gives is
    not written to memory for the next one. Compiling takes seconds, and on a CPU a C++
    compiler.
    """
    torch._dynamo.config.recompile_limit = 64  # counts shapes, gradients, leaks
    for module in network.modules():
        if isinstance(module, Qcfs | IntegrateAndFire):
            module.is_fused = True


@cache
def _fused_staircase(levels: int) -> _Loop:
    def loop(x: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
        return staircase(x, threshold, levels)

    return torch.compile(loop)


@cache
def _fused_fire(decay: float, n_timesteps: int) -> _Loop:
    def loop(currents: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
        return fire(currents, threshold, decay, n_timesteps)

    return torch.compile(loop)


def _as_rows(x: torch.Tensor, n_rows: int) -> torch.Tensor:
    """Return the values of ``x`` in the order of the memory, ``(n_rows, -1)``.

    One compiled loop serves all shapes then.
    """
    if _has_channels_last(x):
        x = x.permute(0, 2, 3, 1)
    return x.reshape(n_rows, -1)


def _like(rows: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return what became of ``_as_rows(x, n)`` with the order of axes of ``x``."""
    if _has_channels_last(x):
        n_channels, height, width = x.shape[1:]
        return rows.view(-1, height, width, n_channels).permute(0, 3, 1, 2)
    return rows.view(-1, *x.shape[1:])


def _has_channels_last(x: torch.Tensor) -> bool:
    return x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)


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
    require("norse", purpose="a leaky neuron")
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
