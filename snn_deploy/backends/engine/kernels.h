// One timestep of one population: sums, update, spikes. Included once per instruction
// set, after a header that defines Simd; all of it is local to that file.
#pragma once

#include "sums.h"
#include "update.h"
#include "dense.h"
#include "scatter.h"
#include "causes.h"
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

// Writes the positions of what is not 0; out has room for a vector more.
int find(const int32_t* values, int n, int32_t* out, bool* are_ones) {
  int n_found = 0;
  int32_t lanes[Simd::kLanes], seen = 0;
  Simd::I32 all = Simd::zero();
  for (int i = 0; i < n; i += 64) {
    uint64_t found = 0;
    int j = 0;
    for (; j < 64 && i + j + Simd::kLanes <= n; j += Simd::kLanes) {
      Simd::I32 value = Simd::load(values + i + j);
      all = Simd::bor(all, value);
      found |= (uint64_t)Simd::bits(Simd::nonzero(value)) << j;
    }
    for (; j < 64 && i + j < n; ++j) {
      seen |= values[i + j];
      found |= (uint64_t)(values[i + j] != 0) << j;
    }
    n_found += Simd::emit(found, i, out + n_found);
  }
  Simd::store(lanes, all);
  for (int32_t lane : lanes) seen |= lane;
  *are_ones = (seen & ~1) == 0;
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
