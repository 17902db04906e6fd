"""Read the model and the inputs of a command, and say what is lost of them."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snn_deploy.data import Data
    from snn_deploy.ir.graph import Graph
    from snn_deploy.ir.quantized import QuantizedGraph


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add what a model's file may leave out."""
    parser.add_argument(
        "--dt",
        type=float,
        metavar="SECONDS",
        help="length of a timestep, if the file (NIR) does not say",
    )
    parser.add_argument(
        "--reset",
        choices=("hard", "soft"),
        help="what a spike does to the voltage, if the file (NIR) does not say: set it "
        "to v_reset, or lower it by the threshold",
    )


def read_model(
    path: Path, options: argparse.Namespace, timesteps: int | None = None
) -> "Graph":
    """Return the model at ``path``, with the options of ``add_model_options``."""
    from snn_deploy.importers import load_model
    from snn_deploy.ir.neurons import Reset

    reset = None if options.reset is None else Reset(options.reset)
    return load_model(path, dt=options.dt, reset=reset, timesteps=timesteps)


def read_inputs(path: Path, graph: "QuantizedGraph") -> "Data":
    """Return the inputs at ``path`` for a network; on stderr, what is rounded."""
    from snn_deploy.data import read_data

    data = read_data(
        path, graph.source.shape, graph.training, n_outputs=graph.readout.size
    )
    if data.n_rounded:
        print(
            f"note: {path}: {data.n_rounded} of {data.x.size} values lie between the "
            "256 levels that the chip receives; they are rounded",
            file=sys.stderr,
        )
    return data
