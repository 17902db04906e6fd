"""Read the TOML files that describe chips."""

import difflib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snn_deploy.chip.target import (
    FAMILY,
    OTHER_COSTS,
    PRICED_EVENTS,
    Target,
)
from snn_deploy.errors import TargetError
from snn_deploy.files.schema import Schema, read_toml
from snn_deploy.files.writing import packaged_folder

logger = logging.getLogger(__name__)


def target_names() -> list[str]:
    """Return the names of the targets that come with snn-deploy."""
    return sorted(path.stem for path in packaged_folder("targets").glob("*.toml"))


def read_target(name: str | os.PathLike[str]) -> Target:
    """Return the target called ``name``, or that of the TOML file at this path.

    Raises
    ------
    TargetError
        If there is no such target, or its file is wrong.
    """
    name = os.fspath(name)
    if name.endswith(".toml"):
        return _read_file(Path(name))
    names = target_names()
    if name in names:
        return _read_file(packaged_folder("targets") / f"{name}.toml")
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}?" if close else f"choose {', '.join(names)}"
    raise TargetError(
        f"no target is called {name!r}; {hint} (a file of your own ends in .toml)"
    )


def _read_file(path: Path) -> Target:
    return target_from_table(read_toml(path, TargetError), str(path))


def target_from_table(table: Mapping[str, Any], where: str) -> Target:
    """Return the target that a TOML table describes.

    In earlier files ``[cost.host]`` was what is ``[cost.embedded]`` now.
    """
    schema = Schema(file=where, error=TargetError)
    schema.check_keys(table.get("cost"), {*PRICED_EVENTS, *OTHER_COSTS}, "cost")
    sets = table.get("prices")
    for name, found in sets.items() if isinstance(sets, Mapping) else ():
        if isinstance(found, Mapping):
            schema.check_keys(found.get("cost"), FAMILY, f"prices.{name}.cost")
    costs = table.get("cost", {})
    if isinstance(costs, Mapping) and "host" in costs and "embedded" not in costs:
        logger.warning(
            f"{where}: [cost.host] without [cost.embedded] is taken for the processors "
            "on the board, as it was; call it [cost.embedded], and give in [cost.host] "
            "the computer that polls from outside"
        )
        costs = {"embedded" if k == "host" else k: v for k, v in costs.items()}
    return schema.build(Target, {"energy_note": "", **table, "cost": costs})
