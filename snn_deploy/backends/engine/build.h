// Building a network from Python.
#pragma once

#include <nanobind/nanobind.h>

#include "network.h"

namespace engine {

// Adds the classes Builder, Tally and Counting, and what they raise; those of a complete
// network are the caller's.
void bind_builder(nanobind::module_& module);

}  // namespace engine
