// One timestep of one population: sums, update, spikes. Included once per instruction
// set, after a header that defines Simd; all of it is local to that file.
#pragma once

#include "sums.h"
#include "update.h"
#include "dense.h"
#include "scatter.h"
#include "causes.h"

namespace engine {
namespace {

// Adds (or, for the first one, writes) what an input sends to a row of neurons. More is
// written behind the row.
void sum_row(const Neurons& to, const DirectInput& input, int y, int shift, bool is_first,
             int32_t* row, int32_t* list, int32_t* marks) {
  const Direct& by = *input.direct;
  const Target target{row, shift, is_first};
  bool is_graded = input.events->values != nullptr;
  if (!is_graded && by.blocks.rows)
    sum_row_of<int8_t, false, true>(to, input, y, target, list);
  else if (is_graded && by.is_wide)
    sum_row_of<int16_t, true, false>(to, input, y, target, list);
  else if (is_graded)
    sum_row_of<int8_t, true, false>(to, input, y, target, list);
  else if (by.is_wide)
    sum_row_of<int16_t, false, false>(to, input, y, target, list);
  else
    sum_row_of<int8_t, false, false>(to, input, y, target, list);
  if (marks) mark_row(to, input, y, list, marks);
}

void sum(const Neurons& to, const DirectInput& input, int32_t* sums, int32_t* list) {
  for (int y = 0; y < to.height; ++y, sums += (ptrdiff_t)to.width * to.channels)
    sum_row(to, input, y, 0, true, sums, list, nullptr);
}

void mark(const Neurons& to, const DirectInput& input, int32_t* list, int32_t* marks,
          uint8_t* reached) {
  for (int y = 0; y < to.height; ++y, reached += to.width * to.channels / 8) {
    memset(marks, 0, to.width * sizeof *marks);
    mark_row(to, input, y, list, marks);
    spread_marks(to, marks, reached);
  }
}

// The sums of a row; the weighted sums that arrive, before the shift of the input.
void arrive(const Step& step, int y) {
  const Neurons& to = *step.neurons;
  int n = to.width * to.channels;
  int32_t* row = step.row;
  int32_t* marks = step.reached ? step.marks : nullptr;
  if (marks) memset(marks, 0, to.width * sizeof *marks);
  bool is_first = true;
  for (int i = 0; i < step.n_inputs; ++i) {
    const DirectInput& input = step.inputs[i];
    sum_row(to, input, y, input.direct->shift, is_first, row, step.list, marks);
    is_first = false;
  }
  for (int i = 0; i < step.n_addends; ++i) {
    const int32_t* sums = step.addends[i].sums + (ptrdiff_t)y * n;
    int shift = step.addends[i].shift;
    for (int j = 0; j < n; j += Simd::kLanes) {
      Simd::I32 found = shifted(Simd::load(sums + j), shift);
      if (!is_first) found = Simd::add(found, Simd::load(row + j));
      Simd::store(row + j, found);
    }
    is_first = false;
  }
  if (is_first) memset(row, 0, n * sizeof *row);
}

int advance(const Step& step) {
  int n_spikes = 0;
  step.out.begin[0] = 0;
  for (int y = 0; y < step.neurons->height; ++y) {
    arrive(step, y);
    n_spikes = update_row(step, y, n_spikes);
  }
  return n_spikes;
}

void count(const Sets& sets, const uint8_t* bits, int32_t* counts, int step) {
  for (int set = 0; set < sets.n; ++set) {
    int n = 0;
    for (int i = sets.starts[set]; i < sets.starts[set + 1]; ++i) {
      uint64_t word;
      memcpy(&word, bits + 8 * (ptrdiff_t)sets.words[i], sizeof word);
      n += __builtin_popcountll(word & sets.masks[i]);
    }
    counts[sets.numbers[set] * (ptrdiff_t)step] += n;
  }
}

// Sees whether values are all 0 or 1.
struct Seen {
  Simd::I32 lanes = Simd::zero();
  int32_t single = 0;

