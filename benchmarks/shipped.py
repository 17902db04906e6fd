"""Large networks as their authors ship them: what saving and compiling them takes.

``python -m benchmarks.shipped`` measures each step of each network in a process of its
own and prints processor time (of all threads, imports included), the largest memory of
the process and neurocores. ``python -m benchmarks.shipped NAME...`` takes some of them.
SpikingJelly is needed; weights are drawn, since they change neither time nor memory.
Boards are as large as a network needs, up to 1,152 chips.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snn_deploy.arrays import Shape

COLUMNS = ("network", "step", "processor time [s]", "memory [MB]", "neurocores")


def sew_resnet() -> Any:
    """Return SEW-ResNet-18 for images of 224 x 224 pixels, with sums of spikes."""
    from spikingjelly.activation_based import neuron, surrogate

    from tests.networks.zoo import sew_resnet as zoo

    return zoo.sew_resnet18(
        cnf="ADD", spiking_neuron=neuron.IFNode, surrogate_function=surrogate.ATan()
    )


def vgg() -> Any:
    """Return spiking VGG-11 for images of 224 x 224 pixels, of 133 M weights."""
    from spikingjelly.activation_based import neuron, surrogate

    from tests.networks.zoo import spiking_vgg as zoo

    return zoo.spiking_vgg11(
        spiking_neuron=neuron.IFNode, surrogate_function=surrogate.ATan()
    )


def gesture() -> Any:
    """Return SpikingJelly's network for DVS-Gesture, of 128 channels."""
    from spikingjelly.activation_based import neuron, surrogate

    from tests.networks.zoo import parametric_lif_net as zoo

    return zoo.DVSGestureNet(
        128, neuron.LIFNode, surrogate_function=surrogate.ATan(), detach_reset=True
    )


# what makes a module, the shape of an input, and how it is given to ``save``
NETWORKS: dict[str, tuple[Callable[[], Any], Shape, dict[str, Any]]] = {
    "SEW-ResNet-18": (sew_resnet, (3, 224, 224), {}),
    "VGG-11": (vgg, (3, 224, 224), {}),
    "DVS-Gesture": (gesture, (2, 128, 128), {"encoding": "events"}),
}


def save(name: str, path: Path) -> str:
    """Write the network as a ``model.pt``, which has no neurocores yet."""
    import torch

    import snn_deploy as sd

    make, shape, options = NETWORKS[name]
    torch.manual_seed(0)
    sd.save(make().eval(), path, input_shape=shape, timesteps=4, **options)
    return ""


def compiled(path: Path) -> int:
    """Write the network that ``path`` holds as a ``.snn``; return its neurocores."""
    from benchmarks.scale import simulator
    from snn_deploy.artifact import pack, write_artifact
    from snn_deploy.compiler.pipeline import compile_model
    from snn_deploy.importers.registry import load_model

    network = compile_model(load_model(path), simulator(), tell=lambda choice: None)
    write_artifact(pack(network), path.with_suffix(".snn"))
    return len(network.cores)


def measure(name: str, step: str, path: Path) -> dict[str, Any]:
    """Return the row of one step, which this process has done by then."""
    n_cores: int | str = compiled(path) if step == "compile" else save(name, path)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    values = name, step, round(time.process_time(), 1), round(memory), n_cores
    return dict(zip(COLUMNS, values, strict=True))


def main() -> None:
    """Print the table, or with ``--one`` the row of a step, done in this process."""
    parser = argparse.ArgumentParser(description="save and compile large networks")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=str([*NETWORKS]))
    parser.add_argument("--one", nargs=3, metavar=("NETWORK", "STEP", "FILE"))
    options = parser.parse_args()
    if options.one:
        name, step, path = options.one
        print(json.dumps(measure(name, step, Path(path))))
        return
    if unknown := {*options.networks} - {*NETWORKS}:
        parser.error(f"no network {', '.join(unknown)}; choose from {[*NETWORKS]}")
    print(" | ".join(COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        for name in options.networks or NETWORKS:
            for step in ("save", "compile"):
                command = [sys.executable, "-m", "benchmarks.shipped", "--one"]
                command += [name, step, str(Path(folder) / f"{name}.pt")]
                found = subprocess.run(command, capture_output=True, check=True)
                row = json.loads(found.stdout.splitlines()[-1])
                print(" | ".join(str(row[column]) for column in COLUMNS), flush=True)


if __name__ == "__main__":
    main()
