"""The report as one HTML page: no other file, and it can be read without its script."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from snn_deploy.profile.closeups import Closeups
from snn_deploy.profile.loads import loads_of
from snn_deploy.profile.profile import Profile
from snn_deploy.report.chip import network_on_chip
from snn_deploy.report.closeups import closeups as up_close
from snn_deploy.report.colors import IN_PAGE, drawing_style, page_colors
from snn_deploy.report.comparisons import comparisons, winners
from snn_deploy.report.costs import costs
from snn_deploy.report.figures import figures
from snn_deploy.report.headline import headline
from snn_deploy.report.inputs import inputs
from snn_deploy.report.markup import Html, element
from snn_deploy.report.sources import how_known
from snn_deploy.report.sprite import Sprite, sprite
from snn_deploy.report.verification import verification_section
from snn_deploy.verify.result import Verification

# whatever slips into the page, the browser fetches nothing and runs this script only
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src "


def render(
    profile: Profile,
    summary: dict[str, Any],
    verification: Verification | None = None,
    closeups: Closeups | None = None,
) -> str:
    """Return the page for ``profile`` and its ``summarize``d numbers."""
    pictures = sprite(closeups)
    close = frozenset(c.position for c in closeups.inputs) if closeups else frozenset()
    detailed = [] if closeups is None else [up_close(profile, closeups, pictures)]
    script = _file("page.js")
    verified = [] if verification is None else [verification_section(verification)]
    network = profile.artifact.network
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element(
            "meta", http_equiv="Content-Security-Policy", content=POLICY + _hash(script)
        ),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{summary['network']} on {summary['target']}: profile"),
        element("style", _style(pictures)),
    )
    body = element(
        "body",
        element(
            "main",
            headline(profile, summary),
            winners(summary),
            figures(profile, summary),
            inputs(profile, pictures, close),
            *detailed,
            costs(summary),
            comparisons(summary),
            *verified,
            network_on_chip(network, loads_of(profile)),
            how_known(network.target, summary),
        ),
        _footer(profile, summary),
        element("script", script),
    )
    page = element("html", head, body, lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _style(pictures: Sprite) -> Html:
    sheets = (page_colors(), _file("page.css"), drawing_style(IN_PAGE), pictures.style)
    return Html("".join(sheets))


def _file(name: str) -> Html:
    return Html(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _footer(profile: Profile, summary: dict[str, Any]) -> Html:
    lines = [
        f"snn-deploy {summary['program']}; network sha256 {profile.artifact.sha256}"
    ]
    calibration = profile.artifact.calibration
    if calibration is not None:
        lines.append(f"calibration inputs sha256 {calibration.inputs_sha256}")
    return element("footer", *(element("p", line) for line in lines))
