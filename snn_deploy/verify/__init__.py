"""Where two forms of one network part: layer, timestep, neuron, cause."""
