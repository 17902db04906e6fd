"""Trained networks as C: how large, how fast beside the engine, how fast on a Cortex-M.

    python -m benchmarks.exported NAME... [--inputs 100] [--data-dir DIR ...]

Prints a table in Markdown: bytes of flash and RAM on a Cortex-M3 (arm-none-eabi-gcc,
-Os), processor time of an input with the C compiler at -O3 and with one thread of the
engine, in one run, and instructions of an input on a Cortex-M3 in QEMU, which takes a
nanosecond of its own time for one (-icount shift=0). What is not installed is left out.
"""

import argparse
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.cases import Case, case
from snn_deploy.arrays import FloatArray
from snn_deploy.backends.engine.cpu import CpuProgram
from snn_deploy.cutoff.monitor import decide_inputs
from snn_deploy.cutoff.rules.topk import topk
from snn_deploy.exporters.c.decision import StopRule
from snn_deploy.exporters.c.folder import Limits, Sizes, write_c

HEAD = (
    "| network | stops | timesteps | flash [kB] | RAM [kB] | C [ms] | engine [ms] "
    "| C / engine | Cortex-M3 [10^6 instructions] |\n|---|---|---|---|---|---|---|---|"
    "---|"
)
BOARD = Path(__file__).parents[1] / "tests" / "exporters" / "cortex_m"
N_ON_BOARD = 5
HOST = """
#include <stdio.h>
#include <time.h>
#include "snn.h"
static snn_net net;
static snn_input input[{n_values}];
int main(int n, char **names)
{{
    FILE *in = fopen(names[n - 1], "rb");
    clock_t total = 0;
    while (in && fread(input, sizeof input, 1, in) == 1) {{
        int32_t timesteps;
        const clock_t start = clock();
        const int32_t answer = snn_decide(&net, input, &timesteps);
        total += clock() - start;
        printf("%d %d\\n", (int)answer, (int)timesteps);
    }}
    printf("%.9f\\n", (double)total / CLOCKS_PER_SEC);
    return 0;
}}
"""
ON_BOARD = """
#include <stdio.h>
#include "snn.h"
#include "test_vector.h"
#define TIMER ((volatile uint32_t *)0xe000e010) /* SysTick: control, from, now */
static snn_net net;
int main(void)
{
    for (int i = 0; i < VECTOR_INPUTS; i++) {
        int32_t timesteps;
        uint32_t ticks;
        TIMER[1] = 0xffffff;
        TIMER[2] = 0;
        TIMER[0] = 5;
        snn_decide(&net, vector_inputs[i], &timesteps);
        ticks = 0xffffff - TIMER[2];
        printf("%lu %lu\\n", (unsigned long)ticks, (unsigned long)(TIMER[0] >> 16 & 1));
    }
    return 0;
}
"""
INSTRUCTIONS_OF_TICK = 40  # 25 MHz, an instruction in a nanosecond
ARM = ("arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb", "-std=c99", "-Os")


def rows(name: str, found: Case, n_inputs: int, folder: Path) -> None:
    """Print the lines of one network: with its cutoff, and without."""
    for stops, betas in (
        ("early", found.betas),
        ("never", np.full(found.n_timesteps, np.inf)),
    ):
        home = folder / f"{name}_{stops}"
        sizes = _written(found, betas, home)
        in_c, timesteps = _host(found, betas, n_inputs, home)
        engine = _engine(found, betas, n_inputs)
        cells = (
            name,
            stops,
            f"{timesteps:.2f} of {found.n_timesteps}",
            _flash(home),
            f"{sizes.state / 1024:.1f}",
            f"{1e3 * in_c:.3f}",
            f"{1e3 * engine:.3f}",
            f"{in_c / engine:.2f}",
            _instructions(home),
        )
        print(f"| {' | '.join(cells)} |", flush=True)


def _written(found: Case, betas: FloatArray, home: Path) -> Sizes:
    return write_c(
        found.graph,
        home,
        decision=StopRule(words="-", is_settled=topk(betas), betas=betas),
        stimuli=found.pool[:N_ON_BOARD],
        words={"VERSION": "-", "SHA": "-"},
        limits=Limits(),
    )


