"""From a float graph to chip integers, one function a module."""
