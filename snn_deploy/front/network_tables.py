"""The table of a compiled network."""

from snn_deploy.artifact import Artifact
from snn_deploy.ir.graph import Training
from snn_deploy.ir.inputs import listed
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.showing import Table


def network_tables(artifact: Artifact) -> list[Table]:
    """Return the layers of a compiled network, and what became of it."""
    network = artifact.network
    graph, chip = network.graph, network.target.mesh.neurocores * network.n_chips
    rows = [
        (
            population.name,
            "x".join(map(str, population.shape)),
            population.size,
            _n_cores(network, population.name),
            sum(p.synapses.weights.size for p in graph.projections_into(population)),
        )
        for population in graph.populations
    ]
    n_neurons = sum(population.size for population in graph.populations)
    chips = "" if network.n_chips == 1 else f"{network.n_chips} chips "
    kinds = ", ".join(dict.fromkeys(change.kind for change in graph.changes))
    calibration = artifact.calibration
    stops = "not calibrated: runs all timesteps"
    if calibration is not None:
        stops = (
            f"rule {calibration.rule}: {calibration.mean_timesteps:.2f} timesteps on "
            f"average, loss at most {calibration.budget:.2g}"
        )
    return [
        Table(
            title=(
                f"{graph.name} on {chips}{network.target.name}: {n_neurons:,} neurons "
                f"on {len(network.cores)} of {chip} neurocores, "
                f"{graph.training.timesteps} timesteps"
            ),
            columns=("layer", "shape", "neurons", "neurocores", "weights"),
            rows=rows,
            notes=(
                *_inputs(graph.training),
                f"{len(graph.changes)} lossy steps{f' ({kinds})' if kinds else ''}",
                stops,
            ),
        )
    ]


def _inputs(training: Training) -> list[str]:
    """Return what the network is given, where these are several inputs."""
    return [f"inputs: {listed(training.inputs)}"] if training.inputs else []


def _n_cores(network: MappedNetwork, population: str) -> int:
    return sum(
        any(piece.population == population for piece in core.pieces)
        for core in network.cores
    )
