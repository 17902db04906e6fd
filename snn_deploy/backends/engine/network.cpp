#include "network.h"

#include "direct.h"
#include "groups.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace engine {

namespace {

constexpr int kMostNeurons = 1 << 30;
constexpr int kLongest = 1 << 15;  // sides of kernels, strides, paddings
constexpr int kLatest = 1 << 20;   // delays and offsets
constexpr int kLargest = 1 << 30;  // of a bias, or of a threshold under 0
constexpr int kMostShift = 19;     // of the bias of an input, up to 4095

constexpr int kMostColumns = 1 << 28;

void require(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument(message);
}

void require_supported(bool holds, const std::string& message) {
  if (!holds) throw LimitError(message);
}

void check_grid(const Grid& grid) {
  require(grid.height > 0 && grid.width > 0 && grid.channels > 0,
          "height, width and channels must be at least 1");
  int64_t size = (int64_t)grid.height * grid.width * grid.channels;
  require_supported(size < kMostNeurons, "2**30 neurons or more in a layer");
}

// Weights that a projection must have.
int64_t n_weights(const Projection& p) {
  const Scatter& s = p.scatter;
  int64_t n_in = size_of(s.source), n_out = size_of(s.target);
  if (s.kind == Scatter::kDense) return n_in * n_out;
  if (s.kind == Scatter::kSparse) return (int64_t)p.targets.size();
  if (p.is_direct)
    return (int64_t)s.kernel_height * s.kernel_width * s.source.channels *
           s.target.channels;
  return (int64_t)s.kernel_height * s.kernel_width * s.groups * s.group_in * s.group_out;
}

// The positions of a kernel.
int outputs(int size, int padding, int kernel, int dilation, int stride) {
  int64_t positions = (int64_t)size + 2 * padding - (int64_t)dilation * (kernel - 1) - 1;
  return positions < 0 ? 0 : (int)(positions / stride) + 1;
}

void check_conv(const Scatter& s, const Grid& source, const Grid& target) {
  require(s.kernel_height > 0 && s.kernel_width > 0 && s.stride_y > 0 && s.stride_x > 0 &&
              s.padding_y >= 0 && s.padding_x >= 0 && s.dilation_y > 0 &&
              s.dilation_x > 0 && s.groups > 0 && s.group_in > 0 && s.group_out > 0,
          "a convolution has a size, stride, dilation or number of groups under 1");
  for (int n : {s.kernel_height, s.kernel_width, s.stride_y, s.stride_x, s.padding_y,
                s.padding_x, s.dilation_y, s.dilation_x})
    require_supported(n < kLongest, "a convolution with a kernel, stride, padding or "
                                    "dilation of 2**15 or more");
  require((int64_t)s.groups * s.group_in <= source.channels &&
              (int64_t)s.groups * s.group_out <= target.channels,
          "a convolution has more channels than its ends");
  int height = outputs(source.height, s.padding_y, s.kernel_height, s.dilation_y,
                       s.stride_y);
  int width = outputs(source.width, s.padding_x, s.kernel_width, s.dilation_x,
                      s.stride_x);
  require(height >= target.height && width >= target.width,  // the last are left out
          "a convolution has other positions than its target");
}

void check_sparse(const Projection& p, int n_in, int n_out) {
  require((int)p.starts.size() == n_in + 1 && p.starts.front() == 0 &&
              p.starts.back() == (int)p.targets.size(),
          "sparse synapses need a start for every source neuron");
  for (int i = 0; i < n_in; ++i)
    require(p.starts[i] <= p.starts[i + 1], "the starts of sparse synapses descend");
  for (int32_t target : p.targets)
    require(target >= 0 && target < n_out, "a sparse synapse leads to no neuron");
}

// The sets of neurons with the same number; a negative one is that of no set.
Partition partition_of(const std::vector<int32_t>& set_of, int n_sets) {
  struct Part {
    int32_t word;
    uint64_t mask;
  };
  std::vector<std::vector<Part>> parts(n_sets);
  for (size_t i = 0; i < set_of.size(); ++i) {
    if (set_of[i] < 0) continue;
    std::vector<Part>& own = parts[set_of[i]];
    int32_t word = (int32_t)(i / 64);
    if (own.empty() || own.back().word != word) own.push_back({word, 0});
    own.back().mask |= (uint64_t)1 << i % 64;
  }
  Partition found;
  found.starts.push_back(0);
  for (int set = 0; set < n_sets; ++set) {
    if (parts[set].empty()) continue;
    found.numbers.push_back(set);
    for (const Part& part : parts[set]) {
      found.words.push_back(part.word);
      found.masks.push_back(part.mask);
    }
    found.starts.push_back((int32_t)found.words.size());
  }
  return found;
}

void set(Keep& keep, int lane, int32_t value) {
  keep.of_4096[lane] = value;
  keep.fraction[lane] = (float)value / (1 << kDecayBits);
}

}  // namespace

int size_of(const Grid& grid) { return grid.height * grid.width * grid.channels; }

