"""One round of Lava in a process of its own, which ``lava_peer`` starts and may end.

python -m benchmarks.lava_run MODEL.snn STIMULUS.npz CHIP_TIMESTEPS OUT.npz
"""

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.lava_own import is_lavas_own, own_network
from snn_deploy.arrays import IntArray
from snn_deploy.artifact import read_artifact
from snn_deploy.backends.lava.compat import forking, import_lava
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus

Found = tuple[float, IntArray]  # seconds per chip timestep, read-outs (n_timesteps, n)


def run_own(graph: QuantizedGraph, stimulus: Stimulus, n: int) -> Found:
    """Run Lava's own processes for ``n`` chip timesteps, the first one untimed."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    sink = own_network(graph, stimulus, n)
    settings = Loihi2SimCfg(select_tag="fixed_pt")
    with forking():
        sink.run(condition=RunSteps(num_steps=1), run_cfg=settings)
        start = time.perf_counter()
        sink.run(condition=RunSteps(num_steps=n - 1), run_cfg=settings)
        found = (time.perf_counter() - start) / (n - 1)
        spikes = sink.data.get().T.astype(np.int64)
        sink.stop()
    return found, spikes[graph.depth :]


def run_backend(network: MappedNetwork, stimulus: Stimulus) -> Found:
    """Run the processes of the lava backend; what fills the pipeline is untimed."""
    from snn_deploy.backends.lava.backend import LavaBackend

    program = LavaBackend().load(network)
    session = program.start([stimulus])
    readouts, times = [], []
    while (record := session.step()) is not None:
        readouts.append(record.readout[0])
        times.append(time.perf_counter())
    program.close()
    return (times[-1] - times[0]) / (len(times) - 1), np.stack(readouts)


def main() -> None:
    """Run what the command line names; write what was found."""
    model, stimulus_file, n, out = sys.argv[1:]
    import_lava()
    network = read_artifact(Path(model)).network
    with np.load(stimulus_file) as file:
        stimulus = Stimulus(
            values=file["values"], is_constant=bool(file["is_constant"])
        )
    if is_lavas_own(network.graph):
        found, readouts = run_own(network.graph, stimulus, int(n))
    else:
        found, readouts = run_backend(network, stimulus)
    np.savez(out, seconds=found, readouts=readouts)


if __name__ == "__main__":
    main()
