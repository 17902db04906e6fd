// Sums of a constant input, in which hardly a value is 0: all products are computed, two
// to a 32-bit lane, for several pixels and channels at once. Sums wrap at 2^32, which is
// exact where only their lower bits count.
#pragma once

#include <cstring>

#include "layout.h"

namespace engine {
namespace {

// Writes the sums of n vectors of channels, the first of which is `channel`, of kPixels
// pixels side by side, or of fewer at the end of a row.
template <int n>
inline void sum_products(const Dense& by, const int16_t* image, int channels, int channel,
                         int n_pixels, int32_t* sums) {
  const int16_t* weights = by.weights + 2 * channel;
  Simd::I32 found[kPixels][n];
  UNROLL for (int p = 0; p < kPixels; ++p)
    UNROLL for (int i = 0; i < n; ++i) found[p][i] = Simd::zero();
  for (int row = 0; row < by.kernel_height; ++row, image += by.width) {
    for (int pair = 0; pair < by.n_pairs; ++pair, weights += 2 * channels) {
      Simd::I32 factors[n];
      UNROLL for (int i = 0; i < n; ++i)
        factors[i] = Simd::load_pairs(weights + 2 * i * Simd::kLanes);
      UNROLL for (int p = 0; p < kPixels; ++p) {
        int32_t values;
        memcpy(&values, image + p * by.step_x + 2 * pair, sizeof values);
        UNROLL for (int i = 0; i < n; ++i)
          found[p][i] = Simd::add(found[p][i],
                                  Simd::products(factors[i], Simd::set(values)));
      }
    }
  }
  UNROLL for (int p = 0; p < kPixels; ++p) {
    if (p == n_pixels) break;
    UNROLL for (int i = 0; i < n; ++i)
      Simd::store(sums + p * channels + channel + i * Simd::kLanes, found[p][i]);
  }
}

// The sums of a population, of a constant input; see layout.h.
void sum_dense(const Neurons& to, const Dense& by, const int16_t* image, int32_t* sums) {
  constexpr int kVectors = Simd::kAtOnce / 2, kAtOnce = kVectors * Simd::kLanes;
  for (int y = 0; y < to.height; ++y) {
    for (int x = 0; x < to.width; x += kPixels) {
      const int16_t* from = image + y * by.step_y + x * by.step_x;
      int32_t* at = sums + ((ptrdiff_t)y * to.width + x) * to.channels;
      int n_pixels = to.width - x < kPixels ? to.width - x : kPixels, channel = 0;
      for (; channel + kAtOnce <= to.channels; channel += kAtOnce)
        sum_products<kVectors>(by, from, to.channels, channel, n_pixels, at);
      for (; channel < to.channels; channel += Simd::kLanes)
        sum_products<1>(by, from, to.channels, channel, n_pixels, at);
    }
  }
}

}  // namespace
}  // namespace engine
