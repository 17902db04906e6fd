"""Pictures of a report for the documentation.

``python -m tests.browser.screenshots report.html page.png [light|dark] [width]``
"""

import sys
import tempfile
from pathlib import Path

from tests.browser.chromium import open_page


def main(report: Path, image: Path, theme: str = "light", width: str = "1280") -> None:
    """Store a picture of the whole page."""
    with tempfile.TemporaryDirectory() as folder, open_page(Path(folder)) as page:
        page.open(report.resolve(), theme=theme, width=int(width))
        page.screenshot(image, is_whole=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