Aligned<Registers> blocks_of(const Rows& rows, const std::vector<int32_t>& biases,
                                 size_t n) {
  Aligned<Registers> blocks(n / kChannels);
  size_t given = rows.threshold.size();  // for one pixel, or all
  for (size_t i = 0; i < n; ++i) {
    Registers& block = blocks[i / kChannels];
    int lane = i % kChannels;
    set(block.voltage_keep, lane, rows.voltage_keep[i % given]);
    block.bias[lane] = biases[i % biases.size()];
    block.threshold[lane] = rows.threshold[i % given];
    block.reset_amount[lane] = rows.reset_amount[i % given];
    block.lowest[lane] = rows.lowest.empty() ? -kVoltageLimit : rows.lowest[i % given];
    set(block.current_keep, lane, rows.current_keep[i % given]);
  }
  return blocks;
}

std::vector<uint8_t> busy_bits(const Aligned<int32_t>& voltages,
                               const std::vector<int32_t>& biases) {
  std::vector<uint8_t> busy((voltages.size() / 8 + 7) / 8 * 8);
  for (size_t i = 0; i < voltages.size(); ++i)
    if (voltages[i] || biases[i % biases.size()]) busy[i / 8] |= (uint8_t)(1 << i % 8);
  return busy;
}

namespace {

void check_registers(const Rows& rows, int max_spikes) {
  for (const std::vector<int32_t>* keeps : {&rows.current_keep, &rows.voltage_keep})
    for (int32_t keep : *keeps)
      require(keep >= 0 && keep <= 4097, "a decay is out of range");
  for (int32_t bias : rows.bias)
    require_supported(bias > -kLargest && bias < kLargest, "a bias of 2**30 or more");
  for (int32_t threshold : rows.threshold)
    require_supported(threshold > -kLargest, "a threshold of -2**30 or less");
  for (int32_t amount : rows.reset_amount) {
    require(amount > (max_spikes > 1 ? 0 : -1), "a reset amount is out of range");
    require_supported(amount <= kVoltageLimit, "a reset amount of 2**23 or more");
  }
  for (int32_t lowest : rows.lowest)
    require(lowest >= -kVoltageLimit && lowest <= kVoltageLimit,
            "a lowest voltage is out of range");
}

}  // namespace

Builder::Builder(Grid source, int n_timesteps, Functional functional, bool holds)
    : network_(new Network{}) {
  check_grid(source);
  require(n_timesteps >= 1, "timesteps must be at least 1");
  network_->source = source;
  network_->n_timesteps = n_timesteps;
  network_->functional = functional;
  network_->holds = holds;
  network_->from.resize(1);
}

Network& Builder::network() const {
  require(network_ != nullptr, "the network is built, nothing can be added");
  return *network_;
}

int Builder::add(Population population) {
  Network& to = network();
  const Grid grid = population.grid;
  check_grid(grid);
  require(grid.channels % kChannels == 0, "channels must be padded to a multiple of 16");
  size_t per_channel = grid.channels, per_neuron = size_of(grid);
  const Rows& r = population.rows;
  size_t n = r.threshold.size();
  require(n == per_channel || n == per_neuron,
          "registers are needed for every channel or every neuron");
  for (auto* values : {&r.current_keep, &r.voltage_keep, &r.bias, &r.reset_amount})
    require(values->size() == n, "the registers differ in length");
  require(r.lowest.empty() || r.lowest.size() == n, "the registers differ in length");
  require(population.initial_voltage.size() == per_neuron,
          "an initial voltage is needed for every neuron");
  for (int32_t at : population.position)
    require(at >= 0 && at < (int32_t)per_neuron, "a neuron lies outside its population");
  for (int32_t voltage : population.initial_voltage)
    require_supported(voltage >= -kVoltageLimit && voltage <= kVoltageLimit,
                      "an initial voltage of 2**23 or more");
  const Neurons& given = population.neurons;
  require(given.max_spikes >= 1 && given.refractory >= 0, "max_spikes is under 1");
  check_registers(r, given.max_spikes);
  int shift = population.bias_exponent;
  require_supported(!population.takes_bias || (shift >= 0 && shift <= kMostShift),
                    "an exponent of a bias under 0 or over 19");
  require(population.offset >= 0, "an offset is under 0");
  require_supported(population.offset < kLatest, "an offset of 2**20 or more");
  to.lag = std::max(to.lag, population.offset);

  population.place.assign(per_neuron, 0);
  for (size_t i = 0; i < population.position.size(); ++i)
    population.place[population.position[i]] = (int32_t)i;
  to.populations.push_back(std::move(population));
  Population& kept = to.populations.back();
  Neurons& neurons = kept.neurons;
  neurons.height = grid.height;
  neurons.width = grid.width;
  neurons.channels = grid.channels;
  kept.registers = blocks_of(kept.rows, kept.rows.bias, n);
  neurons.registers = kept.registers.data();
  neurons.is_per_neuron = n > per_channel;
  neurons.keeps_current = false;
  for (int32_t keep : kept.rows.current_keep) neurons.keeps_current |= keep != 0;
  kept.busy = busy_bits(kept.initial_voltage, kept.rows.bias);
  kept.biased = busy_bits(Aligned<int32_t>(kept.size()), kept.rows.bias);
  to.into.emplace_back();
  to.from.emplace_back();
  return (int)to.populations.size() - 1;
}

