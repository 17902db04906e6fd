// A network in memory of its own, checked while it is built, and what is counted in it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <stdexcept>
#include <vector>

#include "aligned.h"
#include "layout.h"

namespace engine {

// A network that makes sense, but not here.
struct LimitError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Functional { kSum, kLast, kMax };

// Registers as they come: rows for each channel or each neuron.
struct Rows {
  std::vector<int32_t> current_keep, voltage_keep, bias, threshold, reset_amount;
  std::vector<int32_t> lowest;  // empty: the end of the register
};

// The bits of neurons whose voltage or bias is not 0, and a word behind them.
std::vector<uint8_t> busy_bits(const Aligned<int32_t>& voltages,
                               const std::vector<int32_t>& biases);

// Blocks of registers, `biases` in place of those of the rows if there are some.
Aligned<Registers> blocks_of(const Rows& rows, const std::vector<int32_t>& biases,
                                 size_t n);

struct Population {
  Grid grid;
  Rows rows;
  Aligned<Registers> registers;  // the same in blocks
  Neurons neurons;
  Aligned<int32_t> initial_voltage;  // of every neuron
  std::vector<uint8_t> busy;         // a bit for each neuron, at rest
  std::vector<uint8_t> biased;       // and for each that has a bias
  std::vector<int32_t> position;         // of each neuron as numbered outside
  std::vector<int32_t> place;            // and back, 0 for padding
  bool spikes, takes_bias;
  bool is_watched;  // its voltages can saturate or its currents wrap: that is counted
  int bias_exponent;
  int offset;  // chip timesteps by which local time lags behind the input's

  int size() const { return grid.height * grid.width * grid.channels; }
};

struct Projection {
  int source;  // -1: the input
  int target;
  int delay;                        // timesteps from sending to arrival
  std::vector<int32_t> axon_delay;  // further ones, of each source neuron; or empty
  int longest_delay;
  int shift;
  bool is_direct;  // else scattered
  bool is_wide;    // weights of int16, which those of direct sums need not be
  Aligned<int8_t> narrow, blocks;
  Aligned<int16_t> wide, pairs;
  std::vector<int32_t> starts, targets;
  Direct direct;
  Dense dense;     // of a constant input
  size_t n_image;  // values of its image
  Scatter scatter;
};

// Sets of neurons with the memory that holds them; none is empty.
struct Partition {
  std::vector<int32_t> numbers, starts, words;
  std::vector<uint64_t> masks;

  Sets sets() const {
    return {(int)numbers.size(), numbers.data(), starts.data(), words.data(),
            masks.data()};
  }
};

// Causes with the memory that holds them.
struct Groups {
  std::vector<uint64_t> masks;
  std::vector<int32_t> starts, bytes, same_starts, same_columns, same_amounts,
      other_starts, other_columns, other_places;
  Aligned<int16_t> amounts;

  bool is_empty() const { return bytes.empty(); }
  Causes causes() const;
};

// What the chip does for one spike, by kinds of neurons, and where neurons lie.
struct Tally {
  std::vector<int32_t> kind_of;  // of each neuron
  std::vector<int32_t> starts;   // of the entries of each kind
  std::vector<int32_t> columns;
  std::vector<int32_t> amounts;
  std::vector<int32_t> core_of;  // of each neuron, -1: padding; empty for the input
  Groups groups;  // the same; empty where following each spike is faster
  Partition by_core;
};

// A network as it was built.
struct Network {
  const Population& output() const { return populations[output_index]; }
  int n_out() const { return (int)output().position.size(); }
  int depth() const { return output().offset; }
  int n_rows() const { return n_timesteps + lag + 2 * depth(); }  // of counts
  const Grid& grid_of(int sender) const {
    return sender < 0 ? source : populations[sender].grid;
  }

  Grid source;
  int n_timesteps;
  Functional functional;
  bool holds;  // populations are at rest after their last timestep
  // in an order in which each follows those that reach it within a timestep; addresses
  // of what they hold stay as they are
  std::deque<Population> populations;
  std::deque<Projection> projections;
  std::vector<std::vector<int>> into, from;  // projections, by population; from: + 1
  int output_index = -1;
  int lag = 0;  // chip timesteps by which the last population to begin lags
};

// Makes a network, part by part.
class Builder {
 public:
  Builder(Grid source, int n_timesteps, Functional functional, bool holds);

  int add(Population population);
  void add(Projection projection);
  void read_out(int population);
  // The network, complete; nothing can be added any more.
  std::unique_ptr<const Network> build();

 private:
  Network& network() const;

  std::unique_ptr<Network> network_;
};

// Columns of counts: as many for each neurocore, further ones behind them.
struct Columns {
  int n;               // in all
  int of_core;         // of a neurocore
  int access, update;  // which of them: mapped neurons, and those with something to do
  int limits;          // saturations of all neurons, and wraps behind them
};

// What the chip does in a network, to be counted.
class Counting {
 public:
  // mapped: neurons on each core; a tally for the input and then every population
  Counting(const Network& network, std::vector<int32_t> mapped, Columns columns,
           std::vector<Tally> tallies);

  const Tally& tally_of(int sender) const { return tallies[sender + 1]; }
  size_t n_counts() const { return (size_t)network.n_rows() * columns.n; }

  const Network& network;
  const std::vector<int32_t> mapped;
  const Columns columns;
  std::vector<Tally> tallies;
};

int size_of(const Grid& grid);

}  // namespace engine
