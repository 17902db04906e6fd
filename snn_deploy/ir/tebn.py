"""Batch normalization that scales by another factor at every timestep."""

from dataclasses import dataclass

from snn_deploy.arrays import FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.ir.nodes import BatchNorm, SameShape, Signal


@dataclass(frozen=True, kw_only=True, eq=False)
class Tebn(SameShape):
    """Temporal effective batch normalization: ``factors[t] * norm(x)`` at timestep t.

    Statistics are those of all timesteps together; the last factor stays after the
    last timestep [1]_.

    References
    ----------
    .. [1] C. Duan et al., "Temporal Effective Batch Normalization in Spiking Neural
       Networks", NeurIPS 2022.
    """

    norm: BatchNorm
    factors: FloatArray  # (n_timesteps,)

    accepts = Signal.CURRENT
    emits = Signal.CURRENT

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.factors.ndim != 1 or self.factors.size == 0:
            raise ModelError(
                f"{self.name}: factors of shape {self.factors.shape}; give one for "
                "each timestep"
            )
        if self.norm.shape != self.shape:
            raise ModelError(
                f"{self.name}: normalizes {self.norm.shape}, but the input is "
                f"{self.shape}; make the two fit"
            )

    def factor(self, timestep: int) -> float:
        """Return the factor of ``timestep``, counted from 1."""
        last = len(self.factors)
        return float(self.factors[min(timestep, last) - 1])
