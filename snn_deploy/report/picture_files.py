"""The pictures of a profile as files, for papers and slides."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from snn_deploy.files.writing import text_writer, write_together
from snn_deploy.profile.closeups import Closeups
from snn_deploy.profile.loads import loads_of
from snn_deploy.profile.profile import Profile
from snn_deploy.report.closeups import drawing
from snn_deploy.report.colors import LIGHT, drawing_style
from snn_deploy.report.map_picture import map_file
from snn_deploy.report.pictures import DRAWN, as_svg

NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'


def write_pictures(profile: Profile, closeups: Closeups, folder: Path) -> list[Path]:
    """Write the report's pictures as SVG into ``pictures`` of a profile's folder.

    Those of an earlier profile are gone.
    """
    folder = folder / "pictures"
    found = dict(_pictures(profile, closeups))
    folder.mkdir(parents=True, exist_ok=True)
    write_together(folder, {name: text_writer(text) for name, text in found.items()})
    for path in folder.glob("*.svg"):
        if path.name not in found:
            path.unlink()
    return [folder / name for name in found]


def _pictures(profile: Profile, closeups: Closeups) -> Iterator[tuple[str, str]]:
    rows, network = profile.rows, profile.artifact.network
    if profile.has_cutoff:
        yield "timesteps.svg", _alone(as_svg("timesteps", profile, LIGHT))
    if len(profile.accuracy_at):
        yield "accuracy.svg", _alone(as_svg("accuracy", profile, LIGHT))
    if not all(np.isnan(rows.part(part)).all() for part in DRAWN):
        yield "energy_parts.svg", _alone(as_svg("parts", profile, LIGHT))
        yield "energy_inputs.svg", _alone(as_svg("spread", profile, LIGHT))
    yield "map.svg", map_file(network, loads_of(profile))
    for closeup in closeups.inputs:
        index = rows[closeup.position].index
        yield f"input-{index}.svg", _alone(drawing(profile, closeup))


def _alone(svg: str) -> str:
    """Return a drawing as a file, with what the page's style sheet says of it."""
    style = drawing_style(LIGHT)
    if NAMESPACE not in svg:
        svg = svg.replace("<svg", f"<svg {NAMESPACE}", 1)
    svg = re.sub(r"(<svg[^>]*>)", rf"\1<style>{style}</style>", svg, count=1)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n'
