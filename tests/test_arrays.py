import numpy as np

from snn_deploy.arrays import read_only, row_blocks


def test_only_what_nobody_can_write_to_is_not_copied() -> None:
    mine = np.arange(6.0)
    frozen = read_only(mine, np.float64)
    view = mine[:]
    view.setflags(write=False)

    assert read_only(frozen, np.float64) is frozen
    part = frozen[2:]
    assert read_only(part, np.float64) is part
    for other in (
        read_only(mine, np.float64),
        read_only(view, np.float64),  # of what can be written to
        read_only(frozen, np.int64),
        read_only(frozen[::2], np.float64),
    ):
        assert not np.shares_memory(other, mine)
        assert not np.shares_memory(other, frozen)
        assert not other.flags.writeable


def test_blocks_of_rows_are_all_rows_once() -> None:
    for shape in ((0, 3), (5, 0), (7, 100_000), (400_000,), (3, 2, 1)):
        table = np.zeros(shape)

        rows = [row for block in row_blocks(table) for row in range(len(table))[block]]

        assert rows == [*range(len(table))]
