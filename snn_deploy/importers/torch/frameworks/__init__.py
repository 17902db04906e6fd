"""The frameworks whose neurons can be read: a module each, and a registry."""
