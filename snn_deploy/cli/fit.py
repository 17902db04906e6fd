"""``snn-deploy fit``: what a network takes of a chip, and all that is too much."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn_deploy.cli.console import add_json_option
from snn_deploy.cli.reading import DEFAULT_TARGET, add_model_options, read_shapes

if TYPE_CHECKING:
    from snn_deploy.compiler.fit import Fit


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "fit",
        help="tell whether a network fits a chip, and everything that does not",
        description="Hold every layer against every resource of a chip. The exit "
        "status is 1 if something does not fit; the weights need not be trained.",
    )
    parser.add_argument(
        "model",
        type=Path,
        nargs="?",
        help="a model, as compile takes it; not needed with --builder and "
        "--input-shape, which do for a module that is not trained yet; or a .snn, to "
        "tell how full its neurocores are",
    )
    parser.add_argument(
        "--target",
        help="a chip (see snn-deploy targets) or a .toml file (default: "
        f"{DEFAULT_TARGET}; of a .snn its own)",
    )
    add_json_option(parser)
    add_model_options(parser)
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Print the table and the problems."""
    from snn_deploy.chip.target_file import read_target
    from snn_deploy.cli.console import give_json
    from snn_deploy.compiler.fit import fit
    from snn_deploy.errors import FitError

    if options.model is not None and options.model.suffix == ".snn":
        found = _compiled(options.model, options.target)
        _show(found)
        give_json(options, _as_json(found))
        return
    target = options.target or DEFAULT_TARGET
    graph = read_shapes(options.model, options)
    found = fit(graph, read_target(target))
    _show(found)
    give_json(options, _as_json(found))
    if found.problems:
        others = ", ".join(_fitting(graph, target))
        n = len(found.problems)
        raise FitError(
            f"{found.network}: does not fit {found.target}, for {n} "
            f"{'reason' if n == 1 else 'reasons'}; it fits "
            f"{others or 'none of the other targets'}"
        )


def _compiled(path: Path, target: str | None) -> "Fit":
    """Return how full a compiled network is, or is with its integers on a target."""
    from snn_deploy.artifact import read_artifact
    from snn_deploy.chip.target_file import read_target
    from snn_deploy.compiler.fit import fit_compiled
    from snn_deploy.compiler.retarget import retarget

    network = read_artifact(path).network
    if target is not None:
        network = retarget(network.graph, read_target(target), goal=network.goal)
    return fit_compiled(network)


def _fitting(graph: Any, target: str) -> list[str]:
    from snn_deploy.chip.target_file import read_target, target_names
    from snn_deploy.compiler.fit import fit

    names = [name for name in target_names() if name != target]
    return [name for name in names if not fit(graph, read_target(name)).problems]


def _show(found: "Fit") -> None:
    from snn_deploy.cli.console import out, show_table

    names = [f"{use.what}, of {use.limit:,}" for use in found.layers[0].uses]
    rows = [
        (
            layer.name,
            layer.n_neurons,
            layer.n_cores,
            layer.binding.what,
            *(f"{use.used:,}" for use in layer.uses),
        )
        for layer in found.layers
    ]
    columns = ("layer", "neurons", "neurocores", "binds", *names)
    show_table(
        f"{found.network} on {found.target}, each layer's fullest neurocore",
        columns,
        rows,
    )
    least = found.least_cores
    needed = "no number is enough" if least is None else f"at least {least} are needed"
    out(
        f"{found.n_cores} of {found.n_cores_allowed} neurocores; cut layer by layer, "
        f"{needed}"
    )
    if found.n_chips is not None:
        chips = "1 chip" if found.n_chips == 1 else f"{found.n_chips} chips"
        out(
            f"{chips} of {found.n_cores_of_chip} neurocores; the board of "
            f"{found.target} holds {found.n_chips_allowed}"
        )
    for problem in found.problems:
        out(f"does not fit: {problem}")


def _as_json(found: "Fit") -> dict[str, Any]:
    from dataclasses import asdict

    counts = {"least_cores": found.least_cores, "n_chips": found.n_chips}
    return {**asdict(found), **counts}
