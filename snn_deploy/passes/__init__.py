"""Steps from a float graph to a mapped network, one function each."""
