"""``snn-deploy compile``: a trained model becomes a network on a chip."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn_deploy.cli.console import add_json_option
from snn_deploy.cli.inspect import artifact_json
from snn_deploy.cli.reading import (
    DEFAULT_TARGET,
    add_model_options,
    read_model,
    show_gap,
)

if TYPE_CHECKING:
    from snn_deploy.artifact import Artifact
    from snn_deploy.compiler.map.effort import Effort
    from snn_deploy.compiler.map.goals import Choice
    from snn_deploy.compiler.pipeline import Dump
    from snn_deploy.ir.quantized import QuantizedGraph
    from snn_deploy.ir.text import Stage
    from snn_deploy.profile.traffic import Traffic

SPIKING = "if a tenth of the neurons spike"  # compiler.map.effort.ACTIVITY


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "compile",
        help="turn a trained model into a network on a chip",
        description="Turn a trained model into chip integers on neurocores.",
    )
    parser.add_argument(
        "model",
        type=Path,
        help="model.pt, as snn_deploy.save writes it; or a .nir, .onnx, .pt2 or "
        "lava-dl .net file",
    )
    parser.add_argument(
        "--target",
        default=DEFAULT_TARGET,
        help="a chip (see snn-deploy targets) or a .toml file",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="the .snn file to write (default: the model's name, in this folder, with "
        "_one_pass behind it for --one-pass)",
    )
    parser.add_argument(
        "--drop-calibration",
        action="store_true",
        help="write over a calibrated network, and drop its calibration",
    )
    add_model_options(parser)
    parser.add_argument(
        "--one-pass",
        action="store_true",
        help="fold all timesteps into one, with graded spikes: the quantized network "
        "that QCFS, ReLU or neurons that only add up stand for (ReLU in as many levels "
        "as timesteps)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse every step that loses something"
    )
    parser.add_argument(
        "--allow",
        type=lossy_steps,
        default=(),
        metavar="KIND,...",
        help="refuse every such step but those of these kinds, as inspect names them "
        "(round weights, round bias, ...)",
    )
    parser.add_argument(
        "--weight-bits",
        type=int,
        metavar="N",
        help="store weights in fewer bits than the chip has (2 to 8)",
    )
    parser.add_argument(
        "--optimize",
        choices=("energy", "latency", "cores"),
        help="spread layers over the chips that are needed anyway, for the least "
        "modelled energy or time; or let layers share neurocores, for the fewest "
        "(default: energy, or cores where the target lacks its prices)",
    )
    parser.add_argument(
        "--traffic",
        type=Path,
        metavar="PROFILE",
        help="the folder of a profile --detail of this network: layers that send many "
        "spikes lie near, and get more neurocores (default: all neurons spike alike)",
    )
    parser.add_argument(
        "--placement",
        type=Path,
        metavar="FILE",
        help="lay neurons out as this .toml file says (inspect --placement writes one "
        "to start from), instead of --optimize",
    )
    parser.add_argument(
        "--time-budget",
        type=over_zero,
        default=math.inf,
        metavar="SECONDS",
        help="end the search for near places within that time; the same command may "
        "then place differently (default: a fixed number of tries)",
    )
    parser.add_argument(
        "--dump",
        type=Path,
        metavar="FOLDER",
        help="write each stage as text there, a line for each layer, population and "
        "neurocore, good for diff; those before an error as well",
    )
    add_json_option(parser)
    parser.set_defaults(call=call)


def over_zero(text: str) -> float:
    """Return a number over 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number over 0")
    return value


def lossy_steps(text: str) -> tuple[str, ...]:
    """Return kinds of lossy steps, separated by commas."""
    from snn_deploy.ir.quantized import LOSSY_STEPS

    kinds = tuple(kind.strip() for kind in text.split(","))
    for kind in kinds:
        if kind not in LOSSY_STEPS:
            raise argparse.ArgumentTypeError(
                f"no lossy step is called {kind!r}; choose from "
                f"{', '.join(LOSSY_STEPS)}"
            )
    return kinds


