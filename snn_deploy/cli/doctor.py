"""``snn-deploy doctor``: check the installation."""

import argparse
from typing import Any

from snn_deploy.cli.console import add_json_option
from snn_deploy.errors import BackendError


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "doctor",
        help="check this installation",
        description="Check this installation, run a self-test of a few seconds, and "
        "say what to do about each finding. The exit status is 1 if something is "
        "broken; what is only missing or slower is a note.",
    )
    add_json_option(parser)
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Print what is found, as it is found."""
    from snn_deploy.cli.console import give_json, out
    from snn_deploy.cli.installation import Severity, examine

    n_problems, findings = 0, []
    for finding in examine():
        out(f"{finding.severity.value:8} {finding.what}: {finding.found}")
        if finding.advice:
            out(f"         -> {finding.advice}")
        n_problems += finding.severity is Severity.PROBLEM
        findings.append({**vars(finding), "severity": finding.severity.value})
    give_json(options, {"findings": findings, "n_problems": n_problems})
    if n_problems:
        raise BackendError(
            f"{n_problems} of these need to be mended; follow the arrows above"
        )
    out("snn-deploy is in order")
