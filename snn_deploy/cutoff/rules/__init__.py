"""The rules that end a run: a module each, and a line here."""

from snn_deploy.cutoff.rules import (
    certain,
    fixed,
    on_chip,
    retry,
    risk,
    softmax,
    spikecp,
    topk,
)

__all__ = [
    "certain",
    "fixed",
    "on_chip",
    "retry",
    "risk",
    "softmax",
    "spikecp",
    "topk",
]
