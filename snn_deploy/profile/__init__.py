"""Profiles: what every input gave and cost, one by one and in all."""
