// One input running through a network.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "network.h"

namespace engine {

// The spikes of one input, as the host holds them.
struct Input {
  const int32_t* values;  // n_rows x channels x height x width
  int n_rows;
  bool is_constant;
  const int64_t* bias;  // of every neuron of the populations that take one; or null
  bool is_extreme;  // spikes carry more than was promised: all is watched
};

// Events with the memory that holds them.
struct Spikes {
  Aligned<int32_t> neurons, values, begin;
  Events events;
  bool has_values = false;

  void allocate(const Grid& grid, int most);  // spikes of a neuron
};

// What arrives in time: sums of each timestep until the latest arrival.
struct Ring {
  std::vector<Aligned<int32_t>> sums;
  std::vector<std::vector<uint8_t>> reached;
  std::vector<char> is_used;
};

class Runner {
 public:
  Runner(const Network& network, const Kernels& kernels, const Counting* counting);

  // From rest. What the input points to, and the counts, must live until the next start.
  // `counts` has network.n_rows() rows of zeros; null: not counted. (It needs a Counting.)
  void start(const Input& input, int32_t* counts);
  // Every population advances by one of its timesteps.
  void advance();
  int timestep() const { return timestep_; }
  // What the host reads: spikes or voltages of the output, added to `before` (null: 0).
  void read_out(const int64_t* before, int64_t* values) const;
  // Ends an input, which cannot go on. The counts are then those of its chip timesteps
  // up to the stop, in which upstream populations run ahead; behind those of all chip
  // timesteps, in `lag` rows for those since its last one, the counts of a stream of
  // inputs, in which each population ends with the input; in the last `depth` rows, for
  // the chip timesteps behind the network's last one, what populations do that are
  // beyond it in their own time; and zeros between.
  void finish();

 private:
  struct Live {
    Aligned<int32_t> current, voltage, resting;
    Aligned<Registers> registers;  // with the bias of this input
    std::vector<uint8_t> busy, biased, reached, spiked;  // bits
    Neurons neurons;
    Spikes spikes;
    int n_spikes;
    std::vector<DirectInput> inputs;
    std::vector<int> later;  // projections into it that are not summed directly
    std::vector<int32_t> held;  // neurons kept busy at rest, by neurocore; or empty
  };
  struct Sums {  // of a constant input
    Aligned<int32_t> sums;
    std::vector<uint8_t> reached;
    bool is_known;
  };

  void advance(int local, int last);
  void hold(int local, int last);
  void read_input(int local);
  void read_row(int row);
  void sum_input();
  bool sum_image(int projection);
  bool fill_image(const Projection& p);
  void sum_spikes(int projection);
  // Whether the sums of a projection are known from the start of the input.
  bool is_constant(const Projection& p) const {
    return p.source < 0 && input_.is_constant && p.axon_delay.empty();
  }
  void advance_population(int index, int local, int32_t* limited);
  int32_t* limited_by(int index, int local);
  void sort_projections();
  void add_arriving(int projection, int local, Live& live);
  void free_arrived(int projection, int local);
  void send(int sender, int local);
  void scatter(const Projection& p, const Spikes& from, int n, int local, Ring& ring);
  void use_bias(const Population& population, Live& live);
  int32_t* row_of_counts(int row) const {
    return counts_ + (size_t)row * counting_->columns.n;
  }
  // From the row of a chip timestep to that of what is beyond its last timestep in it.
  int running_on() const { return network_.depth() + network_.lag; }
  void count_spikes(int sender, int row);
  void count_singly(int sender, int32_t* counts);
  const uint8_t* spiked_by(int sender);
  void count_updates(int index, int row);
  void count_held(int index, int row);
  const Spikes& spikes_of(int sender) const {
    return sender < 0 ? input_spikes_ : live_[sender].spikes;
  }

  const Network& network_;
  const Kernels& kernels_;
  const Counting* counting_;
  Input input_{};
  int32_t* counts_ = nullptr;
  int timestep_ = 0;
  int n_input_ = 0;
  Spikes input_spikes_;
  std::vector<Live> live_;
  std::vector<Ring> rings_;
  std::vector<Sums> constant_;
  Aligned<int16_t> image_;  // of a constant input
  std::vector<std::vector<int>> scattered_;  // projections, by sender + 1
  Aligned<int32_t> row_, list_, marks_;  // scratch
  std::vector<uint64_t> words_;          // the same, of the channels of an input
  size_t behind_ = 0;  // sums that are written behind the end of a row
  std::vector<Addend> addends_;
  std::vector<int32_t> of_kind_;
  std::vector<uint8_t> input_bits_;     // of its spikes, where they are counted
  std::vector<int32_t> counted_input_;  // what a constant input causes, or empty
};

}  // namespace engine
