"""Writers of networks, each ``write_<format>(network, path)``."""
