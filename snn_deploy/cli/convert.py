"""``snn-deploy convert``: write a network in another format."""

import argparse
from pathlib import Path
from typing import Any

from snn_deploy.cli.reading import add_model_options, read_model, show_gap


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "convert",
        help="write a network in another format",
        description="Write a network in another format, by the endings: a model "
        "(.pt, .nir, .onnx, .net) or a compiled network (.snn) to .pt, .nir, .onnx "
        "(one timestep of the chip's integers) or .net (for lava-dl's netx).",
    )
    parser.add_argument("source", type=Path, help="what to read")
    parser.add_argument("destination", type=Path, help="what to write")
    parser.add_argument(
        "--target",
        help="the chip whose integers a .onnx of a model holds, or a .net (default: "
        "loihi2-netx)",
    )
    parser.add_argument(
        "--for",
        dest="reader",
        choices=("norse", "sinabs", "snntorch", "spikingjelly"),
        help="the tool that will read a .nir: the file is as that one means it, or "
        "refused with the reason (without it a note says who reads it how)",
    )
    add_model_options(parser)
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Read and write."""
    from snn_deploy.cli.console import note, out
    from snn_deploy.convert import (
        check_ending,
        check_reader,
        write_graph,
        write_integers,
    )

    check_ending(options.destination)
    check_reader(options.destination, options.reader)
    if options.source.suffix == ".snn":
        from snn_deploy.artifact import read_artifact

        network = read_artifact(options.source).network.graph
        notes = write_integers(network, options.destination, options.reader)
    else:
        from snn_deploy.chip.target_file import read_target

        target = read_target(options.target) if options.target else None
        graph = read_model(options.source, options)
        if options.balance_on is not None:
            show_gap(graph, options.balance_on)
        notes = write_graph(graph, options.destination, target, options.reader)
    for line in notes:
        note(f"note: {line}")
    out(f"wrote {options.destination}")
