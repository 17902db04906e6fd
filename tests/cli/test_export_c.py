"""``snn-deploy export-c``: a folder that needs a compiler only, and its limits."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from snn_deploy.artifact import read_artifact
from snn_deploy.data.data import read_data
from snn_deploy.front.exporting import decision_of
from tests.cli.conftest import Command
from tests.exporters.compiled_c import (
    CHECKED,
    COMPILERS,
    Exported,
    assert_equal,
    build,
    engine_gives,
    run,
)

needs_compiler = pytest.mark.skipif(
    not COMPILERS or not shutil.which("make"), reason="no C compiler, or no make"
)


def checked(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Compile a folder's own check and run it, as its README says."""
    command = ["make", "-s", "check", f"CC={COMPILERS[0]}"]
    command += [f"CFLAGS={' '.join(options)}"] * bool(options)
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )


@needs_compiler
def test_digits_give_what_the_engine_gives_and_the_folder_checks_itself(
    tmp_path: Path, home: Path, command: Command
) -> None:
    out = tmp_path / "made" / "out"
    options = ("--data", home / "test.npz", "--inputs", 4)

    told = command(
        "export-c", home / "model.snn", "-o", out, *options, "--flash", "256k",
        "--ram", "64K",
    )  # fmt: skip

    assert told.status == 0, told.err
    assert re.match(r"[\d,]+ bytes of tables and at most about", told.out)
    assert checked(out, "-O1", *CHECKED).stdout.startswith("4 inputs: outputs and")
    artifact = read_artifact(home / "model.snn")
    graph = artifact.network.graph
    data = read_data(home / "test.npz", graph.source.shape, graph.training)
    network = Exported(
        graph=graph,
        stimuli=[data.stimulus(i) for i in range(len(data))],
        decision=decision_of(artifact.calibration, graph.training.timesteps),
    )
    (found,) = run(build([network], tmp_path, COMPILERS[0], "-O1"), [network])
    assert_equal(found, engine_gives(network), "mnist_lif")
    assert (found.timesteps < graph.training.timesteps).any()


@needs_compiler
def test_the_check_finds_one_wrong_bias(
    tmp_path: Path, home: Path, command: Command
) -> None:
    assert command("export-c", home / "plain.snn", "-o", tmp_path).status == 0
    weights = tmp_path / "snn_weights.h"
    lines = weights.read_text().splitlines()
    row = next(i for i, line in enumerate(lines) if "11_sum_bias[" in line) + 1
    lines[row] = re.sub(r"-?\d+", "99", lines[row], count=1)
    weights.write_text("\n".join(lines))

    done = checked(tmp_path)

    assert done.returncode != 0
    assert "outputs or spikes differ at timestep" in done.stdout


def test_a_network_that_is_too_large_leaves_the_folder_as_it_was(
    tmp_path: Path, home: Path, command: Command
) -> None:
    (tmp_path / "snn.c").write_text("mine")

    error = command(
        "export-c", home / "plain.snn", "-o", tmp_path, "--flash", "32k"
    ).error()

    assert re.match(
        r"mnist_lif: needs [\d,]+ bytes of flash, 32,768 are allowed; use a larger "
        r"processor, or make smaller what takes most: 8->11_sum#0 23,040 bytes",
        error,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["snn.c"]
    assert (tmp_path / "snn.c").read_text() == "mine"


@pytest.mark.parametrize("size", ["-1", "much", "1.5k", "64kk"])
def test_what_is_no_size_is_told(size: str, command: Command) -> None:
    told = command("export-c", "net.snn", "-o", "out", f"--ram={size}")

    assert told.status == 2
    assert "is no size; write it like 65536, 64k or 2M" in told.err
