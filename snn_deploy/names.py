"""Names and texts that may come from strangers: each once, short, and fit to be shown.

A control character can steer a terminal, one that turns the direction of writing can
hide what is written, and a picture that holds either is no XML.
"""

from collections.abc import Container

LONGEST_NAME = 1000  # characters
LONGEST_TEXT = 10_000


def free_name(wanted: str, taken: Container[str]) -> str:
    """Return ``wanted``, made longer until it is not among those that are taken."""
    while wanted in taken:
        wanted += "_"
    return wanted


def flaw_of(name: str, longest: int = LONGEST_NAME) -> str:
    """Return what is wrong with a name or a text, and what to do; empty if nothing."""
    if len(name) > longest:
        return f"has {len(name)} characters, allowed are {longest}; choose a short one"
    odd = sorted({character for character in name if not character.isprintable()})
    if odd:
        return (
            f"holds {', '.join(f'U+{ord(c):04X}' for c in odd[:5])}, which cannot be "
            "shown; choose another"
        )
    return ""


def cell(text: str) -> str:
    """Return ``text`` for a table that a spreadsheet may open: never a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def shown(text: str) -> str:
    r"""Return ``text`` with what cannot be shown written as in Python: ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )
