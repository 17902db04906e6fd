"""``snn-deploy export-c``: write a compiled network as C for any processor."""

import argparse
import re
from pathlib import Path
from typing import Any

from snn_deploy.cli.console import add_json_option
from snn_deploy.cli.reading import positive

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20}


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "export-c",
        help="write a network and its cutoff as C for any processor",
        description="Write a compiled network as C99 without heap and libraries, its "
        "cutoff inside, with a test vector, a Makefile and a README.",
    )
    parser.add_argument("network", type=Path, help="a compiled network, .snn")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="(made)"
    )
    parser.add_argument(
        "--data", type=Path, help="inputs for the test vector, .npz (default: random)"
    )
    parser.add_argument(
        "--inputs", type=positive, default=3, metavar="N", help="how many (3)"
    )
    for name, what in (("flash", "tables and code"), ("ram", "the state")):
        parser.add_argument(
            f"--{name}",
            type=_size,
            metavar="BYTES",
            help=f"refuse if {what} take more; such as 256k",
        )
    add_json_option(parser)
    parser.set_defaults(call=call)


def _size(text: str) -> int:
    """Return a number of bytes, such as 256k."""
    match = re.fullmatch(r"(\d+)\s*([km]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size; write it like 65536, 64k or 2M"
        )
    return int(match[1]) * UNITS[match[2]]


def call(options: argparse.Namespace) -> None:
    """Read and write."""
    from snn_deploy.artifact import read_artifact
    from snn_deploy.cli.console import give_json, out
    from snn_deploy.cli.reading import read_inputs
    from snn_deploy.front.exporting import export_c

    artifact = read_artifact(options.network)
    data = None
    if options.data is not None:
        data = read_inputs(options.data, artifact.network.graph)
    sizes = export_c(
        artifact,
        options.output,
        data=data,
        n_inputs=options.inputs,
        flash=options.flash,
        ram=options.ram,
    )
    out(
        f"{sizes.tables.total():,} bytes of tables and at most about {sizes.code:,} of "
        f"code, {sizes.state:,} bytes of RAM"
    )
    if artifact.calibration is None:
        out("no cutoff: snn-deploy calibrate finds its threshold")
    out(f"wrote {options.output}; make check in it compares it with the test vector")
    give_json(
        options,
        {
            "folder": str(options.output),
            "table_bytes": sizes.tables.total(),
            "code_bytes_at_most": sizes.code,
            "state_bytes": sizes.state,
            "table_bytes_by_layer": dict(sizes.tables),
            "state_bytes_by_layer": dict(sizes.state_of),
        },
    )
