"""Chips: targets, the limits of a neurocore, what events cost."""
