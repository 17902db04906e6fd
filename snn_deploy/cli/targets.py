"""``snn-deploy targets``: the chips that a network can be compiled for."""

import argparse
from typing import Any


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "targets",
        help="list the chips",
        description="List the chips; each is a TOML file, and so can be one of yours.",
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Print one line for each target."""
    from snn_deploy.cli.console import show_table
    from snn_deploy.target_file import read_target, target_names

    rows = []
    for name in target_names():
        target = read_target(name)
        precision = target.precision
        able = [
            word
            for word, has in (
                ("soft reset", precision.soft_reset),
                ("spikes at the threshold", precision.greater_equal),
                ("graded spikes", precision.graded_spikes),
                ("per-neuron parameters", precision.per_neuron_parameters),
            )
            if has
        ]
        rows.append(
            (
                name,
                target.description,
                target.mesh.neurocores,
                target.neurocore.compartments,
                f"{precision.weight_bits} bits",
                ", ".join(able) or "hard reset, binary spikes",
            )
        )
    columns = ("target", "", "neurocores", "compartments each", "weights", "abilities")
    show_table("targets", columns, rows)
