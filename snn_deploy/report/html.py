"""The report as one HTML page: no other file, and it can be read without its script."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone
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
from snn_deploy.report.markup import Html, element, navigation, together
from snn_deploy.report.sources import how_known
from snn_deploy.report.sprite import Sprite, sprite
from snn_deploy.report.verification import verification_section
from snn_deploy.verify.result import Verification

# whatever slips into the page, the browser fetches nothing and runs this script only
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src "


@dataclass(frozen=True, kw_only=True)
class Origin:
    """When a report was made, and by which command."""

    date: datetime
    command: str = ""  # none: it was made in Python

    @classmethod
    def now(cls, command: str = "") -> "Origin":
        """Return the origin of what is made now."""
        return cls(date=datetime.now(timezone.utc), command=command)


def render(
    profile: Profile,
    summary: dict[str, Any],
    verification: Verification | None = None,
    closeups: Closeups | None = None,
    origin: Origin | None = None,
) -> str:
    """Return the page for ``profile`` and its ``summarize``d numbers.

    Its foot says when and how it came to be, if ``origin`` is known.
    """
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
    sections = together(
        [
            winners(summary),
            figures(profile, summary),
            inputs(profile, pictures, close),
            *detailed,
            costs(summary),
            comparisons(summary),
            *verified,
            network_on_chip(network, loads_of(profile)),
            how_known(network.target, summary),
        ]
    )
    body = element(
        "body",
        element("a", "To the content", href="#content", class_="skip"),
        navigation(sections),
        element("main", headline(profile, summary), sections, id="content"),
        _footer(profile, summary, origin),
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


def _footer(profile: Profile, summary: dict[str, Any], origin: Origin | None) -> Html:
    lines: list[object] = [
        f"snn-deploy {summary['program']}; network sha256 {profile.artifact.sha256}"
    ]
    if origin is not None:
        lines.insert(0, f"Made {origin.date:%Y-%m-%d %H:%M} UTC")
        if origin.command:
            lines.insert(1, element("code", origin.command))
    calibration = profile.artifact.calibration
    if calibration is not None:
        lines.append(f"calibration inputs sha256 {calibration.inputs_sha256}")
    return element("footer", *(element("p", line) for line in lines))
