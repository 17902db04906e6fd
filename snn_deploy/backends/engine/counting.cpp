// The part of a Runner that counts what a chip would do.
#include "runner.h"

namespace engine {

void Runner::count_spikes(int sender, int row) {
  const Tally& tally = counting_->tally_of(sender);
  const int n_kinds = (int)tally.starts.size() - 1;
  int32_t* of_kind = of_kind_.data();
  if (tally.by_kind.words.empty()) {
    const int32_t* neurons = spikes_of(sender).neurons.data();
    int n = sender < 0 ? n_input_ : live_[sender].n_spikes;
    for (int i = 0; i < n; ++i)  // one that is listed several times sends one packet
      if (i == 0 || neurons[i] != neurons[i - 1]) ++of_kind[tally.kind_of[neurons[i]]];
  } else {
    kernels_.count(tally.by_kind.sets(), live_[sender].spiked.data(), of_kind, 1);
  }
  int32_t* counts = row_of_counts(row);
  for (int kind = 0; kind < n_kinds; ++kind) {
    int32_t n = of_kind[kind];
    if (!n) continue;
    for (int i = tally.starts[kind]; i < tally.starts[kind + 1]; ++i)
      counts[tally.columns[i]] += tally.amounts[i] * n;
    of_kind[kind] = 0;
  }
}

void Runner::count_updates(int index, int row) {
  const Live& live = live_[index];
  kernels_.count(counting_->tally_of(index).by_core.sets(), live.reached.data(),
                 row_of_counts(row) + counting_->columns.update,
                 counting_->columns.of_core);
}

}  // namespace engine
