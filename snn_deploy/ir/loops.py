"""Which edges of a network without delays close its loops, and take one timestep."""

from collections.abc import Collection

import networkx as nx

Delays = dict[tuple[str, str], int]  # timesteps, by source and target


def close_loops(delays: Delays, start: str, weights: Collection[str]) -> Delays:
    """Return the edges with a timestep in every loop that had none.

    It is on the edge that closes the loop, depth first from ``start``; if that edge
    comes from one of ``weights``, what these receive is late, so that their bias is
    not.
    """
    closed = dict(delays)
    for source, target in _backward(delays, start):
        behind = [pair for pair in closed if pair[0] == source]
        if source not in weights or behind != [(source, target)]:
            closed[source, target] = 1
            continue
        for pair in [pair for pair in closed if pair[1] == source]:
            closed[pair] += 1
    return closed


def _backward(delays: Delays, start: str) -> list[tuple[str, str]]:
    """Return the edges without delay that close a loop, depth first from ``start``."""
    root = ""  # no node is called so
    within: nx.DiGraph[str] = nx.DiGraph()
    late = [b for (_, b), delay in delays.items() if delay]
    within.add_edges_from((root, node) for node in (start, *late))
    within.add_edges_from(pair for pair, delay in delays.items() if delay == 0)
    found, above = [], {root}
    for source, target, step in nx.dfs_labeled_edges(within, root):
        if step == "forward":
            above.add(target)
        elif step == "reverse":
            above.discard(target)
        elif target in above:
            found.append((source, target))
    return found
