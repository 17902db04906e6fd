"""How Sphinx builds the documentation; ``make docs`` does it."""

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

from snn_deploy.cli import COMMANDS, main, name_of
from snn_deploy.version import __version__

HERE = Path(__file__).parent
project = "snn-deploy"
author = copyright = "the snn-deploy authors"
version = release = __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "snn-deploy"
html_copy_source = False
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE.parent / "build" / "notebooks")
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say more
napoleon_google_docstring = False
COMMANDS_PAGE = HERE / "reference" / "commands.md"
COMMANDS_HEAD = """# The command line

What each command prints with `--help`, in the order in which one uses them.

For programs: with `--json` a command prints JSON and nothing else, an object on one
line (`run` and `serve`: a line for each input). Keys are those of the files it writes
([profile](../profile.md)); a unit is in the name (`mean_energy_j`), what is unknown
is `null`. Notes and errors stay on standard error, the exit status is the same.
"""


def write_commands() -> None:
    """Write the page of the command line from the commands themselves."""
    parts = [COMMANDS_HEAD]
    for module in COMMANDS:
        name = name_of(module)
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
            main([name, "--help"])
        parts.append(f"## {name}\n\n```text\n{shown.getvalue().strip()}\n```\n")
    text = "\n".join(parts)
    if not COMMANDS_PAGE.is_file() or COMMANDS_PAGE.read_text("utf-8") != text:
        COMMANDS_PAGE.write_text(text, encoding="utf-8")


if "sphinx" in sys.modules:
    write_commands()

# what screen readers miss in the pages of Sphinx and furo
SPOKEN = {
    ' role="heading">': ' role="heading" aria-level="2">',
    '<aside class="sidebar-drawer"': '<aside aria-label="pages" class="sidebar-drawer"',
    '<aside class="toc-drawer': '<aside aria-label="this page" class="toc-drawer',
}


def make_readable(app: Any, error: Exception | None) -> None:
    """Complete the roles and names in the pages that were written."""
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for written, spoken in SPOKEN.items():
            text = text.replace(written, spoken)
        path.write_text(text, encoding="utf-8")


def setup(app: Any) -> None:
    """Tell Sphinx what to do at its end."""
    app.connect("build-finished", make_readable)
