"""Exported networks, compiled into one program and run on stimuli.

Each network is a part of the program of its own, its functions renamed; the program
reads inputs from a file and writes what each gives at every timestep.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray, spread
from snn_deploy.backends.engine.cpu import CpuProgram
from snn_deploy.chip.events import CORE_EVENTS
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.cutoff.rules.topk import topk
from snn_deploy.exporters.c.decision import StopRule
from snn_deploy.exporters.c.folder import Limits, write_c
from snn_deploy.ir.mapped import MappedNetwork, Neurocore, Piece
from snn_deploy.ir.quantized import Population, QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus
from tests.conformance.networks import SMALL

COMPILERS = tuple(name for name in ("gcc", "clang") if shutil.which(name))
CHECKED = (
    "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic",
    "-fsanitize=undefined,address", "-fno-sanitize-recover=all",
)  # fmt: skip
UNLIMITED = Limits()
WORDS = {"VERSION": "0", "SHA": "0"}
RENAMED = ("reset", "step", "is_settled", "answer", "decide")
PART = """
{renamed}
#include "{folder}/snn.c"
#include <stdio.h>

static snn_net net;
static snn_input input[{n_values}];
static int16_t bias[{n_bias}];

static void put(const void *values, size_t size, FILE *out)
{{
    fwrite(values, size, 1, out);
}}

void run_{number}(FILE *in, FILE *out)
{{
    for (int i = 0; i < {n}; i++) {{
        int32_t timesteps, answer;
        if (fread(input, sizeof input, 1, in) != 1 ||
            fread(bias, sizeof bias, 1, in) != 1) {{
            return;
        }}
        snn_reset(&net);
        for (int t = 0; t < SNN_TIMESTEPS; t++) {{
            snn_step(&net, input{row}{bias});
            for (int k = 0; k < SNN_OUTPUTS; k++) {{
                const int64_t score = net.scores[k];
                put(&score, sizeof score, out);
            }}
            put(net.n_spikes, sizeof net.n_spikes, out);
        }}
        answer = snn_decide(&net, input{bias}, &timesteps);
        put(&answer, sizeof answer, out);
        put(&timesteps, sizeof timesteps, out);
    }}
}}
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Exported:
    """A network, its inputs and when they stop; as told, on a chip or not."""

    graph: QuantizedGraph
    stimuli: Sequence[Stimulus]
    decision: StopRule

    @property
    def is_constant(self) -> bool:
        return all(s.is_constant for s in self.stimuli)

    @property
    def n_rows(self) -> int:
        return 1 if self.is_constant else self.graph.training.timesteps


def stops_at(betas: FloatArray) -> StopRule:
    """Return the rule with these thresholds on the gap."""
    return StopRule(words="-", is_settled=topk(betas), betas=betas)


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """What a network gives: of the program, or of the engine."""

    scores: IntArray  # (n, n_timesteps, n_outputs)
    spikes: IntArray  # (n, n_timesteps, n_layers)
    answers: IntArray  # (n,)
    timesteps: IntArray  # (n,)


def build(
    networks: Sequence[Exported], folder: Path, compiler: str, *options: str
) -> Path:
    """Return a program of all networks, whose folders are written if missing."""
    parts = []
    for number, network in enumerate(networks):
        home = folder / f"net_{number}"
        if not home.exists():
            export(network, home)
        part = folder / f"part_{number}.c"
        part.write_text(_part(network, home, number))
        parts.append(part)
    numbers = range(len(networks))
    main = folder / "all.c"
    main.write_text(
        "#include <stdio.h>\n"
        + "".join(f"void run_{k}(FILE *in, FILE *out);\n" for k in numbers)
        + "int main(int n, char **names)\n{\n"
        + '    FILE *in = fopen(names[1], "rb"), *out = fopen(names[2], "wb");\n'
        + "    if (n != 3 || !in || !out) return 1;\n"
        + "".join(f"    run_{k}(in, out);\n" for k in numbers)
        + "    return fclose(out);\n}\n"
    )
    program = folder / "program"

    def compiled(part: Path) -> Path:
        _run(compiler, *options, "-c", part, "-o", part.with_suffix(".o"))
        return part.with_suffix(".o")

    with ThreadPoolExecutor(os.cpu_count()) as several:
        objects = list(several.map(compiled, [main, *parts]))
    _run(compiler, *options, *objects, "-o", program)
    return program


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def export(network: Exported, folder: Path, limits: Limits = UNLIMITED) -> None:
    """Write the network as C."""
    write_c(
        network.graph,
        folder,
        decision=network.decision,
        stimuli=list(network.stimuli),
        words=WORDS,
        limits=limits,
    )


def run(program: Path, networks: Sequence[Exported]) -> list[Given]:
    """Return what each network of a program gives."""
    inputs, outputs = program.with_suffix(".in"), program.with_suffix(".out")
    inputs.write_bytes(b"".join(_fed(network) for network in networks))
    _run(program, inputs, outputs)
    written = outputs.read_bytes()
    found = []
    for network in networks:
        row = np.dtype(
            [
                ("steps", _step_of(network), network.graph.training.timesteps),
                ("answer", "<i4"),
                ("timesteps", "<i4"),
            ]
        )
        n = len(network.stimuli)
        rows = np.frombuffer(written[: n * row.itemsize], row)
        written = written[n * row.itemsize :]
        found.append(
            Given(
                scores=rows["steps"]["scores"].astype(np.int64),
                spikes=rows["steps"]["spikes"].astype(np.int64),
                answers=rows["answer"],
                timesteps=rows["timesteps"],
            )
        )
    assert not written
    return found


