"""installation: what it says of this installation, and of one with faults."""

import sys
from pathlib import Path

import numpy as np
import pytest

from snn_deploy import cli
from snn_deploy.backends.engine import compiled
from snn_deploy.backends.engine.compiled import Engine
from snn_deploy.backends.results import Block
from snn_deploy.chip.target_file import read_target
from snn_deploy.cli import installation
from snn_deploy.cli.installation import Finding, Severity, examine
from snn_deploy.compiler.pipeline import compile_model


def found(what: str) -> list[Finding]:
    return [finding for finding in examine() if finding.what.startswith(what)]


def test_every_way_to_run_is_tested_against_the_reference() -> None:
    tests = found("self-test")

    assert [test.severity for test in tests] == [Severity.FINE] * len(tests)
    for name in compiled.available():
        assert any(test.what.startswith(f"self-test, {name}") for test in tests)


def test_network_of_the_self_test_says_something() -> None:
    network = compile_model(installation._network(), read_target("loihi-sim"))

    counts = installation._reference(network, installation._stimuli(network))[:, -1]

    assert counts.max() > 3
    assert len(np.unique(counts)) > 3


@pytest.mark.skipif(not compiled.available(), reason="the engine is not installed")
def test_engine_that_computes_something_else_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = Engine.run

    def wrong(engine: Engine, *given: object, **named: object) -> Block:
        result = original(engine, *given, **named)  # type: ignore[arg-type]
        result.scores[0, 3:, 1] += 1
        return result

    monkeypatch.setattr(Engine, "run", wrong)
    status = cli.main(["doctor"])

    printed = capsys.readouterr()
    assert status == 1
    assert "9 of 480 outputs differ from the reference" in printed.out
    assert "need to be mended" in printed.err


def test_unknown_instruction_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.VARIABLE, "sse")

    (engine,) = found("engine")

    assert engine.severity is Severity.PROBLEM
    assert "SNN_DEPLOY_ENGINE is 'sse'" in engine.found


def test_numpy_that_serves_for_lack_of_an_engine_is_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "snn_deploy.backends.engine._engine", None)

    (engine,) = found("engine")

    assert engine.severity is Severity.NOTE
    assert "C++ compiler" in engine.advice


def test_missing_lava_is_a_note_that_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "lava"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lava", None)

    finding = installation._lava()

    assert finding.severity is Severity.NOTE
    assert "pip install" in finding.advice


def test_full_disk_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(installation, "ENOUGH_SPACE", 1 << 62)

    assert [disk.severity for disk in installation._disk()] == [Severity.PROBLEM] * 2


def test_command_prints_a_line_for_each_finding(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["doctor"]) == 0

    printed = capsys.readouterr().out
    assert printed.endswith("snn-deploy is in order\n")
    assert "NumPy" in printed
