"""Trained networks as spikes, stopped at the first timestep, and in one pass.

    python -m benchmarks.one_pass FOLDER... [--limit 1000] [--data-dir DIR ...]

Each folder holds ``model.pt`` and the ``recipe.toml`` that names its data. Prints a
table in Markdown: the same inputs, the same weights, the same chip, served in a stream
and one by one. Networks without a twin are named with the first reason.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.cases import split_of
from snn_deploy.artifact import pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.lower.one_pass import obstacles
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import Part
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.profile import Schedule, profile_inputs
from snn_deploy.profile.schedules import means
from snn_deploy.training.recipe_file import read_recipe

HEAD = (
    "| network | as | accuracy | served | packets | synaptic operations | energy "
    "| latency | inputs a second |\n|---|---|---|---|---|---|---|---|---|"
)


def stopped(network: MappedNetwork, n_timesteps: int) -> MappedNetwork:
    """Return the same integers for shorter inputs."""
    training = replace(network.graph.training, timesteps=n_timesteps)
    return replace(network, graph=replace(network.graph, training=training))


def rows(
    name: str, network: MappedNetwork, twin: MappedNetwork, part: Part, limit: int
) -> Iterator[str]:
    """Yield the lines of one network: as it is, at its first timestep, its twin."""
    n = network.graph.training.timesteps
    for form, mapped in (
        (f"spikes, {n} timesteps", network),
        ("spikes, 1 timestep", stopped(network, 1)),
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
    parser = argparse.ArgumentParser(description="measure one-pass twins")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--target", default="loihi-sim")
    parser.add_argument("--optimize", default="energy")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--data-dir", type=Path, action="append", default=[])
    options = parser.parse_args()
    target = read_target(options.target)
    print(HEAD)
    for folder in options.folders:
        recipe = read_recipe(folder / "recipe.toml")
        graph, goal = load_model(folder / "model.pt"), options.optimize
        network = compile_model(graph, target, optimize=goal)
        if reason := next(obstacles(network.graph, target), None):
            print(f"| {recipe.name} | none: {reason} |" + " |" * 7)
            continue
        twin = compile_model(graph, target, one_pass=True, optimize=goal)
        part = split_of(recipe, options.data_dir).test
        for line in rows(recipe.name, network, twin, part, options.limit):
            print(line, flush=True)


if __name__ == "__main__":
    main()
