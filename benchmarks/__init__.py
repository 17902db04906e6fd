"""Measurements of this program and, side by side, of others."""
