"""Networks as text: for tables, golden files and error messages."""

from dataclasses import fields
from enum import Enum

import numpy as np

from snn_deploy.ir.nodes import Node

SHOWN_ELSEWHERE = ("name", "shape")


def node_parameters(node: Node) -> str:
    """Return the parameters of a layer in one line; arrays by shape or by value."""
    return ", ".join(
        f"{field.name} {_text(getattr(node, field.name))}"
        for field in fields(node)
        if field.name not in SHOWN_ELSEWHERE
    )


def _text(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, np.ndarray):
        if value.size == 1:
            return f"{value.item():g}"
        if value.ndim > 1 and value.size == len(value):
            return f"{value.min():g} to {value.max():g}"
        return "x".join(map(str, value.shape))
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
