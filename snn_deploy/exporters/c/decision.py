"""When the exported network stops: thresholds on the gap, or what can still change."""

from collections.abc import Callable
from dataclasses import dataclass

from snn_deploy.arrays import BoolArray, FloatArray, IntArray

# accumulated outputs (n, n_outputs) and the timestep to what has settled
IsSettled = Callable[[IntArray, int], BoolArray]


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """A rule in numbers, as ``cutoff`` has it.

    ``betas`` are thresholds on the gap, ``(n_timesteps,)``, infinite where nothing
    stops. ``gains`` and ``steps`` are those of a network whose lead is certain; they
    take the place of the thresholds, and are looked at where those are not infinite.
    """

    words: str
    is_settled: IsSettled  # the same decision, to compute the test vector
    betas: FloatArray
    gains: FloatArray | None = None  # (n_outputs, n_outputs)
    steps: FloatArray | None = None  # (n_outputs,)
