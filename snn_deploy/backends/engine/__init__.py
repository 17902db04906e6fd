"""The compiled engine, and NumPy where it does not serve."""
