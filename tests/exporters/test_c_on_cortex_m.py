"""Networks as C on a Cortex-M: equal there, in QEMU, and as large as was promised."""

import shutil
import subprocess
from pathlib import Path

import pytest

from snn_deploy.exporters.c.folder import Limits, write_c
from tests.exporters.compiled_c import WORDS, Exported, build_checks
from tests.exporters.test_c import drawn

HERE = Path(__file__).parent / "cortex_m"
CC, SIZE, QEMU = "arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"
BOARDS = {"mps2-an385": "cortex-m3", "mps2-an500": "cortex-m7"}
MISSING = [name for name in (CC, QEMU) if not shutil.which(name)]
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} is not here; make tools installs it"
)


def on_board(board: str, networks: list[Exported], folder: Path, level: str) -> str:
    """Return what the folders' checks print on a board; they must all hold."""
    program = build_checks(
        networks, folder, CC, f"-mcpu={BOARDS[board]}", "-mthumb", "-std=c99", level,
        "--specs=rdimon.specs", "-nostartfiles", "-T", HERE / "mps2.ld",
        HERE / "start.c",
    )  # fmt: skip
    done = subprocess.run(
        [
            QEMU, "-M", board, "-nographic", "-semihosting-config",
            "enable=on,target=native", "-kernel", program,
        ],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_random_networks_are_equal_on_a_board(tmp_path: Path) -> None:
    networks = drawn(4)

    told = on_board("mps2-an385", networks, tmp_path, "-Os")

    assert told.count("answers and stops are equal") == len(networks) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("level", ["-O2", "-Os"])
@pytest.mark.parametrize("board", BOARDS)
def test_many_random_networks_are_equal_on_each_board(
    tmp_path: Path, board: str, level: str
) -> None:
    told = on_board(board, drawn(40), tmp_path, level)

    assert told.count("answers and stops are equal") == 40


def test_code_takes_no_more_than_the_limits_count_on(tmp_path: Path) -> None:
    for number, network in enumerate(drawn(6)):
        folder = tmp_path / str(number)
        sizes = write_c(
            network.graph,
            folder,
            decision=network.decision,
            stimuli=list(network.stimuli),
            words=WORDS,
            limits=Limits(),
        )
        command = [CC, "-mcpu=cortex-m3", "-mthumb", "-std=c99", "-Os", "-c", "snn.c"]
        subprocess.run([*command, "-o", "snn.o"], cwd=folder, check=True)
        told = subprocess.run(
            [SIZE, "snn.o"], cwd=folder, capture_output=True, text=True, check=True
        )
        text, data, bss = map(int, told.stdout.splitlines()[1].split()[:3])
        assert text <= sizes.flash
        assert (data, bss) == (0, 0)
