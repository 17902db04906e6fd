"""graph: layers by name, however many there are."""

from snn_deploy.ir.nodes import Node
from tests.build import chain, lif, linear
from tests.pace import within


def test_the_time_of_many_layers_grows_with_their_number() -> None:
    layers: list[Node] = []
    for number in range(10_000):
        layers += [linear(f"w{number}", 1, 1), lif(f"n{number}", (1,))]

    with within(3):  # quadratic in the layers it is 15
        graph = chain(*layers)

    assert [node.name for node in graph.order[1:]] == [node.name for node in layers]
    assert graph.output is graph.nodes[-1]
    assert graph.sources(graph.nodes[2]) == (graph.nodes[1],)
    assert graph.targets(graph.nodes[2]) == (graph.nodes[3],)
