"""``snn-deploy inspect``: what is inside a model or a compiled network."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn_deploy.cli.console import add_json_option
from snn_deploy.cli.reading import add_model_options, read_model
from snn_deploy.errors import ArtifactError, DataError

if TYPE_CHECKING:
    from snn_deploy.artifact import Artifact
    from snn_deploy.chip.neurocore import NeurocoreLimits
    from snn_deploy.ir.graph import Graph, Training
    from snn_deploy.ir.mapped import Neurocore
    from snn_deploy.ir.nodes import Node
    from snn_deploy.ir.quantized import Population, Projection


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "inspect",
        help="show the layers of a model, or a compiled network on its chip",
        description="Show the layers of a model, or a compiled network on its chip.",
    )
    parser.add_argument("file", type=Path, help="model.pt or model.snn")
    parser.add_argument(
        "--map",
        type=Path,
        metavar="SVG",
        help="draw a compiled network on its chip, by layer and by utilization",
    )
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FOLDER",
        help="for --map: draw traffic and busy time too, from what profile has written",
    )
    parser.add_argument(
        "--placement",
        type=Path,
        metavar="FILE",
        help="write where the neurons of a compiled network lie, as .toml for compile "
        "--placement",
    )
    add_json_option(parser)
    add_model_options(parser)
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Print the tables, draw the map."""
    from snn_deploy.cli.console import give_json, out

    if options.profile is not None and options.map is None:
        raise DataError("--profile colors a map; give --map map.svg as well")
    if options.file.suffix == ".snn":
        from snn_deploy.artifact import read_artifact

        artifact = read_artifact(options.file)
        if options.map is not None:
            draw_map(artifact, options.map, options.profile)
        if options.placement is not None:
            write_placement(artifact, options.placement)
        show_artifact(artifact)
        give_json(options, artifact_json(artifact))
        for path in (options.map, options.placement):
            if path is not None:
                out(f"wrote {path}")
    elif options.map is not None or options.placement is not None:
        raise ArtifactError(
            f"{options.file}: --map and --placement show a compiled network, .snn; "
            "compile it first"
        )
    else:
        graph = read_model(options.file, options)
        show_graph(graph)
        give_json(options, graph_json(graph))


def draw_map(artifact: "Artifact", path: Path, profile: Path | None) -> None:
    """Write the network on its chip as SVG."""
    from snn_deploy.profile.diff import read_profile
    from snn_deploy.profile.loads import saved_loads
    from snn_deploy.report.map_picture import write_map

    network, loads = artifact.network, None
    if profile is not None:
        summary = read_profile(profile).summary
        if summary.get("network_sha256") != artifact.sha256:
            raise DataError(f"{profile}: of another network; profile this one")
        loads = saved_loads(summary, network, str(profile))
    write_map(network, loads, path)


def write_placement(artifact: "Artifact", path: Path) -> None:
    """Write where the neurons lie as TOML."""
    from snn_deploy.compiler.map.placement import placement_text
    from snn_deploy.files.writing import text_writer, write_whole

    network = artifact.network
    head = (
        f"# where the neurons of {json.dumps(network.graph.name)} lie on "
        f"{json.dumps(network.target.name)}, for compile --placement\n"
    )
    write_whole(path, text_writer(head + placement_text(network)))


def show_graph(graph: "Graph") -> None:
    """Print the layers of a float graph."""
    from snn_deploy.cli.console import out, show_table
    from snn_deploy.ir.text import node_parameters

    rows = [
        (
            node.name,
            type(node).__name__,
            ", ".join(source.name for source in graph.sources(node)),
            "x".join(map(str, node.output_shape)),
            _n_values(node),
            node_parameters(node),
        )
        for node in graph.order
    ]
    columns = ("layer", "kind", "from", "output", "values", "parameters")
    show_table(graph.name, columns, rows)
    training = graph.training
    _show_inputs(training)
    out(
        f"{training.timesteps} timesteps, encoding {training.encoding.value}, input "
        f"x * {training.input_scale:g} + {training.input_offset:g}, outputs: "
        f"{training.functional.value} over time"
    )


def _show_inputs(training: "Training") -> None:
    """Print what lies in a row, if these are several inputs."""
    from snn_deploy.cli.console import show_table
    from snn_deploy.ir.inputs import with_places

    if training.inputs:
        rows = [
            (
                given.name,
                "x".join(map(str, given.shape)),
                f"{places.start} to {places.stop - 1}",
                f"{given.low:g} to {given.high:g}",
            )
            for given, places in with_places(training.inputs)
        ]
        show_table("inputs", ("input", "shape", "in the row", "range"), rows)


def _inputs_json(training: "Training") -> list[dict[str, Any]]:
    """Return several inputs, in the order of their row; none of a single one."""
    return [{"name": given.name, "shape": given.shape} for given in training.inputs]


def _n_values(node: "Node") -> int:
    return sum(value.size for value in vars(node).values() if hasattr(value, "size"))


def graph_json(graph: "Graph") -> dict[str, Any]:
    """Return the layers of a float graph, ready for JSON."""
    return {
        "network": graph.name,
        "timesteps": graph.training.timesteps,
        "encoding": graph.training.encoding.value,
        "input_scale": graph.training.input_scale,
        "input_offset": graph.training.input_offset,
        "functional": graph.training.functional.value,
        "inputs": _inputs_json(graph.training),
        "layers": [
            {
                "name": node.name,
                "kind": type(node).__name__,
                "from": [source.name for source in graph.sources(node)],
                "output": node.output_shape,
                "n_values": _n_values(node),
            }
            for node in graph.order
        ],
    }