  bool are_ones() const {
    int32_t found[Simd::kLanes], all = single;
    Simd::store(found, lanes);
    for (int32_t lane : found) all |= lane;
    return (all & ~1) == 0;
  }
};

// The bits of those of up to 64 values that are not 0.
inline uint64_t nonzero(const int32_t* values, int n, Seen* seen) {
  uint64_t found = 0;
  int i = 0;
  for (; i < 64 && i + Simd::kLanes <= n; i += Simd::kLanes) {
    Simd::I32 value = Simd::load(values + i);
    seen->lanes = Simd::bor(seen->lanes, value);
    found |= (uint64_t)Simd::bits(Simd::nonzero(value)) << i;
  }
  for (; i < 64 && i < n; ++i) {
    seen->single |= values[i];
    found |= (uint64_t)(values[i] != 0) << i;
  }
  return found;
}

// Writes the positions of what is not 0; out has room for a vector more.
int find(const int32_t* values, int n, int32_t* out, bool* are_ones) {
  int n_found = 0;
  Seen seen;
  for (int i = 0; i < n; i += 64)
    n_found += Simd::emit(nonzero(values + i, n - i, &seen), i, out + n_found);
  *are_ones = seen.are_ones();
  return n_found;
}

// Swaps bit i of word j and bit j of word i, of 64 words.
inline void transpose(uint64_t* words) {
  uint64_t mask = 0x00000000ffffffff;
  for (int size = 32; size; size /= 2, mask ^= mask << size)
    for (int first = 0; first < 64; first += 2 * size)
      for (int i = first; i < first + size; ++i) {
        uint64_t swapped = (words[i] >> size ^ words[i + size]) & mask;
        words[i] ^= swapped << size;
        words[i + size] ^= swapped;
      }
}

// The same of maps, one for each channel, of which all channels of a pixel are wanted
// before those of the next. `words` is scratch.
int find_in_maps(const int32_t* values, int n_pixels, int channels, uint64_t* words,
                 int32_t* out, int32_t* begin, bool* are_ones) {
  int n_found = 0;
  Seen seen;
  for (int first = 0; first < n_pixels; first += 64) {
    for (int channel = 0; channel < channels; ++channel) {
      const int32_t* from = values + (ptrdiff_t)channel * n_pixels + first;
      words[channel] = nonzero(from, n_pixels - first, &seen);
    }
    for (int channel = channels; channel % 64; ++channel) words[channel] = 0;
    for (int channel = 0; channel < channels; channel += 64) transpose(words + channel);
    if (channels == 8 || channels == 16 || channels == 32) {  // several pixels at once
      for (int i = 0; i < 64 && first + i < n_pixels; i += 64 / channels) {
        uint64_t together = 0;
        for (int j = 0; j < 64; j += channels) {
          begin[first + i + j / channels] = n_found + __builtin_popcountll(together);
          together |= words[i + j / channels] << j;
        }
        n_found += Simd::emit(together, (first + i) * channels, out + n_found);
      }
      continue;
    }
    for (int pixel = first; pixel < n_pixels && pixel < first + 64; ++pixel) {
      begin[pixel] = n_found;
      for (int channel = 0; channel < channels; channel += 64)
        n_found += Simd::emit(words[channel + pixel - first], pixel * channels + channel,
                              out + n_found);
    }
  }
  *are_ones = seen.are_ones();
  return n_found;
}

// Writes where the events of each pixel begin, if a pixel has at most one.
void begin(const int32_t* pixels, int n, int n_pixels, int32_t* out) {
  int pixel = 0;
  for (int i = 0; i <= n; ++i) {
    int last = i < n ? pixels[i] : n_pixels;
    Simd::I32 index = Simd::set(i);
    for (; pixel <= last; pixel += Simd::kLanes) Simd::store(out + pixel, index);
    pixel = last + 1;
  }
}

}  // namespace
}  // namespace engine
