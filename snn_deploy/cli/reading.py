"""Read the inputs of a command, and say what is lost of them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snn_deploy.data import Data
    from snn_deploy.ir.quantized import QuantizedGraph


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
