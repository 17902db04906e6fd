#include "runner.h"

#include <algorithm>
#include <cstring>

namespace engine {

namespace {

template <class Vector>
void clear(Vector& values) {
  std::fill(values.begin(), values.end(), 0);
}

// How often a neuron is listed that spikes up to `most` times in a timestep.
size_t repeats(int most) { return most > kMostRepeated ? 1 : (size_t)most; }

void unite(const std::vector<uint8_t>& from, std::vector<uint8_t>& to) {
  for (size_t i = 0; i < from.size(); ++i) to[i] |= from[i];
}

}  // namespace

void Spikes::allocate(const Grid& grid, int most) {
  has_values = most > kMostRepeated;
  neurons.resize(size_of(grid) * repeats(most) + kSlack);
  if (has_values) values.resize(size_of(grid) + kSlack);
  begin.resize((size_t)grid.height * grid.width + 1 + kSlack);
  events = {neurons.data(), has_values ? values.data() : nullptr, begin.data()};
}

Runner::Runner(const Network& network, const Kernels& kernels, const Counting* counting)
    : network_(network), kernels_(kernels), counting_(counting) {
  input_spikes_.allocate(network.source, kMostRepeated + 1);
  words_.resize(((size_t)network.source.channels + 63) / 64 * 64);
  live_.resize(network.populations.size());
  size_t widest = 0, most_pixels = 0, most_kinds = 0;
  for (size_t i = 0; i < live_.size(); ++i) {
    const Population& population = network.populations[i];
    Live& live = live_[i];
    size_t size = population.size();
    size_t n_bytes = population.busy.size();
    live.current.resize(size);
    live.voltage.resize(size);
    if (population.neurons.refractory) live.resting.resize(size);
    live.busy.resize(n_bytes);
    live.reached.resize(n_bytes);
    live.spiked.resize(n_bytes + sizeof(uint64_t));
    live.neurons = population.neurons;
    live.spikes.allocate(population.grid, population.neurons.max_spikes);
    widest = std::max(widest, (size_t)population.grid.width * population.grid.channels);
    most_pixels = std::max(most_pixels, (size_t)population.grid.width);
  }
  marks_.resize(most_pixels + kSlack);
  for (const Projection& p : network.projections) {
    if (!p.is_direct) continue;
    const Direct& by = p.direct;
    int width = std::max(by.single.kernel_width, by.blocks.kernel_width);
    size_t n_events = (size_t)by.kernel_height * width * by.source.channels;
    if (!by.is_conv) n_events = size_of(by.source);
    if (p.source >= 0)
      n_events *= repeats(network.populations[p.source].neurons.max_spikes);
    size_t n_columns = (size_t)by.source.width + 2 * by.padding_x + 1;  // see mark_row
    n_events = std::max(n_events, n_columns) + kSlack;
    if (2 * n_events > list_.size()) list_.resize(2 * n_events);
    behind_ = std::max(behind_, (size_t)by.blocks.stride);
  }
  row_.resize(widest + behind_);
  rings_.resize(network.projections.size());
  constant_.resize(network.projections.size());
  sort_projections();
  if (counting)
    for (const Tally& tally : counting->tallies)
      most_kinds = std::max(most_kinds, tally.starts.size() - 1);
  of_kind_.resize(most_kinds);
  input_bits_.resize(((size_t)size_of(network.source) + 63) / 64 * sizeof(uint64_t));
}

// Which projections are summed directly depends on whether the input is constant.
void Runner::sort_projections() {
  scattered_.assign(network_.from.size(), {});
  for (size_t i = 0; i < live_.size(); ++i) {
    Live& live = live_[i];
    live.inputs.clear();
    live.later.clear();
    for (int index : network_.into[i]) {
      const Projection& p = network_.projections[index];
      if (p.is_direct && !is_constant(p)) {
        live.inputs.push_back({&p.direct, &spikes_of(p.source).events});
        continue;
      }
      live.later.push_back(index);
      if (!is_constant(p)) scattered_[p.source + 1].push_back(index);
    }
  }
}

void Runner::start(const Input& input, int32_t* counts) {
  bool is_sorted = input.is_constant == input_.is_constant;
  input_ = input;
  counts_ = counts;
  timestep_ = 0;
  counted_input_.clear();
  if (!is_sorted) sort_projections();
  for (size_t i = 0; i < live_.size(); ++i) {
    const Population& population = network_.populations[i];
    Live& live = live_[i];
    if (population.neurons.keeps_current) clear(live.current);
    clear(live.resting);
    if (counts) {
      live.busy = population.busy;
      live.biased = population.biased;
      live.held.clear();
    }
    live.n_spikes = 0;
    use_bias(population, live);
  }
  for (Ring& ring : rings_) {
    for (size_t slot = 0; slot < ring.is_used.size(); ++slot) {
      if (!ring.is_used[slot]) continue;
      clear(ring.sums[slot]);
      clear(ring.reached[slot]);
      ring.is_used[slot] = 0;
    }
  }
  if (input.is_constant) sum_input();
}

void Runner::use_bias(const Population& population, Live& live) {
  live.neurons = population.neurons;
  if (!population.takes_bias || !input_.bias) return;
  std::vector<int32_t> biases(population.size());
  for (size_t i = 0; i < population.position.size(); ++i)
    biases[population.position[i]] =
        (int32_t)(input_.bias[i] * ((int64_t)1 << population.bias_exponent));
  live.registers = blocks_of(population.rows, biases, biases.size());
  live.neurons.registers = live.registers.data();
  live.neurons.is_per_neuron = true;
  if (!counts_) return;
  live.busy = busy_bits(population.initial_voltage, biases);
  live.biased = busy_bits(Aligned<int32_t>(population.size()), biases);
}

void Runner::advance() {
  ++timestep_;
  // what comes behind the answer matters only to streams
  int behind = counts_ ? network_.lag : network_.depth();
  advance(timestep_, network_.n_timesteps + behind);
}

void Runner::finish() {
  if (!counts_ || !timestep_) return;
  const int last = timestep_ + network_.depth(), lag = network_.lag;
  const int tail = network_.n_timesteps + network_.depth();
  const std::vector<int32_t>& mapped = counting_->mapped;
  const Columns& columns = counting_->columns;
  memmove(row_of_counts(tail), row_of_counts(timestep_),
          (size_t)lag * columns.n * sizeof *counts_);
  int behind = std::max(last, std::min(timestep_ + lag, tail));
  std::fill(row_of_counts(last), row_of_counts(behind), 0);
  for (int i = 0; i < last; ++i)
    for (size_t core = 0; core < mapped.size(); ++core)
      row_of_counts(i)[core * columns.of_core + columns.access] += mapped[core];
  for (int local = timestep_ + 1; local <= last; ++local) {
    if (network_.holds && local > network_.n_timesteps)
      hold(local, last);
    else
      advance(local, last);
  }
  for (int row = network_.n_timesteps; row < last; ++row)  // a part of the whole
    for (int i = 0; i < columns.n; ++i)
      row_of_counts(row)[i] += row_of_counts(row + running_on())[i];
}

// Advances what has a chip timestep up to the last one at its own timestep `local`.
void Runner::advance(int local, int last) {
  read_input(local);
  send(-1, local);
  if (counts_ && local <= last) count_spikes(-1, local - 1);
  for (int i = 0; i < (int)live_.size(); ++i) {
    int chip_timestep = local + network_.populations[i].offset;
    if (chip_timestep > last) continue;
    advance_population(i, local, limited_by(i, local));
    send(i, local);
    if (!counts_) continue;
    int row = chip_timestep - 1 + (local > network_.n_timesteps ? running_on() : 0);
    count_updates(i, row);
    count_spikes(i, row);
  }
}

// Counts what has a chip timestep up to the last one at its own timestep `local`, in which
// it is at rest: neurons that come to rest, or that a bias or a late spike keeps busy.
void Runner::hold(int local, int last) {
  for (int i = 0; i < (int)live_.size(); ++i) {
    int chip_timestep = local + network_.populations[i].offset;
    if (chip_timestep > last) continue;
    Live& live = live_[i];
    if (live.later.empty() && local > network_.n_timesteps + 1) {
      count_held(i, chip_timestep - 1 + running_on());
      continue;
    }
    live.reached = live.busy;
    live.busy = live.biased;
    addends_.clear();
    for (int projection : live.later) {
      add_arriving(projection, local, live);
      free_arrived(projection, local);
    }
    count_updates(i, chip_timestep - 1 + running_on());
  }
}

void Runner::read_input(int local) {
  bool is_over = local > network_.n_timesteps;
  if (is_over || (!input_.is_constant && local > input_.n_rows)) {
    clear(input_spikes_.begin);
    n_input_ = 0;
  } else if (!input_.is_constant) {
    read_row(local - 1);
  }
}

void Runner::read_row(int row) {
  const Grid& grid = network_.source;
  Spikes& spikes = input_spikes_;
  const int n_pixels = grid.height * grid.width, size = size_of(grid);
  const int32_t* values = input_.values + (size_t)row * size;
  int32_t* neurons = spikes.neurons.data();
  int32_t* begin = spikes.begin.data();
  int n = 0;
  bool is_binary;
  if (n_pixels == 1 || grid.channels == 1) {
    n = kernels_.find(values, size, neurons, &is_binary);
    if (n_pixels > 1) kernels_.begin(neurons, n, n_pixels, begin);
    for (int i = 0; i < n && !is_binary; ++i) spikes.values[i] = values[neurons[i]];
  } else {
    n = kernels_.find_in_maps(values, n_pixels, grid.channels, words_.data(), neurons,
                              begin, &is_binary);
    for (int i = 0; i < n && !is_binary; ++i) {
      int pixel = neurons[i] / grid.channels, channel = neurons[i] % grid.channels;
      spikes.values[i] = values[(size_t)channel * n_pixels + pixel];
    }
  }
  begin[0] = 0;
  begin[n_pixels] = n;
  n_input_ = n;
  spikes.events.values = is_binary ? nullptr : spikes.values.data();
  if (row + 1 < input_.n_rows)  // the next one is wanted soon; L1 is for weights
    for (int i = 0; i < size; i += 64 / (int)sizeof *values)
      __builtin_prefetch(values + size + i, 0, 2);
}

// Where to count what meets a limit in the input's own timesteps; null: nothing can.
int32_t* Runner::limited_by(int index, int local) {
  const Population& population = network_.populations[index];
  bool is_watched = population.is_watched || input_.is_extreme;
  if (!counts_ || !is_watched || local > timestep_) return nullptr;
  int row = local + population.offset - 1;
  return row_of_counts(row) + counting_->columns.limits;
}

void Runner::advance_population(int index, int local, int32_t* limited) {
  Live& live = live_[index];
  addends_.clear();
  if (counts_) live.reached = live.busy;  // both are updated
  for (int projection : live.later) add_arriving(projection, local, live);
  const int32_t* before = live.voltage.data();
  if (local == 1) before = network_.populations[index].initial_voltage.data();
  Step step{&live.neurons,
            {before, live.current.data(), live.voltage.data(),
             live.resting.empty() ? nullptr : live.resting.data(), live.busy.data()},
            live.inputs.data(),
            (int)live.inputs.size(),
            addends_.data(),
            (int)addends_.size(),
            row_.data(),
            list_.data(),
            marks_.data(),
            live.spiked.data(),
            counts_ ? live.reached.data() : nullptr,
            limited,
            live.spikes.events};
  live.n_spikes = kernels_.advance(step);
  for (int projection : live.later) free_arrived(projection, local);
}

void Runner::free_arrived(int projection, int local) {
  Ring& ring = rings_[projection];
  if (ring.sums.empty()) return;
  size_t slot = local % ring.sums.size();
  if (!ring.is_used[slot]) return;
  clear(ring.sums[slot]);
  clear(ring.reached[slot]);
  ring.is_used[slot] = 0;
}

void Runner::add_arriving(int index, int local, Live& live) {
  const Projection& p = network_.projections[index];
  if (is_constant(p)) {
    int sent = local - p.delay;
    if (sent < 1 || sent > network_.n_timesteps) return;
    addends_.push_back({constant_[index].sums.data(), p.shift});
    if (counts_) unite(constant_[index].reached, live.reached);
    return;
  }
  Ring& ring = rings_[index];
  if (ring.sums.empty()) return;
  size_t slot = local % ring.sums.size();
  if (!ring.is_used[slot]) return;
  addends_.push_back({ring.sums[slot].data(), p.shift});
  if (counts_) unite(ring.reached[slot], live.reached);
}

// Scatters the spikes of a sender along the projections that are not summed directly.
void Runner::send(int sender, int local) {
  for (int index : scattered_[sender + 1]) {
    const Spikes& from = spikes_of(sender);
    int n = sender < 0 ? n_input_ : live_[sender].n_spikes;
    if (n) scatter(network_.projections[index], from, n, local, rings_[index]);
  }
}

void Runner::scatter(const Projection& p, const Spikes& from, int n, int local,
                     Ring& ring) {
  size_t n_slots = (size_t)p.longest_delay + 1;
  if (ring.sums.empty()) {
    ring.sums.resize(n_slots);
    ring.reached.resize(n_slots);
    ring.is_used.resize(n_slots);
  }
  for (int i = 0; i < n; ++i) {
    int32_t neuron = from.neurons[i];
    int delay = p.delay + (p.axon_delay.empty() ? 0 : p.axon_delay[neuron]);
    size_t slot = (size_t)(local + delay) % n_slots;
    if (!ring.is_used[slot]) {
      ring.sums[slot].resize(network_.populations[p.target].size());
      ring.reached[slot].resize(live_[p.target].reached.size());
      ring.is_used[slot] = 1;
    }
    int32_t value = from.events.values ? from.events.values[i] : 1;
    kernels_.scatter(p.scatter, neuron, value, ring.sums[slot].data(),
                     counts_ ? ring.reached[slot].data() : nullptr);
  }
}

void Runner::read_out(const int64_t* before, int64_t* values) const {
  const Population& population = network_.output();
  const Live& live = live_[network_.output_index];
  const size_t n = population.position.size();
  if (before)
    std::copy_n(before, n, values);
  else
    std::fill_n(values, n, 0);
  if (!population.spikes) {
    for (size_t i = 0; i < n; ++i) values[i] += live.voltage[population.position[i]];
    return;
  }
  for (int i = 0; i < live.n_spikes; ++i) {
    int place = population.place[live.spikes.neurons[i]];
    values[place] += live.spikes.has_values ? live.spikes.values[i] : 1;
  }
}

}  // namespace engine
