// Which instruction sets this processor has.
#pragma once

#include <string>
#include <vector>

#include "layout.h"

namespace engine {

// Those that run here, the fastest first.
std::vector<const Kernels*> available_kernels();

// The named ones, or the fastest for an empty name; throws if they cannot run here.
const Kernels& find_kernels(const std::string& name);

}  // namespace engine
