"""Ticks of axes that people read."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from snn_deploy.report.chart import Chart

TICKS = (
    (1,),
    (1, 2, 5),
    (1, 1.5, 2, 3, 4, 6, 8),
    np.arange(1, 10, 0.5),
    np.arange(1, 10, 0.2),
)


def plain_log_ticks(axes: "Axes | Chart", low: float, high: float) -> None:
    """Mark three or more round numbers of a logarithmic axis."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ticks: list[float] = []
    for steps in TICKS:
        ticks = [s * p for p in powers for s in steps if low <= s * p <= high]
        if len(ticks) >= 3:
            break
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


def whole_ticks(axes: "Axes | Chart", n_timesteps: int) -> None:
    """Mark the first timestep, the last, and some between that leave them room."""
    step = max(1, round(n_timesteps / 8))
    between = range(step, n_timesteps, step)
    kept = [t for t in between if step <= 2 * (t - 1) and step <= 2 * (n_timesteps - t)]
    axes.set_xticks(sorted({1, *kept, n_timesteps}))
