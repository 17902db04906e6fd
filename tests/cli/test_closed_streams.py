"""Streams as daemons have them, texts of strangers, and faults nobody has foreseen."""

import csv
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.cli import inspect
from snn_deploy.cli.console import note, out, show_table
from snn_deploy.names import cell
from snn_deploy.profile.detail import COLUMNS, Detail
from snn_deploy.profile.tables import write_detail
from snn_deploy.report.markup import element
from tests.cli.conftest import Command

HOSTILE = "a\x1b[31mb\x1b]0;t\x07\u202ec\x9bd"
PROGRAM = f"{sys.executable} -m snn_deploy"


def shell(line: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_command_works_without_its_streams(closed: str) -> None:
    done = shell(f"{PROGRAM} targets {closed}")

    assert (done.returncode, done.stderr) == (0, b"")


def test_an_error_is_no_line_of_the_results() -> None:
    failed = shell(f"{PROGRAM} inspect missing.snn 2>&-")

    assert (failed.returncode, failed.stdout) == (1, b"")


def test_nothing_arrives_through_a_closed_standard_input(home: Path) -> None:
    served = shell(f"{PROGRAM} serve {home / 'model.snn'} --data - <&-")

    assert served.returncode == 0
    assert b"served 0 inputs" in served.stderr


def test_what_a_terminal_cannot_print_is_printed_otherwise() -> None:
    script = (
        "from snn_deploy import cli\n"
        "from snn_deploy.cli import targets\n"
        "targets.add_to = lambda c: c.add_parser('targets').set_defaults(\n"
        "    call=lambda o: print('\\u2713 \\ud800'))\n"
        "raise SystemExit(cli.main(['targets']))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )

    assert (done.returncode, done.stdout) == (0, b"\\u2713 \\ud800\n")


def test_nothing_printed_steers_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out(f"{HOSTILE}\nsecond line")
    note(HOSTILE)
    show_table(HOSTILE, ("layer", "n"), [(HOSTILE, 1)])

    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert all(c.isprintable() or c == "\n" for c in text), text
        assert "a\\x1b[31mb" in text
    assert "\nsecond line\n" in printed.out


def test_an_error_does_not_steer_the_terminal(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    arrays: dict[str, Any] = {HOSTILE: np.zeros(1)}
    np.savez(path, **arrays)

    failed = command("calibrate", tmp_path / HOSTILE, "--data", path)

    assert failed.status == 1
    assert failed.err.rstrip("\n").isprintable()


def test_markup_is_xml_whatever_its_texts_hold() -> None:
    found = element("text", f"{HOSTILE}\0\ud800\uffff", title=f"{HOSTILE}\0\ud800")

    text = ElementTree.fromstring(found)

    assert text.text is not None
    assert "\x1b" not in text.text + text.attrib["title"]
    found.encode("utf-8")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0"])
def test_no_cell_of_a_table_is_a_formula(tmp_path: Path, text: str) -> None:
    assert cell(text) == f"'{text}"
    assert cell("conv1 = 1") == "conv1 = 1"
    values: dict[str, list[object]] = {name: [1] for name in COLUMNS}

    class Found(Detail):
        graph_sha256, input_name, input_spikes = "", "input", 0.0

        def columns(self) -> dict[str, list[object]]:
            return {**values, "layer": [text]}

    write_detail(Found.__new__(Found), tmp_path / "d.csv", form="csv")

    with (tmp_path / "d.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["layer"] == f"'{text}"


def broken(options: object) -> None:
    raise RuntimeError("first\nsecond \x1b[31m")


def test_a_fault_of_the_program_is_one_line_with_what_to_report(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect, "show_graph", broken)
    monkeypatch.setattr(inspect, "read_model", lambda path, options: None)

    message = command("inspect", "model.pt").error()

    assert message.startswith("a fault of snn-deploy 0.")
    assert "(RuntimeError: first second \\x1b[31m; cli/inspect.py, line " in message
    assert "please report it with the command line" in message
    for line in (("--debug", "inspect", "m.pt"), ("inspect", "m.pt", "--debug")):
        with pytest.raises(RuntimeError, match="first"):
            command(*line)


def test_a_memory_that_does_not_suffice_is_said(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: object, options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(inspect, "read_model", full)

    message = command("inspect", "model.pt").error()

    assert message.startswith("the memory does not suffice; ")
