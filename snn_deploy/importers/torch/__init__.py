"""Readers of PyTorch modules, one module for each framework."""
