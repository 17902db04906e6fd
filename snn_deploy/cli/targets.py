"""``snn-deploy targets``: the chips that a network can be compiled for."""

import argparse
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from snn_deploy.cli.console import add_json_option

if TYPE_CHECKING:
    from snn_deploy.chip.target import Target


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "targets",
        help="list the chips",
        description="List the chips; each is a TOML file, and so can be one of yours.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="TARGET", help="only these; a name or a .toml file"
    )
    parser.add_argument(
        "--costs",
        action="store_true",
        help="every price, low, central and high, with its source",
    )
    parser.add_argument(
        "--check",
        metavar="CHIP.toml",
        help="check a file of your own: what is wrong with it, or what it leaves open",
    )
    add_json_option(parser)
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Print one line for each target, or its prices."""
    from snn_deploy.chip.target_file import read_target, target_names
    from snn_deploy.cli.console import give_json

    if options.check is not None:
        target = _checked(options.check)
        _show_check(options.check, target)
        give_json(options, {"targets": [_as_json(target, has_prices=True)]})
        return
    targets = [read_target(name) for name in options.names or target_names()]
    found = [_as_json(target, has_prices=options.costs) for target in targets]
    give_json(options, {"targets": found})
    if options.costs:
        for target in targets:
            _show_costs(target)
    else:
        _list(targets)


def _checked(path: str) -> "Target":
    """Return the target in a file; the error tells all that is wrong, a line each."""
    from snn_deploy.chip.target_file import read_target
    from snn_deploy.errors import TargetError

    try:
        return read_target(path)
    except TargetError as error:
        if not error.faults:
            raise
        raise TargetError("\n".join(error.faults)) from error


def _show_check(path: str, target: "Target") -> None:
    """Say what a file that is right describes, and which prices it does not give."""
    from snn_deploy.cli.console import out
    from snn_deploy.costs.prices import MONITORS, unknown_prices

    out(
        f"{path}: right; {target.size_name}, {target.mesh.neurocores} neurocores of "
        f"{target.neurocore.compartments} compartments each"
    )
    given, kinds = {name for name, _ in target.costs}, defaultdict[str, list[str]](list)
    for monitor in MONITORS:
        for price in unknown_prices(target, monitor, target.board.chips):
            kind, _, name = price.partition(" of ")
            if kind not in kinds[name]:
                kinds[name].append(kind)
    unknown = [
        f"{name} ({', '.join(kinds[name])})" if name in given else name
        for name in kinds
    ]
    if unknown:
        out(f"prices that profiles will call unknown: {', '.join(unknown)}")
    if target.price_sets:
        names = ", ".join(name for name, _ in target.price_sets)
        out(f"prices of events: {target.price_set}; other sets: {names}")


def _show_costs(target: "Target") -> None:
    from snn_deploy.chip.target import BAND, FAMILY
    from snn_deploy.cli.console import out, show_table
    from snn_deploy.costs.prices import price_list
    from snn_deploy.report.units import with_prefix

    columns = ("price", *BAND, "source")
    title = f"{target.name}: {target.description}"
    if target.price_set:
        title += f"; prices of events: {target.price_set}"
    tables = {title: price_list(target)}
    for name, _ in target.price_sets:
        title = f"{target.name}, profile --prices {name}"
        tables[title] = price_list(target.with_prices(name), FAMILY)
    for title, prices in tables.items():
        rows = [
            (
                price.name,
                *(with_prefix(value, price.unit) for value in price.band),
                price.source,
            )
            for price in prices
        ]
        show_table(title, columns, rows)
    if target.energy_note:
        out(target.energy_note)


def _as_json(target: "Target", *, has_prices: bool) -> dict[str, Any]:
    from snn_deploy.chip.target import BAND
    from snn_deploy.costs.prices import price_list

    found: dict[str, Any] = {
        "target": target.name,
        "description": target.description,
        "neurocores": target.mesh.neurocores,
        "compartments": target.neurocore.compartments,
        "weight_bits": target.precision.weight_bits,
        "abilities": _abilities(target),
    }
    if has_prices:
        found["prices"] = [
            {
                "price": price.name,
                "unit": price.unit,
                **dict(zip(BAND, price.band, strict=True)),
                "source": price.source,
            }
            for price in price_list(target)
        ]
    return found


def _abilities(target: "Target") -> list[str]:
    precision = target.precision
    return [
        word
        for word, has in (
            ("soft reset", precision.soft_reset),
            ("spikes at the threshold", precision.greater_equal),
            ("lowest voltage", precision.lowest_voltage),
            ("graded spikes", precision.neurons_send_graded),
            ("graded input", precision.graded_input_only),
            ("per-neuron parameters", precision.per_neuron_parameters),
            ("rest after the input", precision.counts_timesteps),
        )
        if has
    ]


def _list(targets: "list[Target]") -> None:
    from snn_deploy.cli.console import show_table

    rows = [
        (
            target.name,
            target.description,
            target.mesh.neurocores,
            target.neurocore.compartments,
            f"{target.precision.weight_bits} bits",
            ", ".join(_abilities(target)) or "hard reset, binary spikes",
        )
        for target in targets
    ]
    columns = ("target", "", "neurocores", "compartments each", "weights", "abilities")
    show_table("targets", columns, rows)
