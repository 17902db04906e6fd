"""The report as one HTML page that needs nothing else: no script, no other file."""

from pathlib import Path
from typing import Any

from snn_deploy.profile.profile import Profile
from snn_deploy.report.chip import network_on_chip
from snn_deploy.report.costs import costs, notable_inputs
from snn_deploy.report.figures import figures
from snn_deploy.report.headline import headline
from snn_deploy.report.markup import Html, element
from snn_deploy.report.sources import how_known
from snn_deploy.report.verification import verification_section
from snn_deploy.report.winners import winners
from snn_deploy.verify.result import Verification

# whatever slips into the page, the browser fetches and runs nothing
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(
    profile: Profile,
    summary: dict[str, Any],
    verification: Verification | None = None,
) -> str:
    """Return the page for ``profile`` and its ``summarize``d numbers."""
    verified = [] if verification is None else [verification_section(verification)]
    network = profile.artifact.network
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{summary['network']} on {summary['target']}: profile"),
        element("style", _style()),
    )
    body = element(
        "body",
        element(
            "main",
            headline(profile, summary),
            winners(summary),
            figures(profile, summary),
            costs(summary),
            notable_inputs(profile),
            *verified,
            network_on_chip(network),
            how_known(network.target, summary),
        ),
        _footer(profile, summary),
    )
    page = element("html", head, body, lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _style() -> Html:
    return Html(Path(__file__).with_name("page.css").read_text(encoding="utf-8"))


def _footer(profile: Profile, summary: dict[str, Any]) -> Html:
    lines = [
        f"snn-deploy {summary['program']}; network sha256 {profile.artifact.sha256}"
    ]
    calibration = profile.artifact.calibration
    if calibration is not None:
        lines.append(f"calibration inputs sha256 {calibration.inputs_sha256}")
    return element("footer", *(element("p", line) for line in lines))
