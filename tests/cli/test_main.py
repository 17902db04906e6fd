import argparse
import subprocess
import sys

import pytest

from snn_deploy import __version__
from tests.cli.conftest import Command

COMMANDS = [
    "compile",
    "calibrate",
    "run",
    "profile",
    "inspect",
    "targets",
    "train",
    "demo",
]


def test_the_version_is_printed(command: Command) -> None:
    result = command("--version")

    assert (result.status, result.out) == (0, f"snn-deploy {__version__}\n")


def test_help_lists_every_command(command: Command) -> None:
    result = command("--help")

    assert result.status == 0
    for name in COMMANDS:
        assert f"\n  {name:10} " in result.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(command: Command, name: str) -> None:
    result = command(name, "--help")

    assert result.status == 0
    assert result.out.startswith(f"usage: snn-deploy {name} ")


@pytest.mark.parametrize(
    "line",
    [
        "compil",
        "compile",
        "compile model.pt --target loihi2 --timesteps 0",
        "compile model.pt --target loihi2 --timesteps eight",
        "compile model.pt --target loihi2 --optimise",
        "calibrate model.snn",
        "calibrate model.snn --data x.npz --rule best",
        "calibrate model.snn --data x.npz --budget small",
        "run model.snn --data x.npz --index first",
        "run model.snn --data x.npz --backend gpu",
        "profile model.snn --data x.npz --limit 0",
        "profile model.snn --data x.npz --cross-check -1",
        "targets --prices",
    ],
)
def test_a_wrong_command_line_gives_status_2_and_the_usage(
    command: Command, line: str
) -> None:
    result = command(*line.split())

    assert result.status == 2
    assert result.out == ""
    assert result.err.startswith("usage: snn-deploy")
    assert "error: " in result.err


@pytest.mark.parametrize(
    ("line", "usage", "hint"),
    [
        ("compile m.pt --target loihi2 --optimise cores", "compile", "--optimize"),
        ("sweep s.toml --worker=2 --schedular=x", "sweep", "--scheduler"),
        ("targets --prices", "targets", ""),
    ],
)
def test_an_unknown_option_gives_the_usage_of_its_command(
    command: Command, line: str, usage: str, hint: str
) -> None:
    result = command(*line.split())

    assert result.status == 2
    assert result.err.startswith(f"usage: snn-deploy {usage} ")
    assert "unrecognized arguments: --" in result.err
    assert result.err.endswith(f"; did you mean {hint}?\n" if hint else "--prices\n")


def test_targets_lists_the_chips(command: Command) -> None:
    result = command("targets")

    assert result.status == 0
    for text in ("loihi-sim", "loihi1", "loihi2", "8192", "1024", "soft reset"):
        assert text in result.out


def test_the_program_gives_its_status_to_the_shell() -> None:
    program = [sys.executable, "-m", "snn_deploy"]

    done = subprocess.run([*program, "targets"], capture_output=True, text=True)
    failed = subprocess.run(
        [*program, "inspect", "missing.snn"], capture_output=True, text=True
    )

    assert done.returncode == 0
    assert failed.returncode == 1
    assert failed.stderr == "error: missing.snn: no such file; check the path\n"


def test_a_full_disk_behind_standard_output_is_an_error() -> None:
    with open("/dev/full", "w") as full:
        failed = subprocess.run(
            [sys.executable, "-m", "snn_deploy", "targets"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert failed.returncode == 1
    assert failed.stderr.startswith("error: standard output: No space left on device")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    line = f"{sys.executable} -m snn_deploy targets | head -n 1"

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True
    )

    assert done.stderr == ""
    assert done.stdout.startswith("targets")


def test_ctrl_c_while_the_command_line_is_read_is_told_in_a_word(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)

    result = command("calibrate", "model.snn", "--data", "x.npz")

    assert (result.status, result.err) == (130, "interrupted\n")
