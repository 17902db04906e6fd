#include "simd_avx512.h"
// the kernels are written once, in terms of Simd
#include "kernels.h"

namespace engine {

const Kernels kAvx512Kernels = {"avx512", advance, sum, sum_dense, mark,
                                scatter,  count,   tally, find, find_in_maps, begin};

}  // namespace engine
