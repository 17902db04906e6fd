// What one spike causes, target after target: for every kind of synapse and delay.
#pragma once

#include <cstring>

#include "layout.h"

namespace engine {
namespace {

inline void set_range(uint8_t* reached, ptrdiff_t first, int n) {
  if (!reached) return;
  const ptrdiff_t last = first + n;
  for (ptrdiff_t i = first; i < last;) {
    if (i % 8 == 0 && i + 8 <= last) {
      reached[i / 8] = 0xff;
      i += 8;
    } else {
      reached[i / 8] |= (uint8_t)(1 << i % 8);
      ++i;
    }
  }
}

// Sums wrap at 2^32, which is exact where only their lower bits count.
inline void add_row(const int16_t* weights, int n, int32_t value, int32_t* sums) {
  for (int i = 0; i < n; ++i)
    sums[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)weights[i] * (uint32_t)value);
}

// The output position that a kernel position takes an input position to, or -1.
inline int output_at(int from, int padding, int kernel, int dilation, int stride,
                     int size) {
  int shifted = from + padding - kernel * dilation;
  if (shifted < 0 || shifted % stride) return -1;
  return shifted / stride < size ? shifted / stride : -1;
}

void scatter_conv(const Scatter& by, int32_t neuron, int32_t value, int32_t* sums,
                  uint8_t* reached) {
  int channel = neuron % by.source.channels, pixel = neuron / by.source.channels;
  int y = pixel / by.source.width, x = pixel % by.source.width;
  int group = channel / by.group_in, n_channels = by.groups * by.group_in;
  if (channel >= n_channels) return;  // padding
  for (int row = 0; row < by.kernel_height; ++row) {
    int to_y = output_at(y, by.padding_y, row, by.dilation_y, by.stride_y,
                         by.target.height);
    if (to_y < 0) continue;
    for (int column = 0; column < by.kernel_width; ++column) {
      int to_x = output_at(x, by.padding_x, column, by.dilation_x, by.stride_x,
                           by.target.width);
      if (to_x < 0) continue;
      ptrdiff_t place = (ptrdiff_t)row * by.kernel_width + column;
      ptrdiff_t from = (place * n_channels + channel) * by.group_out;
      ptrdiff_t to = ((ptrdiff_t)to_y * by.target.width + to_x) * by.target.channels +
                     (ptrdiff_t)group * by.group_out;
      add_row(by.weights + from, by.group_out, value, sums + to);
      set_range(reached, to, by.group_out);
    }
  }
}

void scatter(const Scatter& by, int32_t neuron, int32_t value, int32_t* sums,
             uint8_t* reached) {
  if (by.kind == Scatter::kConv) {
    scatter_conv(by, neuron, value, sums, reached);
  } else if (by.kind == Scatter::kDense) {
    int n = by.target.height * by.target.width * by.target.channels;
    add_row(by.weights + (ptrdiff_t)neuron * n, n, value, sums);
    if (reached) memset(reached, 0xff, n / 8);
  } else {
    for (int i = by.starts[neuron]; i < by.starts[neuron + 1]; ++i) {
      add_row(by.weights + i, 1, value, sums + by.targets[i]);
      set_range(reached, by.targets[i], 1);
    }
  }
}

}  // namespace
}  // namespace engine
