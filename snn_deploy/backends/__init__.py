"""The machines that run a compiled network."""
