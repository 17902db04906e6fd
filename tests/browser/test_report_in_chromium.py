"""The report in a real browser: its content is there, and everybody can read it."""

from pathlib import Path

import numpy as np
import pytest

from snn_deploy.arrays import IntArray
from tests.browser.chromium import Page, violations
from tests.report.profiles import CASES, page, profile, without_cutoff

THEMES = ("light", "dark")
# what lies beside the window, of the page as a whole
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def report(folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text(page(profile()), encoding="utf-8")
    return path


def test_content_is_there(browser: Page, report: Path) -> None:
    browser.open(report)

    words = " ".join(browser.evaluate("document.body.innerText").split())
    assert "takes 2 of 6 timesteps on average" in words
    assert "Accuracy against timesteps" in words
    assert "cutoff: 96.7 % at 2" in words
    assert "Neurocores in use: 1 of 128" in words
    assert browser.errors == []


def test_page_without_cutoff_is_drawn(browser: Page, folder: Path) -> None:
    path = folder / "plain.html"
    path.write_text(page(without_cutoff()), encoding="utf-8")

    browser.open(path)

    assert browser.evaluate("document.querySelectorAll('#pictures svg').length") == 6
    words = browser.evaluate("document.body.innerText")
    assert "Without a cutoff every input takes all 6 timesteps" in words


@pytest.mark.parametrize("case", CASES)
def test_every_plot_is_drawn(browser: Page, folder: Path, case: str) -> None:
    path = folder / f"{case}.html"
    path.write_text(page(CASES[case]), encoding="utf-8")

    browser.open(path)

    empty = browser.evaluate("""
        [...document.querySelectorAll("svg")].filter(svg => {
          const box = svg.getBoundingClientRect()
          const n = svg.querySelectorAll("path, rect, use").length
          return box.width < 20 || box.height < 20 || n < 1
        }).length""")
    assert empty == 0
    assert browser.errors == []


def test_dark_and_light_are_readable(browser: Page, report: Path, folder: Path) -> None:
    light, dark = (_screenshot(browser, report, folder, theme) for theme in THEMES)

    assert np.median(light) > 240
    assert np.median(dark) < 40
    for pixels in (light, dark):
        assert len(np.unique(pixels @ [1, 256, 65536])) > 50
        ink = np.abs(pixels - np.median(pixels)).max(axis=-1) > 100
        assert 0.005 < ink.mean() < 0.5


@pytest.mark.parametrize("width", [320, 400, 700, 1280])
def test_page_is_as_wide_as_its_window(width: int, browser: Page, report: Path) -> None:
    browser.open(report, width=width)

    assert browser.evaluate(OVERFLOW) == 0


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_no_violation(
    browser: Page, report: Path, theme: str, width: int
) -> None:
    browser.open(report, theme=theme, width=width)
    browser.send("Page.setBypassCSP", enabled=True)

    assert violations(browser) == []


def test_the_map_changes_its_colors_by_click_and_by_key(
    browser: Page, report: Path
) -> None:
    color = "getComputedStyle(document.querySelector('.map .core')).fill"
    legends = """[...document.querySelectorAll(".map .legend")]
        .filter(legend => getComputedStyle(legend).display !== "none")
        .map(legend => legend.getAttribute("class"))"""
    browser.open(report)
    by_layer = browser.evaluate(color)

    browser.click(".map [value=use]")

    assert browser.evaluate(color) != by_layer
    assert browser.evaluate(legends) == ["legend use"]
    browser.press("ArrowRight")
    assert browser.evaluate(legends) == ["legend traffic"]


def test_the_navigation_stays_and_says_what_is_read(
    browser: Page, report: Path
) -> None:
    browser.open(report)

    browser.click("nav a[href='#what-an-input-costs']")

    current = """new Promise(done => {
      const found = () => document.querySelector("nav [aria-current]")
      const look = () => found() ? done(found().innerText) : setTimeout(look, 20)
      look()
    })"""
    assert browser.evaluate(current) == "What an input costs"
    top = "document.querySelector('nav').getBoundingClientRect().top"
    assert browser.evaluate("scrollY") > 1000
    assert browser.evaluate(top) == 0


def test_errors_of_a_page_are_heard(browser: Page, folder: Path) -> None:
    path = folder / "broken.html"
    path.write_text("<script>console.error(7); nobody.knows()</script>")

    browser.open(path)

    assert len(browser.errors) == 2
    browser.errors.clear()


def _screenshot(browser: Page, report: Path, folder: Path, theme: str) -> IntArray:
    from matplotlib.image import imread

    browser.open(report, theme=theme)
    browser.screenshot(folder / f"{theme}.png")
    pixels: IntArray = np.rint(255 * imread(folder / f"{theme}.png")[..., :3])
    return pixels.astype(np.int64)