def not_negative(text: str) -> int:
    """Return a number, 0 or more."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is under 0")
    return value


def call(options: argparse.Namespace) -> None:
    """Compile and write the artifact."""
    from snn_deploy.artifact import pack, write_artifact
    from snn_deploy.chip.target_file import read_target
    from snn_deploy.cli.console import give_json, out
    from snn_deploy.compiler.lower.one_pass import obstacles
    from snn_deploy.compiler.map.placement import read_placement
    from snn_deploy.compiler.pipeline import compile_model, keep_quiet
    from snn_deploy.errors import ArtifactError
    from snn_deploy.profile.traffic import read_traffic

    behind = "_one_pass" if options.one_pass else ""
    path = options.output or Path(f"{options.model.stem}{behind}.snn")
    if path.suffix != ".snn":  # never over a model, or anything else
        raise ArtifactError(f"{path}: a compiled network ends in .snn; rename it")
    target = read_target(options.target)
    if options.weight_bits is not None:
        target = target.with_weight_bits(options.weight_bits)
    graph = read_model(options.model, options)
    if options.balance_on is not None:
        show_gap(graph, options.balance_on)
    is_strict = options.strict or bool(options.allow)
    traffic = None if options.traffic is None else read_traffic(options.traffic)
    dump = keep_quiet if options.dump is None else into(options.dump)
    if traffic is not None:
        dump = checking(traffic, dump)
    more: list[tuple[str, int, int]] = []
    dump = growing(more, dump)
    choices: list[Choice] = []
    network = compile_model(
        graph,
        target,
        one_pass=options.one_pass,
        is_strict=is_strict,
        allow=options.allow,
        optimize=options.optimize,
        spikes=None if traffic is None else traffic.spikes,
        seconds=options.time_budget,
        placement=None
        if options.placement is None
        else read_placement(options.placement),
        dump=dump,
        tell=choices.append,
    )
    artifact = _kept_calibration(pack(network), path, options)
    write_artifact(artifact, path)
    integers = network.graph
    n_neurons = sum(p.size for p in integers.populations)
    out(
        f"{graph.name}: {n_neurons} neurons on {len(network.cores)} of "
        f"{target.mesh.neurocores * network.n_chips} neurocores of "
        f"{_chips(target.name, network.n_chips)}, pipeline depth "
        f"{integers.depth}, {_time(integers)} per input"
    )
    for choice in choices:
        out(mapped_for(choice))
    readout = "spike counts" if integers.readout.spikes else "voltages"
    out(
        f"read-out: {readout} of {integers.output}, "
        f"{graph.training.functional.value} over time"
    )
    out(
        f"{len(integers.changes)} lossy steps, such as roundings to the chip's grid "
        f"(snn-deploy inspect {path} lists them)"
    )
    for name, n_before, n_now in more:
        out(
            f"{name}: {n_now:,} weights in place of {n_before:,}: merged with a "
            "pooling or layer that no neurons part from it, or laid out as single "
            "synapses"
        )
    if next(obstacles(integers, target), None) is None:
        out(
            f"its twin takes 1 timestep instead of {integers.training.timesteps}, with "
            "graded spikes: compile --one-pass gives it, profile what it costs"
        )
    out(f"wrote {path}")
    names = ("layer", "n_weights_before", "n_weights")
    told = {"grown": [dict(zip(names, row, strict=True)) for row in more]}
    give_json(options, {**artifact_json(artifact), **told, "file": str(path)})


def _time(graph: "QuantizedGraph") -> str:
    n = graph.training.timesteps
    if graph.one_pass_of:
        return f"one pass in place of {graph.one_pass_of} timesteps"
    return f"{n} timesteps"


def checking(traffic: "Traffic", dump: "Dump") -> "Dump":
    """Return ``dump``, which refuses integers that the traffic is not of."""
    from snn_deploy.ir.quantized import QuantizedGraph

    def checked(name: str, stage: "Stage") -> None:
        if isinstance(stage, QuantizedGraph) and name == "retimed":
            traffic.check(stage)
        dump(name, stage)

    return checked


def growing(more: list[tuple[str, int, int]], dump: "Dump") -> "Dump":
    """Return ``dump``, which appends to ``more`` the layers that get more weights."""
    from snn_deploy.compiler.lower.merge_chains import grown
    from snn_deploy.ir.graph import Graph

    read: list[Graph] = []

    def seen(name: str, stage: "Stage") -> None:
        if isinstance(stage, Graph) and name == "read":
            read.append(stage)
        if isinstance(stage, Graph) and name == "spiking":
            more.extend(grown(read.pop(), stage))
        dump(name, stage)

    return seen


def into(folder: Path) -> "Dump":
    """Return what writes each stage into ``folder``: ``1-read.txt`` and so on."""
    from snn_deploy.compiler.pipeline import STAGES
    from snn_deploy.files.writing import text_writer, write_whole
    from snn_deploy.ir.text import as_text

    folder.mkdir(parents=True, exist_ok=True)

    def dump(name: str, stage: "Stage") -> None:
        path = folder / f"{1 + STAGES.index(name)}-{name}.txt"
        write_whole(path, text_writer(as_text(stage)))

    return dump


def mapped_for(choice: "Choice") -> str:
    """Return a sentence: the goal of a mapping, and what the others would take."""
    from snn_deploy.compiler.map.goals import ENERGY, LATENCY, unknown_for

    goal, efforts, target = choice.goal, dict(choice.efforts), choice.target
    chosen = efforts.pop(goal)
    knows = {known: not unknown_for(known, target) for known in (ENERGY, LATENCY)}
    n = chosen.n_cores
    words = f"mapped for {goal}: {n} neurocore{'s' if n > 1 else ''}"
    if lacks := ", ".join(unknown_for(ENERGY, target)):
        counted = ", which counts as 0" if goal == ENERGY else ""
        words += f"; for energy {target.name} lacks {lacks}{counted}"
    if not any(knows.values()):
        return words
    share = "at the spikes of --traffic" if choice.is_measured else SPIKING
    words += f", {_taken(chosen, knows)}, modelled {share}"
    for other, effort in efforts.items():
        is_same = effort == chosen
        takes = f"{effort.n_cores}, {_taken(effort, knows)}"
        words += f"; --optimize {other}: {'the same' if is_same else takes}"
    return words


def _taken(effort: "Effort", knows: dict[str, bool]) -> str:
    """Return what an input, and a timestep, takes, as far as prices are known."""
    from snn_deploy.report.units import with_prefix

    found = {
        "energy": f"{with_prefix(effort.energy_j, 'J')} an input",
        "latency": f"{with_prefix(effort.time_s, 's')} a timestep",
    }
    return " and ".join(text for goal, text in found.items() if knows[goal])


def _kept_calibration(
    artifact: "Artifact", path: Path, options: argparse.Namespace
) -> "Artifact":
    """Return the network with the calibration that the file has, if it holds.

    Raises
    ------
    ArtifactError
        If that of another network would be lost.
    """
    from snn_deploy.artifact import pack, read_artifact
    from snn_deploy.cli.console import out
    from snn_deploy.errors import ArtifactError, SnnDeployError

    try:
        old = read_artifact(path)
    except SnnDeployError:  # no such file, or nothing that could be lost
        return artifact
    if old.calibration is None:
        return artifact
    if options.drop_calibration:
        out(f"dropped the calibration of {path}; snn-deploy calibrate gives it another")
        return artifact
    if old.sha256 == artifact.sha256:
        out(f"kept the calibration of {path}: the network is the same")
        return pack(artifact.network, old.calibration)
    raise ArtifactError(
        f"{path}: holds another network with its calibration, which would be lost; "
        "write elsewhere with -o, or over it with --drop-calibration"
    )


def _chips(target: str, n: int) -> str:
    return target if n == 1 else f"{n} chips {target}"
