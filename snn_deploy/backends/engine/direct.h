// Laying out the weights that are summed in registers.
#pragma once

#include "network.h"

namespace engine {

// Fills p.direct, and p.blocks where the weights suit it.
void lay_out_direct(Projection& p);

}  // namespace engine
