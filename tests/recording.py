"""What the reference does with one input, for comparisons."""

from collections.abc import Sequence

from snn_deploy.backends.engine.cpu import reference_recordings
from snn_deploy.backends.protocol import Recording
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus


def record_reference(
    graph: QuantizedGraph,
    stimulus: Stimulus,
    quantities: Sequence[str],
    *,
    n_timesteps: int,
    reset_every: int | None = None,
) -> Recording:
    """Return what the reference does with one input; see ``Program.record``."""
    (found,) = reference_recordings(
        graph,
        [stimulus],
        quantities,
        n_timesteps=n_timesteps,
        reset_every=reset_every,
    )
    return found
