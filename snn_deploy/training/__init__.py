"""Train the reference networks; apart from some importers, all that needs torch."""
