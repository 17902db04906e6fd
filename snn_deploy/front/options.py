"""Options that are passed on by name, checked before Python would complain of them."""

import inspect
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from snn_deploy.errors import SnnDeployError
from snn_deploy.files.schema import hint

# what an annotation takes, and how to say so; of others nothing is checked here
TAKEN: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool, np.bool_), "True or False"),
    "int": ((Integral,), "a whole number"),
    "float": ((Real,), "a number"),
    "str": ((str,), "a text"),
    "None": ((type(None),), "None"),
}


def options_of(function: Callable[..., Any]) -> dict[str, str]:
    """Return the options that a function takes by name alone, and their annotations."""
    parameters = inspect.signature(function).parameters.values()
    return {
        each.name: inspect.formatannotation(each.annotation).strip("'")
        for each in parameters
        if each.kind is each.KEYWORD_ONLY
    }


def check_options(
    where: str,
    given: Mapping[str, Any],
    allowed: Mapping[str, str],
    error: type[SnnDeployError],
) -> None:
    """Raise ``error`` at the first option that there is not, or that is of no use."""
    for name, value in given.items():
        if name not in allowed:
            meant, listed = hint(name, allowed), ", ".join(allowed)
            also = f" (there are {listed})" if meant.startswith("did") else ""
            raise error(f"{where}: no option is called {name!r}; {meant}{also}")
        kinds = allowed[name].split(" | ")
        if {*kinds} <= {*TAKEN} and not any(_is(value, kind) for kind in kinds):
            wanted = " or ".join(TAKEN[kind][1] for kind in kinds)
            found = f"{value!r}, of type {type(value).__name__}"
            raise error(f"{where}: {name} is {found}; give {wanted}")


def _is(value: object, kind: str) -> bool:
    types = TAKEN[kind][0]
    return isinstance(value, types) and (kind == "bool" or not isinstance(value, bool))
