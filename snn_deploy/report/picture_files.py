"""The figures and tables of a report as files, for papers and slides."""

import json
import re
from collections.abc import Iterator
from functools import partial
from html import unescape
from pathlib import Path

from snn_deploy.files.writing import Writer, text_writer, write_together
from snn_deploy.profile.loads import loads_of
from snn_deploy.profile.profile import Profile
from snn_deploy.report.colors import IN_PAGE, LIGHT, drawing_style
from snn_deploy.report.exhibits import csv_text
from snn_deploy.report.map_picture import map_file
from snn_deploy.report.pictures import PICTURES, lacks, write_png

NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
MAP = "map.svg"  # of the page: in one of several colors, which the file has all
DRAWINGS = re.compile(
    r'<button type="button" data-file="([^"]+\.svg)".*?(<svg\b.*?</svg>)', re.DOTALL
)
TABLES = re.compile(r'data-file="([^"]+\.csv)"[^>]*? data-text="([^"]*)"')
INPUTS = re.compile(r'<script type="application/json" id="data">(.*?)</script>')
CLOSE = re.compile(r"input-\d+\.(svg|csv)")
SIZE = re.compile(r'viewBox="\S+ \S+ (\S+) (\S+)"')


def write_pictures(page: str, profile: Profile, folder: Path) -> list[Path]:
    """Write what the buttons of a report give into a folder; return the files.

    Each figure is there as SVG, those that matplotlib draws as PNG, too, and each
    figure and table as CSV. Inputs up close of an earlier report are gone.

    Parameters
    ----------
    page : str
        The report.
    profile : Profile
        What it shows.
    folder : Path
    """
    texts = {**dict(_drawings(page)), **dict(_tables(page))}
    network = profile.artifact.network
    texts[MAP] = map_file(network, loads_of(profile))
    writers: dict[str, Writer] = {
        name: text_writer(text) for name, text in texts.items()
    }
    for name in PICTURES:
        if not lacks(name, profile):
            writers[f"{PICTURES[name].file}.png"] = partial(write_png, name, profile)
    folder.mkdir(parents=True, exist_ok=True)
    write_together(folder, writers)
    for path in folder.iterdir():
        if CLOSE.fullmatch(path.name) and path.name not in writers:
            path.unlink()
    return [folder / name for name in writers]


def _drawings(page: str) -> Iterator[tuple[str, str]]:
    for name, drawing in DRAWINGS.findall(page):
        if name != MAP:
            yield name, _alone(drawing)


def _tables(page: str) -> Iterator[tuple[str, str]]:
    for name, text in TABLES.findall(page):
        yield name, unescape(text)
    found = INPUTS.search(page)
    assert found is not None
    columns = json.loads(found[1])["columns"]
    cells = [
        [column["words"][v] if column["words"] else v for v in column["values"]]
        for column in columns
    ]
    rows = [["" if v is None else v for v in row] for row in zip(*cells, strict=True)]
    yield "inputs.csv", csv_text([column["head"] for column in columns], rows)


def _alone(svg: str) -> str:
    """Return a drawing as a file, with what the page's style sheet says of it."""
    for role, variable in IN_PAGE.items():
        svg = svg.replace(variable, LIGHT[role])
    size = SIZE.search(svg)
    assert size is not None
    wide = f'<svg width="{size[1]}" height="{size[2]}"'
    if NAMESPACE not in svg:
        wide = wide.replace("<svg", f"<svg {NAMESPACE}")
    svg = svg.replace("<svg", wide, 1)
    style = f"<style>{drawing_style(LIGHT)}</style>"
    svg = re.sub(r"(<svg[^>]*>)", lambda start: f"{start[1]}{style}", svg, count=1)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n'
