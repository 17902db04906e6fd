"""in_order, by_depth: the orders that networkx gives."""

from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest

from snn_deploy.ir.order import LoopError, by_depth, in_order
from tests.build import rng


@pytest.mark.parametrize("seed", range(20))
def test_orders_are_those_of_networkx(seed: int) -> None:
    draw = rng(seed)
    n = int(draw.integers(1, 15))
    names = [f"n{i}" for i in draw.permutation(n)]
    ends = np.argwhere(np.triu(draw.random((n, n)) < 0.2, 1))
    edges = [(f"n{a}", f"n{b}") for a, b in draw.permutation(ends)]
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(names)
    graph.add_edges_from(edges)

    found = in_order(names, edges), by_depth(names, edges)

    first = nx.lexicographical_topological_sort(graph, key=names.index)
    assert found == ([*first], [*nx.topological_sort(graph)])


@pytest.mark.parametrize("order", [in_order, by_depth])
def test_a_loop_is_named(order: Callable[..., list[str]]) -> None:
    with pytest.raises(LoopError, match=r"^b -> c$|^c -> b$"):
        order("abc", [("a", "b"), ("b", "c"), ("c", "b")])
