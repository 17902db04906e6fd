"""Trained networks as spikes, stopped at the first timestep, and in one pass.

    python -m benchmarks.one_pass FOLDER... [--limit 1000] [--data-dir DIR ...]

Each folder holds ``model.pt`` and the ``recipe.toml`` that names its data. Prints a
table in Markdown: the same inputs, the same weights, the same chip, served in a stream
and one by one. Networks without a twin are named with the first reason.
"""

from collections.abc import Iterator

from benchmarks.cases import parser_of_folders, trained
from snn_deploy.artifact import pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.lower.one_pass import obstacles
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import Part
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.profile import Schedule, profile_inputs
from snn_deploy.profile.schedules import means

HEAD = (
    "| network | as | accuracy | served | packets | synaptic operations | energy "
    "| latency | inputs a second |\n|---|---|---|---|---|---|---|---|---|"
)


def rows(
    name: str, network: MappedNetwork, twin: MappedNetwork, part: Part, limit: int
) -> Iterator[str]:
    """Yield the lines of one network: as it is, at its first timestep, its twin."""
    n = network.graph.training.timesteps
    for form, mapped in (
        (f"spikes, {n} timesteps", network),
        ("spikes, 1 timestep", network.lasting(1)),
        ("one pass", twin),
    ):
        data = Data(x=part.x, y=part.y, training=mapped.graph.training)
        profile = profile_inputs(
            pack(mapped), open_backend("cpu"), data, cutoff=None, limit=limit
        )
        for schedule in (Schedule.STREAMED, Schedule.SERIAL):
            found = means(profile.runs[schedule])
            cells = (
                name,
                form,
                f"{100 * found['accuracy']:.1f} %",
                schedule.value,
                f"{found['mean_packets']:,.0f}",
                f"{found['mean_synaptic_operations'] / 1e6:.2f} M",
                f"{1e6 * found['mean_energy_j']:,.1f} µJ",
                f"{1e6 * found['mean_latency_s']:,.0f} µs",
                f"{found['throughput_per_s']:,.0f}",
            )
            yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure every folder, a line at a time."""
    parser = parser_of_folders("measure one-pass twins")
    parser.add_argument("--optimize", default="energy")
    options = parser.parse_args()
    target = read_target(options.target)
    print(HEAD)
    goal = options.optimize
    for name, graph, split in trained(options):
        network = compile_model(graph, target, optimize=goal)
        if reason := next(obstacles(network.graph, target), None):
            print(f"| {name} | none: {reason} |" + " |" * 7)
            continue
        twin = compile_model(graph, target, one_pass=True, optimize=goal)
        for line in rows(name, network, twin, split.test, options.limit):
            print(line, flush=True)


if __name__ == "__main__":
    main()