def artifact_json(artifact: "Artifact") -> dict[str, Any]:
    """Return a compiled network, ready for JSON; keys as in ``summary.json``."""
    from dataclasses import asdict

    from snn_deploy.profile.neurobench import static_metrics

    network = artifact.network
    graph, limits = network.graph, network.target.neurocore
    calibration = artifact.calibration
    return {
        "network": graph.name,
        "network_sha256": artifact.sha256,
        "target": network.target.name,
        "timesteps": graph.training.timesteps,
        "one_pass_of": graph.one_pass_of,
        "pipeline_depth": graph.depth,
        "encoding": graph.training.encoding.value,
        "functional": graph.training.functional.value,
        "inputs": _inputs_json(graph.training),
        "mapped_for": network.goal,
        "n_chips": network.n_chips,
        "n_neurocores": len(network.cores),
        "n_neurocores_allowed": network.target.mesh.neurocores * network.n_chips,
        "n_neurons": sum(population.size for population in graph.populations),
        "populations": [
            {"name": p.name, "shape": p.shape, "n_neurons": p.size, "offset": p.offset}
            for p in graph.populations
        ],
        "projections": [
            {
                "from": p.source,
                "to": p.target,
                "kind": type(p.synapses).__name__,
                "n_weights": p.synapses.weights.size,
                "exponent": p.exponent,
            }
            for p in graph.projections
        ],
        "neurocores": [
            {
                "neurocore": core.index,
                "populations": [piece.population for piece in core.pieces],
                **core.taken(limits),
            }
            for core in network.cores
        ],
        "lossy_steps": [asdict(change) for change in graph.changes],
        "neurobench": static_metrics(graph),
        "cutoff": None if calibration is None else calibration.as_json(),
    }


def show_artifact(artifact: "Artifact") -> None:
    """Print a compiled network: populations, projections, neurocores, losses."""
    from snn_deploy.cli.console import out, show_table
    from snn_deploy.ir.quantized import UPDATE_ORDER
    from snn_deploy.profile.neurobench import static_metrics
    from snn_deploy.report.chip import time_of

    network = artifact.network
    graph = network.graph
    out(f"{graph.name} for {network.target.name}, sha256 {artifact.sha256}")
    out(
        f"{graph.training.timesteps} timesteps, pipeline depth {graph.depth}, encoding "
        f"{graph.training.encoding.value}, read-out: "
        + ("spike counts" if graph.readout.spikes else "voltage")
        + f", {graph.training.functional.value} over time"
    )
    _show_inputs(graph.training)
    if graph.one_pass_of:
        out(
            f"one pass: the twin of a network of {graph.one_pass_of} timesteps, each "
            "spike a packet with its number"
        )
    out(f"mapped for {network.goal}" if network.goal else "laid out by a placement")
    out(f"timestep: {time_of(graph.training.dt)}; in each {', '.join(UPDATE_ORDER)}")
    show_table(
        "populations",
        (
            "name",
            "neurons",
            "spikes if",
            "reset",
            "refractory",
            "decays",
            "bias",
            "offset",
        ),
        [_population_row(population) for population in graph.populations],
    )
    show_table(
        "projections",
        ("from", "to", "weights", "range", "exponent", "delay"),
        [_projection_row(projection) for projection in graph.projections],
    )
    limits = network.target.neurocore
    show_table(
        "neurocores",
        (
            "neurocore",
            "populations",
            *(f"{what} (of {limit})" for what, limit in limits.room.items()),
        ),
        [_core_row(core, limits) for core in network.cores],
    )
    show_table(
        "lost on the way to integers",
        ("layer", "lossy step", "values", "largest", "mean", "note"),
        [
            (c.layer, c.kind, c.count, f"{c.largest:.3g}", f"{c.mean:.3g}", c.note)
            for c in graph.changes
        ],
    )
    found = static_metrics(graph)
    out(
        f"NeuroBench: footprint {found['footprint']:,} bytes, connection sparsity "
        f"{found['connection_sparsity']}; {graph.n_connections:,} operations a "
        "timestep if no spike and no weight were 0"
    )
    if artifact.calibration is None:
        out("not calibrated: runs all timesteps")
    else:
        for line in artifact.calibration.lines:
            out(line)


def _population_row(population: "Population") -> tuple[object, ...]:
    condition, reset, rest = "never", "", ""
    if population.spikes:
        threshold = _range(population.threshold)
        condition = f"voltage {population.comparison.value} 64 * ({threshold})"
        is_soft = population.reset.value == "soft"
        by = f" by {_range(population.reset_amount)}" if is_soft else " to 0"
        reset = population.reset.value + by
        if population.max_spikes > 1:
            reset += f", up to {population.max_spikes} times"
        rest = f"{population.refractory} timesteps"
    if population.has_lowest_voltage:
        condition += f"; at least {_range(population.lowest_voltage)}"
    return (
        population.name,
        "x".join(map(str, population.shape)),
        condition,
        reset,
        rest,
        f"current {_range(population.current_decay)}, "
        f"voltage {_range(population.voltage_decay)}",
        f"{_range(population.bias_mantissa)} * 2**{population.bias_exponent}",
        population.offset,
    )


def _projection_row(projection: "Projection") -> tuple[object, ...]:
    weights = projection.synapses.weights
    return (
        projection.source,
        projection.target,
        f"{type(projection.synapses).__name__} " + "x".join(map(str, weights.shape)),
        _range(weights),
        projection.exponent,
        _range(projection.delay + projection.axon_delay),
    )


def _core_row(core: "Neurocore", limits: "NeurocoreLimits") -> tuple[object, ...]:
    return (
        core.index,
        ", ".join(piece.population for piece in core.pieces),
        *core.taken(limits).values(),
    )


def _range(values: Any) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high}"
