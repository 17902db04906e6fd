// Weighted sums, one event at a time: for convolutions in which few events meet few
// channels, so that visiting every output pixel would take longer.
#pragma once

#include <cstring>

#include "layout.h"

namespace engine {
namespace {

// Whether to spread: estimates of both ways, in cycles.
inline bool is_spread_cheaper(const Neurons& to, const Direct& by, const Events& events,
                              int shift) {
  if (!by.is_conv || shift < 0) return false;
  int n_pixels = to.height * to.width, vectors = to.channels / Simd::kLanes;
  double n_events = events.begin[by.source.height * by.source.width];
  double visits = n_events * by.kernel_height * by.kernel_width /
                  (by.stride_y * by.stride_x);
  double spreading = visits * (6 + 2.5 * vectors);
  double visiting = n_pixels * (40 + 2.0 * vectors) + visits * 0.8 * vectors;
  return spreading < visiting;
}

// Adds the weights of one event to the sums of one output pixel.
template <class Weight, bool is_graded>
inline void add_pixel(const Weight* weights, int32_t value, int shift, int n_channels,
                      int32_t* sums) {
  for (int channel = 0; channel < n_channels; channel += Simd::kLanes) {
    Simd::I32 weight = Simd::widen32(weights + channel);
    if (is_graded) weight = Simd::mul(weight, Simd::set(value));
    weight = Simd::left(weight, shift);
    Simd::store(sums + channel, Simd::add(weight, Simd::load(sums + channel)));
  }
}

template <class Weight, bool is_graded>
void spread_row_of(const Neurons& to, const DirectInput& input, int y, int shift,
                   bool is_first, int32_t* row, uint8_t* reached) {
  const Direct& by = *input.direct;
  const Events& events = *input.events;
  const Weight* weights = (const Weight*)by.weights;
  int channels = by.source.channels, width = by.source.width;
  if (is_first) memset(row, 0, (size_t)to.width * to.channels * sizeof *row);
  int top = y * by.stride_y - by.padding_y;
  int last_row = by.source.height - top;
  if (last_row > by.kernel_height) last_row = by.kernel_height;
  for (int kernel_row = top < 0 ? -top : 0; kernel_row < last_row; ++kernel_row) {
    int pixel = (top + kernel_row) * width;
    int last = events.begin[pixel + width];
    for (int event = events.begin[pixel]; event < last; ++event) {
      int place = events.neurons[event] - pixel * channels;
      int x = place / channels, channel = place % channels;
      int32_t value = is_graded ? events.values[event] : 1;
      ptrdiff_t first = (ptrdiff_t)kernel_row * by.kernel_width * channels + channel;
      for (int column = 0; column < by.kernel_width; ++column) {
        int to_x = x + by.padding_x - column;
        if (to_x < 0) break;
        if (by.stride_x > 1) {
          if (to_x % by.stride_x) continue;
          to_x /= by.stride_x;
        }
        if (to_x >= to.width) continue;
        ptrdiff_t from = (first + (ptrdiff_t)column * channels) * to.channels;
        add_pixel<Weight, is_graded>(weights + from, value, shift, to.channels,
                                     row + (ptrdiff_t)to_x * to.channels);
        if (!reached) continue;
        ptrdiff_t neuron = ((ptrdiff_t)y * to.width + to_x) * to.channels;
        memset(reached + neuron / 8, 0xff, to.channels / 8);
      }
    }
  }
}

}  // namespace
}  // namespace engine
