"""The report in a real browser: its content is there, and it is not blank."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snn_deploy.arrays import IntArray
from tests.report.profiles import page, profile, without_cutoff

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",  # as root there is none
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
DARK = "--blink-settings=preferredColorScheme=0"
# a page as narrow as a telephone, which a window cannot be, and how far it overflows
FRAME = """<!DOCTYPE html><body style="margin:0"><iframe src="report.html" style="
border:0; width:{width}px; height:900px"></iframe><script>
onload = () => {{
  const page = document.querySelector("iframe").contentDocument.documentElement
  document.body.dataset.overflow = page.scrollWidth - page.clientWidth
}}</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")

Browser = Callable[..., str]


@pytest.fixture
def browse(tmp_path: Path) -> Browser:
    """Return a function that opens a file in a new browser and gives what it prints."""

    def run(path: Path, *flags: str) -> str:
        assert CHROMIUM is not None
        own = f"--user-data-dir={tmp_path / 'profile'}"
        command = (CHROMIUM, *FLAGS, own, *flags, path.as_uri())
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=True
        )
        return done.stdout

    return run


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(page(profile()), encoding="utf-8")
    return path


def test_content_is_there(browse: Browser, report: Path) -> None:
    dom = browse(report, "--dump-dom")

    words = re.sub(r"\s+", " ", re.sub(r"<style.*?</style>|<[^>]+>", " ", dom))
    assert "takes 2 of 6 timesteps on average" in words
    assert "Accuracy against timesteps" in words
    assert "cutoff: 96.7 % at 2" in words
    assert "Neurocores in use: 1 of 128" in words
    assert dom.count("<svg") == 4


def test_dark_and_light_are_readable(
    browse: Browser, report: Path, tmp_path: Path
) -> None:
    light, dark = (
        _screenshot(browse, report, tmp_path / f"{name}.png", *flags)
        for name, flags in (("light", ()), ("dark", (DARK,)))
    )

    assert np.median(light) > 240
    assert np.median(dark) < 40
    for pixels in (light, dark):
        assert pixels.shape == (1200, 1400, 3)
        assert len(np.unique(pixels @ [1, 256, 65536])) > 50
        ink = np.abs(pixels - np.median(pixels)).max(axis=-1) > 100
        assert 0.005 < ink.mean() < 0.5


def test_page_without_cutoff_is_drawn(browse: Browser, tmp_path: Path) -> None:
    path = tmp_path / "plain.html"
    path.write_text(page(without_cutoff()), encoding="utf-8")

    dom = browse(path, "--dump-dom")

    assert dom.count("<svg") == 3
    assert "Without a cutoff every input takes all 6 timesteps" in dom


@pytest.mark.parametrize("width", [320, 400, 1400])
def test_page_is_as_wide_as_its_window(
    width: int, browse: Browser, report: Path
) -> None:
    frame = report.with_name("frame.html")
    frame.write_text(FRAME.format(width=width), encoding="utf-8")

    dom = browse(frame, "--dump-dom", "--allow-file-access-from-files")

    assert 'data-overflow="0"' in dom


def _screenshot(browse: Browser, page: Path, image: Path, *flags: str) -> IntArray:
    from matplotlib.image import imread

    browse(page, f"--screenshot={image}", "--window-size=1400,1200", *flags)
    pixels: IntArray = np.rint(255 * imread(image)[..., :3]).astype(np.int64)
    return pixels