def engine_gives(network: Exported, mapped_to: MappedNetwork | None = None) -> Given:
    """Return what the engine gives; spikes behind its last chip timestep are -1."""
    graph = network.graph
    mapped = mapped_to or one_core_each(graph)
    program = CpuProgram(mapped)
    inputs = list(enumerate(network.stimuli))
    whole = list(run_inputs(program, mapped, inputs, never))
    stopped = list(run_inputs(program, mapped, inputs, network.decision.is_settled))
    n_timesteps = graph.training.timesteps
    spikes = np.full((len(inputs), n_timesteps, len(graph.populations)), -1)
    fire = CORE_EVENTS.index("fire")
    order = _order(graph)
    for i, result in enumerate(whole):
        fired = result.activity.cores[..., fire]  # (chip timestep, core)
        for place, population in enumerate(order):
            core = graph.populations.index(population)
            mine = fired[population.offset :, core][:n_timesteps]
            spikes[i, : len(mine), place] = mine
    return Given(
        scores=np.stack([result.scores for result in whole]),
        spikes=spikes,
        answers=np.array([result.prediction for result in stopped]),
        timesteps=np.array([result.timesteps for result in stopped]),
    )


def assert_equal(found: Given, wanted: Given, where: str) -> None:
    """Compare everything."""
    np.testing.assert_array_equal(found.scores, wanted.scores, where)
    is_seen = wanted.spikes >= 0
    np.testing.assert_array_equal(found.spikes[is_seen], wanted.spikes[is_seen], where)
    np.testing.assert_array_equal(found.timesteps, wanted.timesteps, where)
    np.testing.assert_array_equal(found.answers, wanted.answers, where)


def one_core_each(graph: QuantizedGraph) -> MappedNetwork:
    """Return the network with a neurocore for each population."""
    cores = tuple(
        Neurocore(
            index=index,
            x=0,
            y=index,
            pieces=(
                Piece(
                    population=p.name,
                    neurons=np.arange(p.size),
                    synapse_bits=1,
                    n_input_axons=1,
                ),
            ),
        )
        for index, p in enumerate(graph.populations)
    )
    n = len(cores)
    assert SMALL.mesh is not None
    mesh = replace(SMALL.mesh, neurocores=n, height=n)
    return MappedNetwork(graph=graph, target=replace(SMALL, mesh=mesh), cores=cores)


def _order(graph: QuantizedGraph) -> tuple[Population, ...]:
    names = [p.name for p in graph.in_local_time().order]
    return tuple(graph.population(name) for name in names)


def _step_of(network: Exported) -> np.dtype[np.void]:
    graph = network.graph
    return np.dtype(
        [
            ("scores", "<i8", graph.readout.size),
            ("spikes", "<i4", len(graph.populations)),
        ]
    )


def _part(network: Exported, home: Path, number: int) -> str:
    biased = [p.size for p in network.graph.populations if p.takes_bias]
    return PART.format(
        renamed="\n".join(
            f"#define snn_{name} snn_{name}_{number}" for name in RENAMED
        ),
        folder=home,
        number=number,
        n_values=network.n_rows * network.graph.source.size,
        n_bias=biased[0] if biased else 1,
        n=len(network.stimuli),
        row="" if network.is_constant else " + t * SNN_INPUTS",
        bias=", bias" if biased else "",
    )


def _fed(network: Exported) -> bytes:
    graph = network.graph
    biased = [p for p in graph.populations if p.takes_bias]
    kind = np.uint8 if graph.source.largest_value <= 255 else np.int32
    found = b""
    for stimulus in network.stimuli:
        for t in range(1, network.n_rows + 1):
            found += stimulus.at(t).astype(kind).tobytes()
        bias = np.zeros(1) if stimulus.bias is None else stimulus.bias
        if biased and stimulus.bias is None:
            bias = spread(biased[0].bias_mantissa, biased[0].shape)
        found += bias.astype(np.int16).tobytes()
    return found


def build_checks(
    networks: Sequence[Exported], folder: Path, *command: str | Path
) -> Path:
    """Return a program that runs every folder's own check, and stops if one fails."""
    main = folder / "all.c"
    lines, calls = ["#include <stdio.h>"], []
    parts = []
    for number, network in enumerate(networks):
        home = folder / f"net_{number}"
        export(network, home)
        part = folder / f"part_{number}.c"
        names = [f"#define snn_{n} snn_{n}_{number}" for n in RENAMED]
        names += [f"#define main check_{number}"]
        files = [f'#include "{home}/{name}"' for name in ("snn.c", "main.c")]
        part.write_text("\n".join([*names, *files, ""]))
        parts.append(part)
        lines.append(f"int check_{number}(void);")
        calls.append(f"check_{number}()")
    lines.append(f"int main(void) {{ return {' || '.join(calls)}; }}")
    main.write_text("\n".join([*lines, ""]))
    program = folder / "checks.elf"
    _run(*command, "-o", program, main, *parts)
    return program
