#include "simd_plain.h"
// the kernels are written once, in terms of Simd
#include "kernels.h"

namespace engine {

const Kernels kPlainKernels = {"plain", advance, sum, sum_dense, mark,
                               scatter,  count,   tally, find, find_in_maps, begin};

}  // namespace engine
