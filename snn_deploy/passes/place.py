"""Give each piece a neurocore on the mesh."""

from snn_deploy.ir.mapped import MappedNetwork, Neurocore
from snn_deploy.passes.partition import Partition
from snn_deploy.target import Target


def place(cut: Partition, target: Target) -> MappedNetwork:
    """Return the network with its pieces on neurocores, in order, along the mesh.

    Tiles are taken column by column, up and down in turn, so that layers that follow
    each other lie side by side. A network with more pieces than the chip has neurocores
    is laid out past its edge; ``check_rules`` refuses it.
    """
    cores = []
    for index, piece in enumerate(cut.pieces):
        tile = index // target.mesh.neurocores_per_tile
        x, along = divmod(tile, target.mesh.height)
        y = along if x % 2 == 0 else target.mesh.height - 1 - along
        cores.append(Neurocore(index=index, x=x, y=y, pieces=(piece,)))
    return MappedNetwork(graph=cut.graph, target=target, cores=tuple(cores))
