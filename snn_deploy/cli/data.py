"""``snn-deploy data``: inputs of a data set by name, as files for other commands."""

import argparse
from pathlib import Path
from typing import Any

from snn_deploy.cli.console import add_json_option


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "data",
        help="write the calibration and test inputs of a data set",
        description="Write calib.npz and test.npz, which `train` does not learn from.",
    )
    parser.add_argument("name", help="of the data set, as in a recipe")
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="FOLDER",
        help="where the files of the data set are, if it comes with no package",
    )
    parser.add_argument(
        "--timesteps", type=int, default=1, help="of recorded events (default: 1)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("data"), help="folder (data/)"
    )
    add_json_option(parser)
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Read the data set, write the two files."""
    from snn_deploy.cli.console import give_json, out
    from snn_deploy.data.datasets import load_split, write_data

    split = load_split(
        options.name, data_dir=options.data_dir, timesteps=options.timesteps
    )
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, part in (("calib.npz", split.calibration), ("test.npz", split.test)):
        write_data(part, folder / name)
        out(f"wrote {folder / name}: {len(part):,} inputs")
        files.append({"file": str(folder / name), "n_inputs": len(part)})
    give_json(options, {"files": files})
