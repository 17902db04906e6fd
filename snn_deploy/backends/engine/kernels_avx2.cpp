#include "simd_avx2.h"
// the kernels are written once, in terms of Simd
#include "kernels.h"

namespace engine {

const Kernels kAvx2Kernels = {"avx2", advance, sum, sum_dense, mark,
                              scatter,  count,   tally, find, find_in_maps, begin};

}  // namespace engine
