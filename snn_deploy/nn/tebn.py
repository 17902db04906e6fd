"""TEBN: batch normalization with a learned factor for every timestep."""

import torch
from torch import Tensor, nn


class Tebn(nn.Module):
    """A batch normalization over all timesteps, times one factor for each of them [1]_.

    ``forward`` is one timestep, in evaluation; training needs ``over_time``, since the
    statistics are those of all timesteps together. The last factor stays after the last
    timestep.

    References
    ----------
    .. [1] C. Duan et al., "Temporal Effective Batch Normalization in Spiking Neural
       Networks", NeurIPS 2022.
    """

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d, n_timesteps: int) -> None:
        super().__init__()
        self.norm = norm
        self.factors = nn.Parameter(torch.ones(n_timesteps))

    def forward(self, x: Tensor, state: int | None = None) -> tuple[Tensor, int]:
        """Return the output of this timestep and how many have passed."""
        if self.training:
            raise RuntimeError("TEBN in training mode needs all timesteps together")
        passed = state or 0
        factor = self.factors[min(passed, len(self.factors) - 1)]
        return factor * self.norm(x), passed + 1

    def over_time(self, signal: Tensor, n_timesteps: int) -> Tensor:
        """Return the output of all timesteps, ``(n_timesteps, n, ...)``.

        ``signal`` has the same shape, or one timestep if it is constant.
        """
        flat: Tensor = self.norm(signal.flatten(0, 1))
        normal = flat.view(*signal.shape[:2], *flat.shape[1:])
        index = torch.arange(n_timesteps, device=self.factors.device)
        index = index.clamp(max=len(self.factors) - 1)
        return self.factors[index].reshape(-1, *(1,) * (signal.ndim - 1)) * normal
