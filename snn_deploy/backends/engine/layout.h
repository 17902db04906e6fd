// What the kernels read and write: a network laid out once, and the state of one input.
//
// Plain structures without functions: this header is compiled for several instruction
// sets, and a function of one must never be linked into the code of another.
#pragma once

#include <cstddef>
#include <cstdint>

namespace engine {

// Neurons lie as height x width x channels; channels are padded to this multiple.
constexpr int kChannels = 16;

// Channels of weights of 8 bits that are summed at once.
constexpr int kBlock = 64;

// Rows of a kernel that is summed directly, at most.
constexpr int kMaxKernelRows = 32;

// Numbers that may be read or written behind the end of a list of events.
constexpr int kSlack = 16;

constexpr int kStateBits = 24;
constexpr int32_t kVoltageLimit = (1 << (kStateBits - 1)) - 1;
constexpr int kDecayBits = 12;
constexpr int kInputShift = 6;

// Neurons that spike at most so often in a timestep are listed as often as they do: sums
// without values are so much faster that a few more of them take less time.
constexpr int kMostRepeated = 8;

// The spikes of one timestep, ascending. Those of pixel i are begin[i] to begin[i + 1].
struct Events {
  int32_t* neurons;
  int32_t* values;  // null: every spike is a 1; a neuron may have several
  int32_t* begin;   // height * width + 1
};

struct Grid {
  int height, width, channels;  // channels padded, but not those of the input
};

// What is kept from one timestep to the next: of 4096, and as a fraction.
struct Keep {
  int32_t of_4096[kChannels];
  float fraction[kChannels];
};

// The registers of 16 neurons side by side.
struct Registers {
  Keep voltage_keep;
  int32_t bias[kChannels];
  int32_t threshold[kChannels];  // a spike is a voltage above it
  int32_t reset_amount[kChannels];
  int32_t lowest[kChannels];  // where the voltage saturates below
  Keep current_keep;
};

// One population.
struct Neurons {
  int height, width, channels;
  const Registers* registers;  // of the channels of a pixel, or of all pixels
  bool is_per_neuron;
  bool keeps_current;  // some current_keep is not 0
  bool is_hard;        // reset to 0, else reduced by the reset amount
  int refractory;
  int max_spikes;
};

struct State {
  const int32_t* voltage_before;  // at rest, or voltage
  int32_t* current;
  int32_t* voltage;
  int32_t* resting;  // timesteps for which the voltage stays; null: never
  uint8_t* busy;     // a bit for each neuron: current, voltage or bias is not 0
};

// Rows of weights for the channels of an output pixel, or of several side by side: one
// for each [kernel row][kernel column][in], or for each [in] of a dense projection. The
// kernel and its stride are those of all its pixels together.
struct Weights {
  const void* rows;    // of int8 or int16; null: there are none
  int n_rows;          // blocks: and one more, of zeros
  bool is_narrow;      // blocks: weights of 7 bits
  int n_pixels;        // that a row serves
  ptrdiff_t stride;    // from row to row
  ptrdiff_t next;      // dense: from the weights of a row of neurons to the next one's
  int kernel_width, stride_x;
};

// A projection without delay, summed pixel after pixel.
struct Direct {
  Weights single;   // of one pixel, for spikes of any value
  Weights blocks;   // in blocks of 64 channels, for spikes without values (see sums.h)
  bool is_wide;     // single: int16 instead of int8
  bool is_conv;
  int shift;        // of the sum, to the left; to the right if negative
  Grid source;
  int kernel_height, stride_y, padding_y, padding_x;
};

// Pixels whose sums of a constant input are computed at once.
constexpr int kPixels = 4;

// A convolution of a constant input, given as an image: height x width x channels, with
// a border of zeros, and some more behind it. Two values that follow each other in a row
// are multiplied by a pair of weights. Steps and widths are numbers of values.
struct Dense {
  const int16_t* weights;  // [kernel row][pair][out][2]; null: none
  int kernel_height, n_pairs;
  ptrdiff_t width, step_y, step_x;  // of the image; from an output pixel to the next
};

struct DirectInput {
  const Direct* direct;
  const Events* events;
};

// Sums that are known before the update: of a constant input, or of delayed spikes.
struct Addend {
  const int32_t* sums;
  int shift;
};

// Everything that one timestep of one population needs.
struct Step {
  const Neurons* neurons;
  State state;
  const DirectInput* inputs;
  int n_inputs;
  const Addend* addends;
  int n_addends;
  int32_t* row;       // scratch for the sums of a row
  int32_t* list;      // scratch for the events under a kernel, and their values
  int32_t* marks;     // scratch: -1 for each pixel of a row that an event reached, or 0
  uint8_t* spikes;    // a bit for each neuron that spikes, and a word behind them
  uint8_t* reached;   // a bit for each neuron, set where an event arrives; null: not counted
  int32_t* limited;   // how many voltages saturate, how many currents wrap; null: not counted
  Events out;
};

// Synapses that are followed from each spike to its targets.
struct Scatter {
  enum Kind { kDense, kConv, kSparse } kind;
  const int16_t* weights;  // dense [in][out], conv [ky][kx][channel][out of group]
  const int32_t* starts;   // sparse: of the synapses of each source neuron
  const int32_t* targets;  // sparse
  Grid source, target;
  int kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x;
  int dilation_y, dilation_x, groups, group_in, group_out;
};

// Sets of neurons, with numbers: those of set i are masks of words of 64 neurons,
// starts[i] to starts[i + 1].
struct Sets {
  int n;
  const int32_t *numbers, *starts, *words;
  const uint64_t* masks;
};

// What spikes cause, added to columns. Words of up to 64 neurons that cause the same, place
// by place, are a group, of at most kMostWords: how often each place spikes is counted in 8
// bits, and then multiplied.
struct Causes {
  int n_groups;
  const int32_t *starts, *bytes;  // of each group: where its words begin
  const uint64_t* masks;          // of each: the bits that belong to its words
  // Each spike of a group causes the same amount,
  const int32_t *same_starts, *same_columns, *same_amounts;
  // or another one for each of the 64 places.
  const int32_t *other_starts, *other_columns, *other_places;
  const int16_t* amounts;  // places: where the 64 begin
};

constexpr int kMostWords = 255;

struct Kernels {
  const char* name;
  // Advances a population; returns how many neurons spiked.
  int (*advance)(const Step& step);
  // The sums of one projection for a whole population, not shifted; more is written
  // behind them.
  void (*sum)(const Neurons& neurons, const DirectInput& input, int32_t* sums,
              int32_t* list);
  // The same for a constant input.
  void (*sum_dense)(const Neurons& neurons, const Dense& by, const int16_t* image,
                    int32_t* sums);
  // Sets the bits of the neurons that an event reaches.
  void (*mark)(const Neurons& neurons, const DirectInput& input, int32_t* list,
               int32_t* marks, uint8_t* reached);
  // Adds what one spike causes.
  void (*scatter)(const Scatter& scatter, int32_t neuron, int32_t value, int32_t* sums,
                  uint8_t* reached);
  // Adds to counts[i * step] how many neurons of set number i have their bit set.
  void (*count)(const Sets& sets, const uint8_t* bits, int32_t* counts, int step);
  // Adds what the neurons cause that have their bit set.
  void (*tally)(const Causes& causes, const uint8_t* bits, int32_t* counts);
  // The events of an input with one channel per pixel or one pixel; returns how many.
  int (*find)(const int32_t* values, int n, int32_t* neurons, bool* are_ones);
  // Those of an input with several channels and pixels, of whose channels it has maps;
  // and where those of each pixel begin. `words`: scratch, 64 for each 64 channels.
  int (*find_in_maps)(const int32_t* values, int n_pixels, int channels, uint64_t* words,
                      int32_t* neurons, int32_t* begin, bool* are_ones);
  // Where the events of each pixel begin, of an input with one channel.
  void (*begin)(const int32_t* pixels, int n, int n_pixels, int32_t* begin);
};

extern const Kernels kPlainKernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;

}  // namespace engine
