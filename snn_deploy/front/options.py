"""Options that are passed on by name, checked before Python would complain of them."""

import inspect
from collections.abc import Callable, Collection, Iterable
from typing import Any

from snn_deploy.errors import SnnDeployError
from snn_deploy.files.schema import hint


def options_of(function: Callable[..., Any]) -> list[str]:
    """Return the names of the options that a function takes by name alone."""
    parameters = inspect.signature(function).parameters.values()
    return [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]


def check_options(
    where: str,
    given: Iterable[str],
    allowed: Collection[str],
    error: type[SnnDeployError],
) -> None:
    """Raise ``error`` at the first option that there is not, with those there are."""
    for name in given:
        if name not in allowed:
            meant, listed = hint(name, allowed), ", ".join(allowed)
            also = f" (there are {listed})" if meant.startswith("did") else ""
            raise error(f"{where}: no option is called {name!r}; {meant}{also}")
