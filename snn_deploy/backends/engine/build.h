// Building a network from Python.
#pragma once

#include <nanobind/nanobind.h>

#include "network.h"

namespace engine {

// Adds the class Network; the rest of its methods is added by the caller.
nanobind::class_<Network> bind_network(nanobind::module_& module);

}  // namespace engine