def _host(
    found: Case, betas: FloatArray, n_inputs: int, home: Path
) -> tuple[float, float]:
    """Return seconds of an input, and its timesteps, on average."""
    stimuli = found.pool[:n_inputs]
    n_rows = 1 if stimuli[0].is_constant else found.n_timesteps
    fed = b"".join(
        s.at(t).astype(np.uint8).tobytes()
        for s in stimuli
        for t in range(1, n_rows + 1)
    )
    (home / "inputs").write_bytes(fed)
    (home / "host.c").write_text(HOST.format(n_values=len(fed) // len(stimuli)))
    command = [
        "cc",
        "-std=c99",
        "-O3",
        "-march=native",
        "host.c",
        "snn.c",
        "-o",
        "host",
    ]
    subprocess.run(command, cwd=home, check=True)
    told = subprocess.run(
        ["./host", "inputs"], cwd=home, capture_output=True, text=True, check=True
    )
    *lines, seconds = told.stdout.splitlines()
    answers = np.array([list(map(int, line.split())) for line in lines])
    program = CpuProgram(found.network)
    wanted = [
        (int(scores[-1].argmax()), len(scores))
        for _, scores in decide_inputs(
            program, found.network, enumerate(stimuli), topk(betas)
        )
    ]
    assert np.array_equal(answers, wanted), "C answers otherwise than the engine"
    return float(seconds) / len(stimuli), float(answers[:, 1].mean())


def _engine(found: Case, betas: FloatArray, n_inputs: int) -> float:
    """Return seconds of an input with one thread of the engine."""
    program = CpuProgram(found.network)
    assert program.engine is not None
    program.engine.n_threads = 1
    best = np.inf
    for _ in range(3):
        start = time.process_time()
        program.run(found.pool[:n_inputs], betas, is_counted=False)
        best = min(best, time.process_time() - start)
    return float(best) / n_inputs


def _flash(home: Path) -> str:
    if not shutil.which(ARM[0]):
        return "-"
    subprocess.run([*ARM, "-c", "snn.c", "-o", "snn_arm.o"], cwd=home, check=True)
    told = subprocess.run(
        ["arm-none-eabi-size", "snn_arm.o"],
        cwd=home, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return f"{int(told.stdout.splitlines()[1].split()[0]) / 1024:.1f}"


def _instructions(home: Path) -> str:
    """Return how many an input takes on average, in millions; "-": it is too large."""
    if not (shutil.which(ARM[0]) and shutil.which("qemu-system-arm")):
        return "-"
    (home / "board.c").write_text(ON_BOARD)
    done = subprocess.run(
        [
            *ARM, "--specs=rdimon.specs", "-nostartfiles", "-T", BOARD / "mps2.ld",
            "board.c", "snn.c", BOARD / "start.c", "-o", "board.elf",
        ],
        cwd=home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return "-"
    told = subprocess.run(
        [
            "qemu-system-arm", "-M", "mps2-an385", "-nographic", "-icount", "shift=0",
            "-semihosting-config", "enable=on,target=native", "-kernel", "board.elf",
        ],
        cwd=home, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [tuple(map(int, line.split())) for line in told.stdout.splitlines()]
    if any(has_wrapped for _, has_wrapped in lines):
        return "over 671"
    ticks = np.mean([n for n, _ in lines])
    return f"{INSTRUCTIONS_OF_TICK * ticks / 1e6:.2f}"


def main() -> None:
    """Measure every network, then print the table."""
    parser = argparse.ArgumentParser(description="measure networks as C")
    parser.add_argument("names", nargs="+")
    parser.add_argument("--inputs", type=int, default=100)
    parser.add_argument("--data-dir", type=Path, action="append", default=[])
    options = parser.parse_args()
    print(HEAD)
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            found = case(name, options.data_dir)
            rows(name, found, options.inputs, Path(folder))


if __name__ == "__main__":
    main()
