"""From a float graph to a network on neurocores."""
