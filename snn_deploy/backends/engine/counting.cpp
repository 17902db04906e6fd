// The part of a Runner that counts what a chip would do.
#include <algorithm>

#include "runner.h"

namespace engine {

void Runner::count_spikes(int sender, int row) {
  const Tally& tally = counting_->tally_of(sender);
  int32_t* counts = row_of_counts(row);
  if (sender < 0 && input_.is_constant && !counted_input_.empty()) {
    for (size_t i = 0; n_input_ && i < counted_input_.size(); ++i)
      counts[i] += counted_input_[i];
    return;
  }
  if (!tally.groups.is_empty()) {
    kernels_.tally(tally.groups.causes(), spiked_by(sender), counts);
  } else {
    count_singly(sender, counts);
  }
  // the first one counted is row 0, which holds nothing else yet
  if (sender < 0 && input_.is_constant)
    counted_input_.assign(counts, counts + counting_->columns.n);
}

void Runner::count_singly(int sender, int32_t* counts) {
  const Tally& tally = counting_->tally_of(sender);
  const int n_kinds = (int)tally.starts.size() - 1;
  int32_t* of_kind = of_kind_.data();
  const int32_t* neurons = spikes_of(sender).neurons.data();
  int n = sender < 0 ? n_input_ : live_[sender].n_spikes;
  for (int i = 0; i < n; ++i)  // one that is listed several times sends one packet
    if (i == 0 || neurons[i] != neurons[i - 1]) ++of_kind[tally.kind_of[neurons[i]]];
  for (int kind = 0; kind < n_kinds; ++kind) {
    int32_t found = of_kind[kind];
    if (!found) continue;
    for (int i = tally.starts[kind]; i < tally.starts[kind + 1]; ++i)
      counts[tally.columns[i]] += tally.amounts[i] * found;
    of_kind[kind] = 0;
  }
}

// The bits of the neurons that spike.
const uint8_t* Runner::spiked_by(int sender) {
  if (sender >= 0) return live_[sender].spiked.data();
  std::fill(input_bits_.begin(), input_bits_.end(), 0);
  for (int i = 0; i < n_input_; ++i) {
    int32_t neuron = input_spikes_.neurons[i];
    input_bits_[neuron / 8] |= (uint8_t)(1 << neuron % 8);
  }
  return input_bits_.data();
}

void Runner::count_updates(int index, int row) {
  const Live& live = live_[index];
  kernels_.count(counting_->tally_of(index).by_core.sets(), live.reached.data(),
                 row_of_counts(row) + counting_->columns.update,
                 counting_->columns.of_core);
}

// The same for neurons at rest, which only a bias keeps busy.
void Runner::count_held(int index, int row) {
  Live& live = live_[index];
  if (live.held.empty()) {
    live.held.resize(counting_->mapped.size());
    kernels_.count(counting_->tally_of(index).by_core.sets(), live.biased.data(),
                   live.held.data(), 1);
  }
  int32_t* counts = row_of_counts(row) + counting_->columns.update;
  for (size_t core = 0; core < live.held.size(); ++core)
    counts[core * counting_->columns.of_core] += live.held[core];
}

}  // namespace engine
