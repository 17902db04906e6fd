"""The documentation builds without a warning, notebooks and all, and is readable."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.browser.chromium import Page, violations

ROOT = Path(__file__).parents[2]
PAGES = ("index", "tutorials/first", "reference/python")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx", reason="make docs installs it")
    pytest.importorskip("myst_nb", reason="make docs installs it")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going"]
    done = subprocess.run(
        [*command, "-q", "docs", str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [
            value for name, value in attrs if name in ("href", "src") and value
        ]


def test_links_lead_somewhere_and_nothing_is_loaded_from_afar(site: Path) -> None:
    for path in site.rglob("*.html"):
        links = _Links()
        links.feed(path.read_text(encoding="utf-8"))
        for link in links.found:
            if re.match(r"https?:|mailto:|data:|#|javascript:", link):
                continue
            end = (path.parent / link.partition("#")[0].partition("?")[0]).resolve()
            assert end.exists(), f"{path.relative_to(site)} links to {link}"
        loaded = re.findall(
            r'<(?:script|img)[^>]+src="(https?:[^"]+)"', path.read_text()
        )
        assert loaded == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_readable(browser: Page, site: Path, name: str) -> None:
    browser.open(site / f"{name}.html")

    words = browser.evaluate("document.body.innerText")
    assert len(words) > 500
    assert violations(browser) == []
