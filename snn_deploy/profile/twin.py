"""The conventional network of a spiking one: the same weights in one pass."""

from snn_deploy.artifact import Artifact, pack
from snn_deploy.compiler.lower.one_pass import obstacles
from snn_deploy.compiler.twin import one_pass_twin
from snn_deploy.data.data import Data
from snn_deploy.errors import FitError


def twin_of(artifact: Artifact, data: Data) -> tuple[Artifact, Data] | None:
    """Return the one-pass twin with its inputs; ``None`` where there is none."""
    network = artifact.network
    if data.has_timesteps:
        return None
    if next(obstacles(network.graph, network.target), None) is not None:
        return None
    try:
        twin = pack(one_pass_twin(network))
    except FitError:
        return None
    return twin, Data(
        x=data.x,
        y=data.y,
        training=twin.network.graph.training,
        targets=data.targets,
    )
