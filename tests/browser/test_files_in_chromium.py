"""The buttons of the report in a real browser: what they give is what Python writes."""

import struct
import time
from pathlib import Path
from xml.etree.ElementTree import canonicalize

import pytest

from snn_deploy.profile.summary import summarize
from snn_deploy.report.html import render
from snn_deploy.report.picture_files import write_pictures
from tests.browser.chromium import Page
from tests.report.closeups import closeups
from tests.report.profiles import profile

MOST_SECONDS = 60.0
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def written(folder: Path) -> Path:
    """Return a folder with a report, and ``pictures/`` that Python writes of it."""
    found = profile()
    page = render(found, summarize(found), closeups=closeups(n_close=1))
    (folder / "report.html").write_text(page, encoding="utf-8")
    write_pictures(page, found, folder / "pictures")
    return folder


def taken(browser: Page, names: list[str], folder: Path) -> None:
    """Press the buttons of these files, and wait until they lie in a folder."""
    where = {"behavior": "allow", "downloadPath": str(folder)}
    browser.send("Page.setDownloadBehavior", **where)
    for name in names:
        browser.evaluate(f"document.querySelector('[data-file=\"{name}\"]').click()")
        end = time.monotonic() + MOST_SECONDS
        while not (folder / name).is_file() or not (folder / name).stat().st_size:
            assert time.monotonic() < end, f"{name} does not come"
            time.sleep(0.01)


def assert_same(names: list[str], folder: Path, written: Path) -> None:
    for name in names:
        path = folder / name
        if path.suffix == ".png":
            assert path.read_bytes()[:8] == PNG
            assert struct.unpack(">I", path.read_bytes()[16:20])[0] > 400
        elif path.suffix == ".csv":
            assert path.read_bytes() == (written / name).read_bytes(), name
        elif name != "map.svg":  # in the color that is chosen; the file has all
            mine, other = (
                canonicalize((where / name).read_text(encoding="utf-8"))
                for where in (folder, written)
            )
            assert mine == other, name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_files_are_those_of_python(
    browser: Page, written: Path, tmp_path: Path, theme: str
) -> None:
    browser.open(written / "report.html", theme=theme)
    names = ["accuracy.svg", "input-0.svg", "schedules.csv", "map.svg", "map.png"]

    taken(browser, names, tmp_path)

    assert_same(names, tmp_path, written / "pictures")
    assert 'fill="rgb(31, 119, 180)"' in (tmp_path / "map.svg").read_text()
    assert browser.errors == []


def test_the_table_of_inputs_is_taken_as_it_is_shown(
    browser: Page, written: Path, tmp_path: Path
) -> None:
    browser.open(written / "report.html")
    browser.click("input[value=wrong]")

    taken(browser, ["inputs.csv"], tmp_path)

    shown = (tmp_path / "inputs.csv").read_text(encoding="utf-8").splitlines()
    every = (written / "pictures" / "inputs.csv").read_text("utf-8").splitlines()
    assert shown == [every[0], every[30]]  # the last one is wrong


@pytest.mark.slow
def test_every_button_gives_its_file(
    browser: Page, written: Path, tmp_path: Path
) -> None:
    browser.open(written / "report.html")
    names: list[str] = browser.evaluate(
        "[...document.querySelectorAll('.take button')].map(b => b.dataset.file)"
    )
    names.remove("inputs.csv")  # in the order of the table

    # a page may give ten files before Chromium asks whether it may give more
    for start in range(0, len(names), 8):
        browser.open(written / "report.html")
        taken(browser, names[start : start + 8], tmp_path)

    assert len(names) > 40
    assert_same(names, tmp_path, written / "pictures")
    assert browser.errors == []
