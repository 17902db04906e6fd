"""Readers of trained networks, each ``read_<format>(path) -> Graph``."""
