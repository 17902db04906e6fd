"""What an input costs: prices times counts, joules and seconds."""
