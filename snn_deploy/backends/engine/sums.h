// Weighted sums, one output pixel at a time: all channels of a pixel are summed in
// registers over the events that reach it, so that nothing is written per event.
#pragma once

#include <cstring>

#include "layout.h"

namespace engine {
namespace {

// Events whose weights lie in rows: event e reads row (offset + e).
struct Run {
  const int32_t *first, *last;
  const int32_t* values;  // of the first event; null: 1
  ptrdiff_t offset;
};

inline Simd::I32 shifted(Simd::I32 sums, int shift) {
  return shift >= 0 ? Simd::left(sums, shift) : Simd::right(sums, -shift);
}

// Where the sums of a block of channels go, and how.
struct Target {
  int32_t* sums;
  int shift;
  bool is_first;  // written, not added

  void put(int channel, Simd::I32 found) const {
    found = shifted(found, shift);
    if (!is_first) found = Simd::add(found, Simd::load(sums + channel));
    Simd::store(sums + channel, found);
  }
};

// n registers of 16-bit sums, of binary spikes and 8-bit weights. 255 weights cannot
// overflow them; then they are added up in 32 bits.
template <int n>
inline void sum_narrow(const Run* runs, int n_runs, const int8_t* weights,
                       ptrdiff_t stride, int channel, const Target& target) {
  constexpr int kWide = 2 * Simd::kLanes;
  Simd::I16 sums[n];
  int32_t full[n * kWide];
  bool is_full = false;
  int room = 255;
  for (int i = 0; i < n; ++i) sums[i] = Simd::zero16();
  for (int r = 0; r < n_runs; ++r) {
    const int8_t* base = weights + runs[r].offset * stride + channel;
    const int32_t* event = runs[r].first;
    while (event != runs[r].last) {
      ptrdiff_t left = runs[r].last - event;
      int count = left < room ? (int)left : room;
      for (const int32_t* end = event + count; event != end; ++event) {
        const int8_t* row = base + *event * stride;
        for (int i = 0; i < n; ++i)
          sums[i] = Simd::add16(sums[i], Simd::widen16(row + i * kWide));
      }
      room -= count;
      if (room) continue;
      for (int i = 0; i < n; ++i) {
        int32_t* to = full + i * kWide;
        Simd::I32 low = Simd::low(sums[i]), high = Simd::high(sums[i]);
        if (is_full) {
          low = Simd::add(low, Simd::load(to));
          high = Simd::add(high, Simd::load(to + Simd::kLanes));
        }
        Simd::store(to, low);
        Simd::store(to + Simd::kLanes, high);
        sums[i] = Simd::zero16();
      }
      is_full = true;
      room = 255;
    }
  }
  for (int i = 0; i < n; ++i) {
    Simd::I32 low = Simd::low(sums[i]), high = Simd::high(sums[i]);
    if (is_full) {
      low = Simd::add(low, Simd::load(full + i * kWide));
      high = Simd::add(high, Simd::load(full + i * kWide + Simd::kLanes));
    }
    target.put(channel + i * kWide, low);
    target.put(channel + i * kWide + Simd::kLanes, high);
  }
}

// n registers of 32-bit sums, of anything.
template <class Weight, bool is_graded, int n>
inline void sum_full(const Run* runs, int n_runs, const Weight* weights,
                     ptrdiff_t stride, int channel, const Target& target) {
  Simd::I32 sums[n];
  for (int i = 0; i < n; ++i) sums[i] = Simd::zero();
  for (int r = 0; r < n_runs; ++r) {
    const Weight* base = weights + runs[r].offset * stride + channel;
    const int32_t* value = runs[r].values;
    for (const int32_t* event = runs[r].first; event != runs[r].last; ++event) {
      const Weight* row = base + *event * stride;
      for (int i = 0; i < n; ++i) {
        Simd::I32 weight = Simd::widen32(row + i * Simd::kLanes);
        if (is_graded) weight = Simd::mul(weight, Simd::set(*value));
        sums[i] = Simd::add(sums[i], weight);
      }
      if (is_graded) ++value;
    }
  }
  for (int i = 0; i < n; ++i) target.put(channel + i * Simd::kLanes, sums[i]);
}

// All channels of a pixel, in blocks as large as the registers allow.
template <class Weight, bool is_graded>
inline void sum_pixel(const Run* runs, int n_runs, const Weight* weights,
                      ptrdiff_t stride, int n_channels, const Target& target) {
  int channel = 0;
  if constexpr (sizeof(Weight) == 1 && !is_graded) {
    constexpr int kWide = 2 * Simd::kLanes;
    if constexpr (Simd::kRegisters >= 8)
      for (; channel + 8 * kWide <= n_channels; channel += 8 * kWide)
        sum_narrow<8>(runs, n_runs, weights, stride, channel, target);
    for (; channel + 4 * kWide <= n_channels; channel += 4 * kWide)
      sum_narrow<4>(runs, n_runs, weights, stride, channel, target);
    for (; channel + 2 * kWide <= n_channels; channel += 2 * kWide)
      sum_narrow<2>(runs, n_runs, weights, stride, channel, target);
    for (; channel + kWide <= n_channels; channel += kWide)
      sum_narrow<1>(runs, n_runs, weights, stride, channel, target);
  }
  for (; channel + 4 * Simd::kLanes <= n_channels; channel += 4 * Simd::kLanes)
    sum_full<Weight, is_graded, 4>(runs, n_runs, weights, stride, channel, target);
  for (; channel < n_channels; channel += Simd::kLanes)
    sum_full<Weight, is_graded, 1>(runs, n_runs, weights, stride, channel, target);
}

inline Run run_of(const Events& events, int first, int last, ptrdiff_t offset) {
  const int32_t* values = events.values ? events.values + first : nullptr;
  return {events.neurons + first, events.neurons + last, values, offset};
}

// The events under the kernel at output pixel (y, x): one run for each kernel row.
inline int runs_under(const Direct& by, const Events& events, int y, int x, Run* runs) {
  int width = by.source.width, channels = by.source.channels, n = 0;
  int top = y * by.stride_y - by.padding_y, left = x * by.stride_x - by.padding_x;
  int first_row = top < 0 ? -top : 0;
  int last_row = by.source.height - top;
  if (last_row > by.kernel_height) last_row = by.kernel_height;
  int from = left < 0 ? 0 : left;
  int to = left + by.kernel_width < width ? left + by.kernel_width : width;
  if (from >= to) return 0;
  for (int row = first_row; row < last_row; ++row) {
    int pixel = (top + row) * width;
    int first = events.begin[pixel + from], last = events.begin[pixel + to];
    if (first == last) continue;
    ptrdiff_t offset = ((ptrdiff_t)row * by.kernel_width - pixel - left) * channels;
    runs[n++] = run_of(events, first, last, offset);
  }
  return n;
}

template <class Weight, bool is_graded>
void sum_row_of(const Neurons& to, const DirectInput& input, int y, int shift,
                bool is_first, int32_t* row, uint8_t* reached) {
  const Direct& by = *input.direct;
  const Weight* weights = (const Weight*)by.weights;
  int n = to.width * to.channels;
  Run runs[kMaxRuns];
  if (!by.is_conv) {
    int n_events = input.events->begin[by.source.height * by.source.width];
    ptrdiff_t stride = (ptrdiff_t)to.height * n;
    runs[0] = run_of(*input.events, 0, n_events, 0);
    sum_pixel<Weight, is_graded>(runs, 1, weights + (ptrdiff_t)y * n, stride, n,
                                 {row, shift, is_first});
    if (reached && n_events) memset(reached + (ptrdiff_t)y * n / 8, 0xff, n / 8);
    return;
  }
  for (int x = 0; x < to.width; ++x) {
    int n_runs = runs_under(by, *input.events, y, x, runs);
    int32_t* sums = row + (ptrdiff_t)x * to.channels;
    sum_pixel<Weight, is_graded>(runs, n_runs, weights, to.channels, to.channels,
                                 {sums, shift, is_first});
    ptrdiff_t pixel = (ptrdiff_t)y * to.width + x;
    if (reached && n_runs)
      memset(reached + pixel * to.channels / 8, 0xff, to.channels / 8);
  }
}

}  // namespace
}  // namespace engine
