"""Inputs from files, data sets and streams, and their labels."""
