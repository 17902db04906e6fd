"""The folder of an exported network, written whole or not at all."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snn_deploy.arrays import IntArray, spread
from snn_deploy.errors import FitError
from snn_deploy.exporters.c.code import CProgram, filled
from snn_deploy.exporters.c.decision import StopRule
from snn_deploy.exporters.c.layout import CLayout
from snn_deploy.exporters.c.tables import definition, in_comment
from snn_deploy.exporters.c.vector import Vector, run
from snn_deploy.files.writing import text_writer, write_together
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus

# bytes of code on a Cortex-M (GCC, -Os) at most: of what all networks share, and of
# a layer: tests/exporters/test_c_on_cortex_m.py
SHARED_CODE, LAYER_CODE = 1600, 500
MOST_NAMED = 3  # of what takes most, in an error


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What an exported network needs: bytes, and of which layers."""

    tables: Counter[str]  # in flash, by layer or projection
    code: int  # in flash, at most
    state: int  # in RAM
    state_of: Counter[str]  # by layer

    @property
    def flash(self) -> int:
        """Bytes of tables and code."""
        return self.tables.total() + self.code


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the processor has, in bytes; ``None``: enough."""

    flash: int | None = None
    ram: int | None = None

    def check(self, name: str, sizes: Sizes) -> None:
        """Raise a ``FitError`` that names what takes most."""
        for kind, needed, allowed, parts in (
            ("flash", sizes.flash, self.flash, sizes.tables),
            ("RAM", sizes.state, self.ram, sizes.state_of),
        ):
            if allowed is None or needed <= allowed:
                continue
            most = ", ".join(
                f"{part} {n:,} bytes" for part, n in parts.most_common(MOST_NAMED)
            )
            raise FitError(
                f"{name}: needs {needed:,} bytes of {kind}, {allowed:,} are allowed; "
                f"use a larger processor, or make smaller what takes most: {most}"
            )


def write_c(
    graph: QuantizedGraph,
    folder: Path,
    *,
    decision: StopRule,
    stimuli: list[Stimulus],
    words: dict[str, str],
    limits: Limits,
) -> Sizes:
    """Write a network as C to ``folder``, with what it must give for ``stimuli``.

    Parameters
    ----------
    graph : QuantizedGraph
    folder : Path
        Made if it is missing.
    decision : StopRule
        When an input stops.
    stimuli : list of Stimulus
        For the test vector.
    words : dict
        ``VERSION`` of the program and ``SHA`` of the network.
    limits : Limits
        What the processor has.

    Returns
    -------
    Sizes

    Raises
    ------
    FitError
        If it is too large, or C is not written for it; nothing is written then.
    """
    graph = graph.in_local_time()
    layout = CLayout(graph)
    is_constant = all(s.is_constant for s in stimuli)
    title = f"{in_comment(graph.name)}: a spiking neural network in integers"
    words = {**words, "TITLE": title}
    program = CProgram(layout, decision, words, is_constant=is_constant)
    sizes = _sizes(program)
    limits.check(graph.name, sizes)
    vector = run(graph, stimuli, decision.is_settled)
    files = {
        "snn.h": program.header(),
        "snn.c": program.source(),
        "snn_kernels.h": program.kernels(),
        "snn_weights.h": program.weights(),
        "main.c": filled("main.c", program.words),
        "test_vector.h": _vector_text(program, vector),
        "Makefile": filled("Makefile", {}),
        "README.md": _readme(program, sizes, len(stimuli)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_together(folder, {name: text_writer(text) for name, text in files.items()})
    return sizes


def _sizes(program: CProgram) -> Sizes:
    tables: Counter[str] = Counter()
    for table in program.tables():
        tables[table.where] += table.n_bytes
    state_of: Counter[str] = Counter()
    for member in program.layout.members:
        state_of[member.where or "what all layers share"] += member.n_bytes
    return Sizes(
        tables=tables,
        code=SHARED_CODE + LAYER_CODE * len(program.layers),
        state=program.layout.n_bytes,
        state_of=state_of,
    )


def _vector_text(program: CProgram, vector: Vector) -> str:
    layout, n = program.layout, len(vector.stimuli)
    n_rows = 1 if program.is_constant else layout.graph.training.timesteps
    inputs = [_rows(s, n_rows) for s in vector.stimuli]
    tables = [
        ("snn_input", "vector_inputs", np.stack(inputs)),
        ("snn_score", "vector_scores", vector.scores),
        ("int32_t", "vector_spikes", vector.spikes),
        ("int32_t", "vector_answers", vector.answers),
        ("int32_t", "vector_timesteps", vector.timesteps),
    ]
    if program.takes_bias:
        tables.append(("int16_t", "vector_biases", _biases(layout, vector)))
    ctypes = {"snn_input": layout.input_type, "snn_score": layout.score_type}
    texts = [
        definition(ctypes.get(kind, kind), name, values)
        for kind, name, values in tables
    ]
    return "\n".join(
        [
            f"/* What the network must give for {n} inputs. */",
            f"#define VECTOR_INPUTS {n}",
            "",
            *(f"{text}\n" for text in texts),
        ]
    )


def _rows(stimulus: Stimulus, n_rows: int) -> IntArray:
    values = [stimulus.at(t).reshape(-1) for t in range(1, n_rows + 1)]
    return np.concatenate(values)


def _biases(layout: CLayout, vector: Vector) -> IntArray:
    (population,) = (p for p in layout.graph.populations if p.takes_bias)
    own = spread(population.bias_mantissa, population.shape)
    return np.stack(
        [own if s.bias is None else s.bias.reshape(-1) for s in vector.stimuli]
    )


def _readme(program: CProgram, sizes: Sizes, n: int) -> str:
    graph = program.layout.graph
    rows = [
        f"| {in_comment(name)} | {sizes.tables[name]:,} | {sizes.state_of[name]:,} |"
        for name in dict.fromkeys([*sizes.tables, *sizes.state_of])
    ]
    return filled(
        "README.md",
        {
            "N": n,
            "TIMESTEPS": graph.training.timesteps,
            "INPUTS": program.layout.source.size,
            "OUTPUTS": program.layout.readout.size,
            "ROWS": "\n".join(rows),
            "TABLES": f"{sizes.tables.total():,}",
            "CODE": f"{sizes.code:,}",
            "STATE": f"{sizes.state:,}",
            **program.words,
        },
    )
