// What spikes cause on the chip, counted in groups of words of neurons.
#pragma once

#include <cstring>

#include "layout.h"

namespace engine {
namespace {

void tally(const Causes& by, const uint8_t* bits, int32_t* counts) {
  for (int group = 0; group < by.n_groups; ++group) {
    int other = by.other_starts[group], end = by.other_starts[group + 1];
    const uint64_t mask = by.masks[group];
    int32_t total = 0;
    Simd::Counter spikes;
    for (int i = by.starts[group]; i < by.starts[group + 1]; ++i) {
      uint64_t word;
      memcpy(&word, bits + by.bytes[i], sizeof word);
      word &= mask;
      total += __builtin_popcountll(word);
      if (other < end) spikes.add(word);
    }
    if (!total) continue;
    for (int i = by.same_starts[group]; i < by.same_starts[group + 1]; ++i)
      counts[by.same_columns[i]] += by.same_amounts[i] * total;
    for (; other < end; ++other)
      counts[by.other_columns[other]] +=
          spikes.times(by.amounts + by.other_places[other]);
  }
}

}  // namespace
}  // namespace engine
