"""The colors of the report by role: of its page, light or dark, and of its files."""

from collections.abc import Mapping
from pathlib import Path
from string import Template

Colors = Mapping[str, str]  # by role

LIGHT = {
    "paper": "#fdfdfc", "card": "#f3f3f0", "ink": "#1c1d1f", "muted": "#5d6166",
    "rule": "#dcdcd7", "early": "#0068a8", "full": "#b4500a",
    # parts of the energy
    "neurocores": "#2a8c7c", "mesh": "#7fc4b5", "static": "#d2b54e", "reset": "#8a2d58",
    "links": "#4b5fa8", "injection": "#b9a3d9", "embedded": "#9aa0a6",
}  # fmt: skip
DARK = {
    "paper": "#16181b", "card": "#202327", "ink": "#e8e8e5", "muted": "#a4a9b0",
    "rule": "#363a40", "early": "#62b6ea", "full": "#f0994f",
    "neurocores": "#4cc0ad", "mesh": "#2f7f73", "static": "#ddc66b", "reset": "#d07aa4",
    "links": "#8fa0e0", "injection": "#6f5a96", "embedded": "#858c94",
}  # fmt: skip
IN_PAGE = {role: f"var(--{role})" for role in LIGHT}


def page_colors() -> str:
    """Return the style sheet that gives the page its colors."""
    light, dark = (
        "".join(f" --{role}: {color};" for role, color in colors.items())
        for colors in (LIGHT, DARK)
    )
    is_dark = "@media screen and (prefers-color-scheme: dark)"
    return f":root {{{light} }}\n{is_dark} {{ :root {{{dark} }} }}\n"


def drawing_style(colors: Colors) -> str:
    """Return the style sheet of drawings in these colors."""
    text = Path(__file__).with_name("drawing.css").read_text(encoding="utf-8")
    return Template(text).substitute(colors)
