"""Profile 10,000 to 1,000,000 inputs of a small network: rows per second and memory.

``python -m benchmarks.load [--ways 1:1,1:2,2:2] [--inputs 10000,100000,1000000]``
runs ``snn-deploy profile`` in a process of its own and looks at its memory and
processor time, and those of its workers, ten times a second. A way is a number of
workers (1: none, the process itself measures) and of processor cores that all of them
together may use. So 1:1 and 2:2 tell how it scales: a core for each worker, as on
machines of one core.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

import snn_deploy
from snn_deploy.artifact import pack, write_artifact
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model

SHAPE = (1, 4, 4)
LOOK_S = 0.1


def write_network(path: Path) -> None:
    """Write a network of 16 inputs, 32 neurons and 3 outputs."""
    import torch
    from torch import nn

    from snn_deploy.nn.neurons import Qcfs

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        Qcfs(levels=4, threshold=1.0),
        nn.Flatten(),
        nn.Linear(32, 3),
    )
    model_path = path.with_suffix(".pt")
    graph = snn_deploy.save(model, model_path, input_shape=SHAPE, timesteps=4)
    write_artifact(pack(compile_model(graph, read_target("loihi-sim"))), path)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a profile took."""

    seconds: float
    busy: list[float]  # processor seconds of each process; the first: snn-deploy's own
    memory: list[int]  # the largest of each process [bytes], in the same order


def measure(folder: Path, n: int, workers: int, cores: int) -> Load:
    """Profile ``n`` inputs."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (n, *SHAPE)).astype(np.uint8)
    np.savez(folder / "data.npz", x=x, y=rng.integers(0, 3, n))
    del x
    command = [sys.executable, "-m", "snn_deploy", "profile", folder / "model.snn"]
    options = ["--data", folder / "data.npz", "--backend", "cpu", "-o", folder / "out"]
    spread = ["--workers", str(workers)] if workers > 1 else []
    started = time.monotonic()
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(everywhere)[:cores])  # children inherit it
    run = subprocess.Popen(
        [*map(str, command), *map(str, options), *spread],
        stdout=subprocess.DEVNULL,
    )
    os.sched_setaffinity(0, everywhere)
    largest: dict[int, int] = {}
    busy: dict[int, float] = {}
    while run.poll() is None:
        family = [psutil.Process(run.pid)]
        family += family[0].children(recursive=True)
        for process in family:
            try:
                memory = process.memory_info()
                busy[process.pid] = sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue
            mine = memory.rss - memory.shared  # a mapped file can be written back
            largest[process.pid] = max(largest.get(process.pid, 0), mine)
        time.sleep(LOOK_S)
    if run.returncode:
        raise SystemExit(f"profile of {n} inputs ended with status {run.returncode}")
    seconds = time.monotonic() - started
    most = sorted(busy, key=lambda pid: (pid != run.pid, -busy[pid]))[: workers + 1]
    return Load(
        seconds=seconds,
        busy=[busy[pid] for pid in most],
        memory=[largest[pid] for pid in most],
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", default="10000,100000,1000000")
    parser.add_argument("--ways", default="1:1,1:2,2:2")
    options = parser.parse_args()
    ways = [tuple(map(int, way.split(":"))) for way in options.ways.split(",")]
    print("   inputs  workers  cores  seconds  rows/s  busy [s], memory [MB] of each")
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_network(folder / "model.snn")
        for n in map(int, options.inputs.split(",")):
            for workers, cores in ways:
                load = measure(folder, n, workers, cores)
                each = ", ".join(
                    f"{busy:.0f} {memory >> 20}"
                    for busy, memory in zip(load.busy, load.memory, strict=True)
                )
                print(
                    f"{n:9}  {workers:7}  {cores:5}  {load.seconds:7.1f}  "
                    f"{n / load.seconds:6.0f}  {each}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
