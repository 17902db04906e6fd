"""How long the command line takes to answer."""

import subprocess
import sys
import time
from statistics import median

COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "import snn_deploy": ("-c", "import snn_deploy"),
    "snn-deploy --version": ("-m", "snn_deploy", "--version"),
    "snn-deploy --help": ("-m", "snn_deploy", "--help"),
}


def startup_ms(repeats: int) -> dict[str, dict[str, float]]:
    """Return the shortest and the median wall time of each command [ms]."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL
            )
            times[name].append(1e3 * (time.perf_counter() - start))
    return {
        name: {"least": min(found), "median": median(found)}
        for name, found in times.items()
    }
