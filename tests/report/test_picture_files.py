"""picture_files: what the buttons of a report give, as files that stand alone."""

import csv
import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from snn_deploy.profile.profile import Profile
from snn_deploy.profile.summary import summarize
from snn_deploy.report.html import render
from snn_deploy.report.picture_files import write_pictures
from tests.report.closeups import closeups
from tests.report.profiles import CASES, without_cutoff

SVG = "{http://www.w3.org/2000/svg}"
CLOSE = ["input-0", "input-10", "input-20", "layers", "map", "activity"]
FOUND = CASES["cutoff"]
ENERGY = ["energy_inputs", "energy_parts"]


@cache
def page(found: Profile) -> str:
    return render(found, summarize(found), closeups=closeups())


def written(found: Profile, folder: Path) -> list[str]:
    write_pictures(page(found), found, folder)
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of ``FOUND``."""
    path = tmp_path_factory.mktemp("pictures")
    write_pictures(page(FOUND), FOUND, path)
    return path


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (FOUND, ["accuracy", "classes", "front", *ENERGY, "timesteps"]),
        (CASES["no cutoff"], ["accuracy", "classes", "front", *ENERGY]),
        (CASES["no labels"], [*ENERGY, "timesteps"]),
        (CASES["no prices"], ["accuracy", "classes", "timesteps"]),
    ],
)
def test_what_the_report_shows_is_written(
    found: Profile, names: list[str], tmp_path: Path
) -> None:
    files = written(found, tmp_path)

    drawn = {name[:-4] for name in files if name.endswith(".svg")}
    assert drawn == {*names, *CLOSE}
    assert drawn <= {name[:-4] for name in files if name.endswith(".csv")}
    bitmaps = {name[:-4] for name in files if name.endswith(".png")}
    assert bitmaps == {*names, "activity"}
    buttons = {*re.findall('data-file="([^"]+)"', page(found))}
    assert {name for name in buttons if not name.endswith(".png")} <= {*files}


def test_each_name_is_given_once() -> None:
    names = re.findall('data-file="([^"]+)"', page(FOUND))

    assert len(names) == len({*names}) > 40


def test_files_need_no_style_sheet(folder: Path) -> None:
    for path in folder.glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)

        assert root.tag == f"{SVG}svg"
        assert float(root.get("width", "")) > 0
        assert len(list(root.iter(f"{SVG}path"))) > 0
        assert "var(--" not in text
    assert "#0068a8" in (folder / "timesteps.svg").read_text(encoding="utf-8")


def test_bitmaps_are_fit_for_print(folder: Path) -> None:
    from matplotlib.image import imread

    pixels = imread(folder / "accuracy.png")
    assert pixels.shape[1] > 1200
    assert pixels[0, 0, :3] == pytest.approx(1)  # white


def test_tables_hold_the_rows_of_the_profile(folder: Path) -> None:
    def read(name: str) -> list[dict[str, str]]:
        with (folder / name).open(encoding="utf-8") as file:
            return [*csv.DictReader(file)]

    energies = 1e6 * FOUND.rows.energy()
    inputs = read("inputs.csv")
    assert [float(r["energy [µJ]"]) for r in inputs] == pytest.approx(energies, 1e-4)
    assert [r["result"] for r in inputs[-2:]] == ["right", "lost by stopping"]
    curve = read("accuracy.csv")
    assert [float(r["accuracy"]) for r in curve] == pytest.approx(FOUND.accuracy_at)
    schedules = {r["schedule"]: r for r in read("schedules.csv")}
    best = schedules["with cutoff, one by one"]
    assert float(best["energy up to the board, modelled [J]"]) == pytest.approx(2e-5)
    steps = [(int(r["timesteps"]), int(r["inputs"])) for r in read("timesteps.csv")]
    assert steps == [(1, 10), (2, 10), (3, 10)]


def test_inputs_of_an_earlier_profile_are_gone_and_nothing_else(tmp_path: Path) -> None:
    for name in ("input-77.svg", "input-77.csv", "notes.txt", "mine.svg"):
        (tmp_path / name).write_text("old")

    names = written(without_cutoff(accuracy_at=np.zeros(0)), tmp_path)

    assert not {"input-77.svg", "input-77.csv"} & {*names}
    assert {"notes.txt", "mine.svg", "input-10.svg"} <= {*names}
