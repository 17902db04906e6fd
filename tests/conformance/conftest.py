"""Prints how much was compared, and draws more networks with ``--run-slow``."""

import pytest

from tests.conformance.tally import TALLY


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--run-slow"):
        TALLY.share = 10


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLY.lines():
        terminalreporter.section("networks drawn and compared")
        for line in TALLY.lines():
            terminalreporter.write_line(line)
