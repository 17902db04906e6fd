"""Peak memory of a program that runs a network, in a process of its own.

python -m benchmarks.memory PROGRAM MODEL.snn BATCH
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from snn_deploy.artifact import read_artifact
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus

NOTHING = "nothing"  # what the measurement itself needs, the file being read
SNN_DEPLOY = "snn-deploy"
LIMIT_S = 300


def peak_mib(program: str, model: Path, batch: int) -> float | None:
    """Return the peak memory [MiB], ``None`` if the program cannot run the network."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", program, str(model), str(batch)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode:
        return None
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Run what the command line names, print the peak."""
    program, model, n = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    network = read_artifact(model).network
    stimuli = _stimuli(network.graph, n)
    if program == SNN_DEPLOY:
        from snn_deploy.backends.engine.cpu import CpuProgram

        never = np.full(network.graph.training.timesteps, np.inf)
        CpuProgram(network).run(stimuli, never, is_counted=False)
    elif program != NOTHING:
        _run_framework(program, network.graph, stimuli)
    print(json.dumps(_peak_mib()))


def _peak_mib() -> float:
    """Return the peak of this program alone; ``ru_maxrss`` starts with its parent's."""
    status = Path("/proc/self/status").read_text("utf-8")
    (kib,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kib.split()[1]) / 1024


def _stimuli(graph: QuantizedGraph, n: int) -> list[Stimulus]:
    rng = np.random.default_rng(0)
    size = (n, graph.training.timesteps, *graph.source.shape)
    spikes = rng.random(size, np.float32) < 0.1
    return [Stimulus(values=values, is_constant=False) for values in spikes]


def _run_framework(
    program: str, graph: QuantizedGraph, stimuli: list[Stimulus]
) -> None:
    import torch

    from benchmarks.float_layers import float_layers, spike_tensor
    from benchmarks.frameworks import framework

    torch.set_num_threads(1)
    with torch.no_grad():
        run = framework(program, float_layers(graph))
        run(spike_tensor(stimuli, graph.training.timesteps))


if __name__ == "__main__":
    main()
