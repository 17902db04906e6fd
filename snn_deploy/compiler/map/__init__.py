"""From chip integers to neurocores: cut, pack, place, check."""
