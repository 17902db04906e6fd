// Neurons in groups that cause the same on the chip.
#pragma once

#include "network.h"

namespace engine {

// What the spikes of a checked tally cause, word by word; empty if that would take longer
// than to follow spike after spike.
// `channels` of its pixels, or 0: neurons that lie in no pixels.
Groups groups_of(const Tally& tally, int channels);

}  // namespace engine
