// Weighted sums, one output pixel at a time, or several side by side: all their channels
// are summed in registers over the events that reach them, so that nothing is written
// per event.
#pragma once

#include <cstring>

#include "layout.h"

// Loops over registers, which have no addresses, must not stay loops.
#define UNROLL _Pragma("GCC unroll 16")

namespace engine {
namespace {

constexpr int kAhead = 4;       // rows of blocks that a turn of a loop takes
constexpr int kMostRows = 252;  // of blocks, that can be summed in 16 bits

// The rows of weights to be summed.
struct Reads {
  const int32_t* rows;    // their numbers; for blocks, their places in bytes, and behind
                          // the last one kAhead times that of a row of zeros
  const int32_t* values;  // of graded spikes
  int n;
};

inline Simd::I32 shifted(Simd::I32 sums, int shift) {
  return shift >= 0 ? Simd::left(sums, shift) : Simd::right(sums, -shift);
}

// Where the sums of a pixel go, and how.
struct Target {
  int32_t* sums;
  int shift;
  bool is_first;  // written, not added

  void put(int channel, Simd::I32 found) const {
    if (shift) found = shifted(found, shift);
    if (!is_first) found = Simd::add(found, Simd::load(sums + channel));
    Simd::store(sums + channel, found);
  }
};

// n vectors of weights in blocks, of at most kMostRows events. In a block, weight i lies
// in the lower byte of word i, with its sign bit flipped, and weight 32 + i in the upper
// one. Summing words and upper bytes is cheaper than widening every byte: the sum of the
// lower bytes is the difference. kMostRows of them, each 128 too large, fit 16 bits.
// Where few vectors belong to a row, kAhead rows are taken in a turn of the loop. Weights
// of 7 bits, of which the lower ones are 64 too large, are added in pairs of bytes first.
template <int n, bool is_narrow>
inline void sum_words(const int32_t* rows, int n_rows, const int8_t* weights,
                      const Target& target) {
  constexpr int kWords = 2 * Simd::kLanes, kVectors = kBlock / (2 * kWords);
  constexpr int kRows = n <= 2 ? kAhead : is_narrow ? 2 : 1, kPairs = is_narrow ? 2 : 1;
  n_rows = (n_rows + kRows - 1) / kRows * kRows;
  Simd::I16 words[n], upper[n];
  UNROLL for (int i = 0; i < n; ++i) words[i] = upper[i] = Simd::zero16();
  for (const int32_t* row = rows; row != rows + n_rows; row += kRows) {
    UNROLL for (int j = 0; j < kRows; j += kPairs) {
      const int8_t* from = weights + row[j];
      UNROLL for (int i = 0; i < n; ++i) {
        Simd::I16 word = Simd::load16(from + i * 2 * kWords);
        if (is_narrow) {
          const int8_t* other = weights + row[j + 1] + i * 2 * kWords;
          word = Simd::add8(word, Simd::load16(other));
        }
        words[i] = Simd::add16(words[i], word);
        upper[i] = Simd::add16(upper[i], Simd::upper_byte(word));
      }
    }
  }
  Simd::I16 excess = Simd::set16((int16_t)((is_narrow ? 64 : 128) * n_rows));
  UNROLL for (int i = 0; i < n; ++i) {
    Simd::I16 lower = Simd::sub16(words[i], Simd::to_upper_byte(upper[i]));
    lower = Simd::sub16(lower, excess);
    int channel = i / kVectors * kBlock + i % kVectors * kWords;
    target.put(channel, Simd::low(lower));
    target.put(channel + Simd::kLanes, Simd::high(lower));
    target.put(channel + kBlock / 2, Simd::low(upper[i]));
    target.put(channel + kBlock / 2 + Simd::kLanes, Simd::high(upper[i]));
  }
}

// The same for any number of events.
template <int n, bool is_narrow>
void sum_blocks(const Reads& reads, const int8_t* weights, const Target& target) {
  constexpr int kSums = 4 * n * Simd::kLanes;
  if (reads.n <= kMostRows) {
    sum_words<n, is_narrow>(reads.rows, reads.n, weights, target);
    return;
  }
  int32_t full[kSums];
  for (int first = 0; first < reads.n; first += kMostRows) {
    int count = reads.n - first < kMostRows ? reads.n - first : kMostRows;
    sum_words<n, is_narrow>(reads.rows + first, count, weights, {full, 0, first == 0});
  }
  for (int i = 0; i < kSums; i += Simd::kLanes) target.put(i, Simd::load(full + i));
}

// n vectors of 32-bit sums, of anything.
template <class Weight, bool is_graded, int n>
inline void sum_full(const Reads& reads, const Weight* weights, ptrdiff_t stride,
                     int channel, const Target& target) {
  const Weight* base = weights + channel;
  Simd::I32 sums[n];
  for (int i = 0; i < n; ++i) sums[i] = Simd::zero();
  for (int event = 0; event < reads.n; ++event) {
    const Weight* row = base + reads.rows[event] * stride;
    for (int i = 0; i < n; ++i) {
      Simd::I32 weight = Simd::widen32(row + i * Simd::kLanes);
      if (is_graded) weight = Simd::mul(weight, Simd::set(reads.values[event]));
      sums[i] = Simd::add(sums[i], weight);
    }
  }
  for (int i = 0; i < n; ++i) target.put(channel + i * Simd::kLanes, sums[i]);
}

// All sums of a pixel, as many at once as the registers allow.
template <class Weight, bool is_graded>
inline void sum_pixel(const Reads& reads, const Weight* weights, ptrdiff_t stride,
                      int n_channels, const Target& target) {
  int channel = 0;
  for (; channel + 4 * Simd::kLanes <= n_channels; channel += 4 * Simd::kLanes)
    sum_full<Weight, is_graded, 4>(reads, weights, stride, channel, target);
  for (; channel < n_channels; channel += Simd::kLanes)
    sum_full<Weight, is_graded, 1>(reads, weights, stride, channel, target);
}

template <int n, bool is_narrow>
inline void sum_pixel_of_blocks(const Reads& reads, const int8_t* weights,
                                ptrdiff_t stride, int channel, const Target& target) {
  constexpr int kAtOnce = 4 * n * Simd::kLanes;
  for (; channel + kAtOnce <= stride; channel += kAtOnce)
    sum_blocks<n, is_narrow>(reads, weights + channel,
                  {target.sums + channel, target.shift, target.is_first});
  if constexpr (kAtOnce > kBlock)
    sum_pixel_of_blocks<n / 2, is_narrow>(reads, weights, stride, channel, target);
}

// The rows of a source that a row of neurons sees.
struct Band {
  struct Row {
    const int32_t* begin;  // of the events of each pixel
    int offset;            // from the place of a neuron to its row of weights, at x = 0
  } rows[kMaxKernelRows];
  int n;
};

inline Band band_of(const Direct& by, const Weights& weights, const Events& events,
                    int y) {
  const int width = by.source.width;
  int top = y * by.stride_y - by.padding_y;
  Band band;
  band.n = 0;
  for (int row = 0; row < by.kernel_height; ++row) {
    if (top + row < 0 || top + row >= by.source.height) continue;
    int pixel = (top + row) * width;
    int offset = (row * weights.kernel_width - pixel) * by.source.channels;
    band.rows[band.n++] = {events.begin + pixel, offset};
  }
  return band;
}

// The columns of a source under the kernel; `left` may lie outside.
struct Columns {
  int left, first, last;
};

inline Columns columns_of(const Direct& by, const Weights& weights, int x) {
  int left = x * weights.stride_x - by.padding_x, right = left + weights.kernel_width;
  int width = by.source.width;
  auto inside = [width](int at) { return at < 0 ? 0 : at < width ? at : width; };
  return {left, inside(left), inside(right)};
}

// Writes the rows of weights of n events: their numbers, or for blocks their places; a
// whole number of vectors, at least one, so that none is no case of its own.
template <bool is_blocks>
inline void list_rows(const int32_t* neurons, int n, int offset, const Weights& weights,
                      int32_t* list) {
  Simd::I32 shift = Simd::set(offset), size = Simd::set((int32_t)weights.stride);
  int i = 0;
  do {
    Simd::I32 rows = Simd::add(Simd::load(neurons + i), shift);
    Simd::store(list + i, is_blocks ? Simd::mul(rows, size) : rows);
  } while ((i += Simd::kLanes) < n);
}

// Ends a list of places with those of rows of zeros.
inline void end_list(const Weights& weights, int32_t* end) {
  Simd::store(end, Simd::set((int32_t)(weights.n_rows * weights.stride)));
}

// Lists the events under the kernel; those of a row of the kernel lie together.
template <bool is_graded, bool is_blocks>
inline int gather(const Band& band, const Columns& columns, const Events& events,
                  int channels, const Weights& weights, int32_t* list,
                  int32_t* values) {
  int n = 0, shift = columns.left * channels;
  for (int row = 0; row < band.n; ++row) {
    int first = band.rows[row].begin[columns.first];
    int count = band.rows[row].begin[columns.last] - first;
    list_rows<is_blocks>(events.neurons + first, count, band.rows[row].offset - shift,
                         weights, list + n);
    if (is_graded) memcpy(values + n, events.values + first, count * sizeof *values);
    n += count;
  }
  if (is_blocks) end_list(weights, list + n);
  return n;
}

template <class Weight, bool is_graded, bool is_blocks>
inline void sum_pixel_of(const Reads& reads, const Weights& weights, const void* rows,
                         int n_sums, const Target& target) {
  const Weight* first = (const Weight*)rows;
  if constexpr (is_blocks) {
    if (weights.is_narrow)
      sum_pixel_of_blocks<Simd::kAtOnce, true>(reads, first, weights.stride, 0, target);
    else
      sum_pixel_of_blocks<Simd::kAtOnce, false>(reads, first, weights.stride, 0, target);
  } else
    sum_pixel<Weight, is_graded>(reads, first, weights.stride, n_sums, target);
}

// The sums of a row of neurons.
template <class Weight, bool is_graded, bool is_blocks>
void sum_row_of(const Neurons& to, const DirectInput& input, int y, Target target,
                int32_t* list) {
  const Direct& by = *input.direct;
  const Events& events = *input.events;
  const Weights& weights = is_blocks ? by.blocks : by.single;
  if (!by.is_conv) {
    int n = events.begin[by.source.height * by.source.width];
    const Weight* rows = (const Weight*)weights.rows + y * weights.next;
    if (is_blocks) {
      list_rows<is_blocks>(events.neurons, n, 0, weights, list);
      end_list(weights, list + n);
    }
    sum_pixel_of<Weight, is_graded, is_blocks>(
        {is_blocks ? list : events.neurons, events.values, n}, weights, rows,
        to.width * to.channels, target);
    return;
  }
  Band band = band_of(by, weights, events, y);
  const int channels = by.source.channels, n_sums = weights.n_pixels * to.channels;
  int32_t* values = list + band.n * weights.kernel_width * channels + kSlack;
  for (int x = 0; x * weights.n_pixels < to.width; ++x) {
    Columns columns = columns_of(by, weights, x);
    int n = gather<is_graded, is_blocks>(band, columns, events, channels, weights, list,
                                         values);
    sum_pixel_of<Weight, is_graded, is_blocks>({list, values, n}, weights,
                                               weights.rows, n_sums, target);
    target.sums += n_sums;
  }
}

// Marks the pixels of a row that an event reaches; other marks stay. `before` is scratch
// for the number of events in front of each column, in all rows under the kernel; columns
// left and right of the source have none.
void mark_row(const Neurons& to, const DirectInput& input, int y, int32_t* before,
              int32_t* marks) {
  const Direct& by = *input.direct;
  const Events& events = *input.events;
  const int width = by.source.width, stride = by.single.stride_x;
  if (!by.is_conv) {
    bool is_any = events.begin[by.source.height * width] > 0;
    for (int x = 0; is_any && x < to.width; ++x) marks[x] = -1;
    return;
  }
  Band band = band_of(by, by.single, events, y);
  int32_t* inside = before + by.padding_x;
  for (int x = 0; x <= width; x += Simd::kLanes) {
    Simd::I32 sum = Simd::zero();
    for (int row = 0; row < band.n; ++row)
      sum = Simd::add(sum, Simd::load(band.rows[row].begin + x));
    Simd::store(inside + x, sum);
  }
  for (int x = 0; x < by.padding_x; ++x) before[x] = inside[0];
  int end = (to.width - 1) * stride + by.single.kernel_width;
  for (int x = by.padding_x + width + 1; x <= end; ++x) before[x] = inside[width];
  const int32_t* behind = before + by.single.kernel_width;
  if (stride > 1) {
    for (int x = 0; x < to.width; ++x)
      marks[x] |= -(int32_t)(behind[x * stride] > before[x * stride]);
    return;
  }
  for (int x = 0; x < to.width; x += Simd::kLanes) {
    Simd::Mask found = Simd::greater(Simd::load(behind + x), Simd::load(before + x));
    Simd::I32 marked = Simd::where(found, Simd::set(-1));
    Simd::store(marks + x, Simd::bor(marked, Simd::load(marks + x)));
  }
}

}  // namespace
}  // namespace engine
