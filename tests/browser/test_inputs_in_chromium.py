"""The table of inputs in a real browser: it sorts and filters by click and by key."""

from pathlib import Path

import pytest

from snn_deploy.profile.summary import summarize
from snn_deploy.report.html import render
from tests.browser.chromium import Page, violations
from tests.browser.test_report_in_chromium import OVERFLOW, THEMES
from tests.report.closeups import closeups
from tests.report.profiles import profile

TEXT = "document.querySelector('#inputs tbody').innerText"
N = 40  # inputs: three pages


@pytest.fixture(scope="module")
def report(folder: Path) -> Path:
    found = profile(N)
    path = folder / "inputs.html"
    page = render(found, summarize(found), closeups=closeups())
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Page, report: Path) -> Page:
    browser.open(report)
    return browser


def column(page: Page, key: str) -> list[str]:
    """Return the cells of a column on the page of the table that is shown."""
    found: list[str] = page.evaluate(f"""(() => {{
      const head = document.querySelector("#inputs th[data-key={key}]")
      return [...document.querySelectorAll("#inputs tbody tr")]
        .map(row => row.cells[head.cellIndex].innerText)
    }})()""")
    return found


def where(page: Page) -> str:
    text: str = page.evaluate("document.querySelector('#where').innerText")
    return text


def test_the_script_writes_what_the_page_held_without_it(
    browser: Page, report: Path
) -> None:
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(report)
    before = browser.evaluate(TEXT)
    browser.send("Emulation.setScriptExecutionDisabled", value=False)
    browser.open(report)

    assert len(before) > 100
    assert browser.evaluate(TEXT) == before
    assert browser.errors == []


def test_a_click_on_a_head_sorts_and_another_turns_the_order(opened: Page) -> None:
    assert column(opened, "energy") == ["30.0"] * 13 + ["20.0"] * 2

    opened.click("#inputs th[data-key=index] button")

    assert column(opened, "index")[:2] == ["39", "38"]
    opened.click("#inputs th[data-key=index] button")
    assert column(opened, "index")[:2] == ["0", "1"]
    order = "document.querySelector('th[data-key=index]').getAttribute('aria-sort')"
    assert opened.evaluate(order) == "ascending"
    assert opened.evaluate("document.querySelectorAll('[aria-sort]').length") == 1


def test_keys_sort(opened: Page) -> None:
    opened.focus("#inputs th[data-key=gap] button")
    opened.press("Enter")

    assert column(opened, "gap")[0] == "43"
    opened.press(" ")
    assert column(opened, "gap")[0] == "4"


def test_a_click_shows_the_wrong_ones(opened: Page) -> None:
    opened.click("input[value=wrong]")

    assert column(opened, "index") == ["39"]
    assert column(opened, "result") == ["lost by stopping"]
    assert where(opened) == "1 to 1 of 1"
    opened.click("input[value=late]")
    assert where(opened) == "no such input"
    opened.click("input[value=all]")
    assert where(opened) == "1 to 15 of 40"


def test_keys_filter(opened: Page) -> None:
    opened.focus("input[value=all]")
    opened.press("ArrowRight")

    assert column(opened, "index") == ["39"]


def test_pages_are_turned_by_click_and_by_key(opened: Page) -> None:
    opened.click("#after")
    assert where(opened) == "16 to 30 of 40"
    opened.press("Enter")
    assert where(opened) == "31 to 40 of 40"
    assert opened.evaluate("document.querySelector('#after').disabled")
    opened.click("#before")
    assert where(opened) == "16 to 30 of 40"
    opened.click("#inputs th[data-key=index] button")
    assert where(opened) == "1 to 15 of 40"


def test_an_input_is_found_by_its_number(opened: Page) -> None:
    opened.focus("#find")
    opened.write("17")

    assert column(opened, "index") == ["17"]


def test_energies_follow_the_table(opened: Page) -> None:
    steps = "document.querySelector('#strip .neurocores').getAttribute('d')"
    falling = opened.evaluate(steps)
    opened.click("#inputs th[data-key=energy] button")
    rising = opened.evaluate(steps)

    assert falling != rising
    assert opened.evaluate("document.querySelectorAll('#strip path').length") == 4
    assert opened.evaluate("document.querySelector('#highest').innerText") == "30.0"
    opened.click("input[value=wrong]")
    assert opened.evaluate("document.querySelectorAll('#strip .frame').length") == 0


def test_pictures_are_shown_and_lead_to_the_closeups(opened: Page) -> None:
    opened.focus("#find")
    opened.write("20")

    shown = opened.evaluate("""(() => {
      const box = document.querySelector("#inputs .picture").getBoundingClientRect()
      return [box.width, box.height]
    })()""")
    assert shown == pytest.approx([32, 32 * 4 / 6], abs=0.1)
    opened.click("#inputs tbody a")
    top = opened.evaluate(
        "document.querySelector('#input-20').getBoundingClientRect().y"
    )
    assert 0 <= top < 100


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", [400, 1280])
def test_axe_finds_no_violation(
    browser: Page, report: Path, theme: str, width: int
) -> None:
    browser.open(report, theme=theme, width=width)
    browser.send("Page.setBypassCSP", enabled=True)

    assert browser.evaluate(OVERFLOW) == 0
    assert violations(browser) == []
    assert browser.errors == []


def test_the_table_scrolls_where_it_is_wider_than_the_window(
    browser: Page, report: Path
) -> None:
    browser.open(report, width=400)
    browser.focus("#inputs")

    box = "document.querySelector('#inputs').parentElement"
    assert browser.evaluate(f"{box}.scrollWidth - {box}.clientWidth") > 100
    browser.evaluate(f"{box}.focus()")
    for _ in range(3):
        browser.press("ArrowRight")
    moved = f"""new Promise(done => setTimeout(() => done({box}.scrollLeft), 400))"""
    assert browser.evaluate(moved) > 0
