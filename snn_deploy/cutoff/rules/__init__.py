"""The rules that end a run: a module each, and a line here."""

from snn_deploy.cutoff.rules import (
    certain,
    fixed,
    retry,
    risk,
    softmax,
    spikecp,
    topk,
)

__all__ = ["certain", "fixed", "retry", "risk", "softmax", "spikecp", "topk"]
