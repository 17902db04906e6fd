"""The integer network as its training sees time: without the chip's pipeline."""

from dataclasses import replace

from snn_deploy.ir.quantized import Projection, QuantizedGraph


def in_local_time(graph: QuantizedGraph) -> QuantizedGraph:
    """Return the network whose layers all act within one timestep, see ``retime``."""
    offsets = {p.name: p.offset for p in graph.populations} | {graph.source.name: 0}

    def early(projection: Projection) -> Projection:
        pipeline = offsets[projection.target] - offsets[projection.source]
        return replace(projection, delay=projection.delay - pipeline)

    return replace(
        graph,
        populations=tuple(replace(p, offset=0) for p in graph.populations),
        projections=tuple(early(p) for p in graph.projections),
    )
