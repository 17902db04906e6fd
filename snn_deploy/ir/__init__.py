"""The forms a network takes: float graph, chip integers, mapped onto neurocores."""
