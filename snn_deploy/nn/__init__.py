"""What networks are trained with and importers recognize."""
