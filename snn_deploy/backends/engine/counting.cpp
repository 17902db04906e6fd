// The part of a Runner that counts what a chip would do.
#include "runner.h"

namespace engine {

void Runner::count_spikes(int sender, const Spikes& spikes, int n, int row) {
  const Tally& tally = network_.tally_of(sender);
  const int32_t* kind_of = tally.kind_of.data();
  int32_t* of_kind = of_kind_.data();
  int32_t* kinds = kinds_.data();
  int n_kinds = 0;
  for (int i = 0; i < n; ++i) {
    int kind = kind_of[spikes.neurons[i]];
    kinds[n_kinds] = kind;
    n_kinds += of_kind[kind]++ == 0;
  }
  int32_t* counts = counts_.data() + (size_t)row * network_.n_columns;
  for (int i = 0; i < n_kinds; ++i) {
    int kind = kinds[i], last = tally.starts[kind + 1];
    for (int j = tally.starts[kind]; j < last; ++j)
      counts[tally.columns[j]] += tally.amounts[j] * of_kind[kind];
    of_kind[kind] = 0;
  }
}

void Runner::count_updates(int index, int row) {
  const Tally& tally = network_.tally_of(index);
  const Live& live = live_[index];
  int32_t* counts = counts_.data() + (size_t)row * network_.n_columns + 1;
  kernels_.count(tally.shares.data(), (int)tally.shares.size(), live.busy.data(),
                 live.reached.data(), counts);
}

}  // namespace engine
