"""What a conventional network with the same connections would compute."""

from typing import Any

from snn_deploy.ir.quantized import QuantizedGraph

# of one multiply-accumulate [J]: arithmetic alone, without memory or leakage
ENERGIES_J = {
    "float32": 4.6e-12,  # multiply 3.7 pJ, add 0.9 pJ
    "int8": 0.3e-12,  # multiply 0.2 pJ, add in 32 bits 0.1 pJ
}
SOURCE = (
    'M. Horowitz, "Computing\'s energy problem", ISSCC 2014: 45 nm, arithmetic alone'
)
NOTE = "average poolings are counted as weights of the layer behind them"


def conventional(graph: QuantizedGraph) -> dict[str, Any]:
    """Return the multiply-accumulates of one pass, and their energy with its source.

    Every connection is computed once, whatever the input.
    """
    n = graph.n_connections
    return {
        "multiply_accumulates": n,
        "energy_j": {name: n * energy for name, energy in ENERGIES_J.items()},
        "energy_source": SOURCE,
        "note": NOTE,
    }
