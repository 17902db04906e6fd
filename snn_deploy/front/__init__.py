"""The front door: a network, what it answers and what it costs, in a few lines."""