void Builder::add(Projection projection) {
  Network& to = network();
  Projection& p = projection;
  int n = (int)to.populations.size();
  require(p.source >= -1 && p.source < n && p.target >= 0 && p.target < n,
          "a projection leads from or to no population");
  const Grid& source = to.grid_of(p.source);
  const Grid& target = to.grid_of(p.target);
  require(p.delay > 0 || p.source < p.target,
          "a projection without delay leads back; populations are in the wrong order");
  require(p.delay >= 0, "a delay is under 0");
  require(p.axon_delay.empty() || (int)p.axon_delay.size() == size_of(source),
          "an axonal delay is needed for every source neuron");
  p.longest_delay = p.delay;
  for (int32_t delay : p.axon_delay) {
    require(delay >= 0, "an axonal delay is under 0");
    require_supported(delay < kLatest && p.delay < kLatest, "a delay of 2**20 or more");
    p.longest_delay = std::max(p.longest_delay, p.delay + delay);
  }
  require_supported(p.delay < kLatest, "a delay of 2**20 or more");
  require(p.shift > -32 && p.shift < 32, "an exponent is out of range");
  require(!p.is_direct || p.longest_delay == 0, "direct sums have no delay");
  if (!p.is_direct && p.scatter.kind == Scatter::kSparse)
    check_sparse(p, size_of(source), size_of(target));
  require(!p.is_direct || p.scatter.kernel_height <= kMaxKernelRows,
          "a kernel has too many rows for direct sums");
  if (p.scatter.kind == Scatter::kConv) check_conv(p.scatter, source, target);
  p.scatter.source = source;
  p.scatter.target = target;
  require(p.is_direct || p.is_wide, "synapses that are followed have wide weights");
  size_t given = p.is_wide ? p.wide.size() : p.narrow.size();
  require((int64_t)given == n_weights(p), "a projection has the wrong number of weights");

  int index = (int)to.projections.size();
  to.projections.push_back(std::move(projection));
  Projection& kept = to.projections.back();
  if (kept.is_direct) lay_out_direct(kept);
  kept.scatter.weights = kept.wide.data();
  kept.scatter.starts = kept.starts.data();
  kept.scatter.targets = kept.targets.data();
  to.into[kept.target].push_back(index);
  to.from[kept.source + 1].push_back(index);
}

void Builder::read_out(int population) {
  Network& to = network();
  require(population >= 0 && population < (int)to.populations.size(),
          "the population to read out does not exist");
  require(!to.populations[population].position.empty(), "nothing is read out");
  to.output_index = population;
}

std::unique_ptr<const Network> Builder::build() {
  require(network().output_index >= 0, "no population is read out");
  return std::move(network_);
}

namespace {

Columns checked(Columns columns, size_t n_cores) {
  require(columns.n > 0 && columns.n < kMostColumns && columns.of_core > 0 &&
              n_cores <= (size_t)columns.n / columns.of_core,
          "the columns do not hold the neurocores, or are out of range");
  for (int column : {columns.access, columns.update})
    require(column >= 0 && column < columns.of_core, "a neurocore has no such column");
  require(columns.limits >= 0 && columns.limits <= columns.n - 2,
          "the columns of limits are out of range");
  return columns;
}

}  // namespace

Counting::Counting(const Network& network, std::vector<int32_t> cores,
                   Columns given_columns, std::vector<Tally> given)
    : network(network),
      mapped(std::move(cores)),
      columns(checked(given_columns, mapped.size())),
      tallies(std::move(given)) {
  require(tallies.size() == network.populations.size() + 1,
          "a tally is needed for every sender");
  const int n_cores = (int)mapped.size();
  for (size_t i = 0; i < tallies.size(); ++i) {
    Tally& tally = tallies[i];
    size_t size = size_of(network.grid_of((int)i - 1));
    int n_kinds = (int)tally.starts.size() - 1;
    require(tally.kind_of.size() == size && n_kinds >= 1 && tally.starts[0] == 0 &&
                tally.starts.back() == (int)tally.columns.size() &&
                tally.columns.size() == tally.amounts.size(),
            "a tally has the wrong size");
    for (int k = 0; k < n_kinds; ++k)
      require(tally.starts[k] <= tally.starts[k + 1], "the starts of a tally descend");
    for (int32_t kind : tally.kind_of)
      require(kind >= 0 && kind < n_kinds, "a neuron is of no kind");
    for (int32_t column : tally.columns)
      require(column >= 0 && column < columns.n, "a count has no column");
    if (i == 0) {
      tally.core_of.clear();
      tally.groups = groups_of(tally, 0);
      continue;
    }
    require(tally.core_of.size() == size, "a neurocore is needed for every neuron");
    for (int32_t core : tally.core_of)
      require(core >= -1 && core < n_cores, "a neuron lies on no neurocore");
    tally.groups = groups_of(tally, network.populations[i - 1].grid.channels);
    tally.by_core = partition_of(tally.core_of, n_cores);
  }
}

}  // namespace engine
