// The integer neuron, as fixedpoint.py and ir/dynamics.py define it.
#pragma once

#include <cstring>
#include <type_traits>

#include "layout.h"

namespace engine {
namespace {

// Sets the bits of a vector of neurons if the mark is -1.
inline void set_bits(int32_t mark, uint8_t* bits) {
  using Lanes = std::conditional_t<Simd::kLanes == 16, uint16_t, uint8_t>;
  Lanes lanes;
  memcpy(&lanes, bits, sizeof lanes);
  lanes |= (Lanes)mark;
  memcpy(bits, &lanes, sizeof lanes);
}

// Sets the bits of the neurons of marked pixels of a row.
inline void spread_marks(const Neurons& of, const int32_t* marks, uint8_t* bits) {
  for (int x = 0; x < of.width; ++x)
    for (int i = 0; i < of.channels; i += Simd::kLanes, bits += Simd::kLanes / 8)
      set_bits(marks[x], bits);
}

// The registers of a vector of neurons.
struct Loaded {
  Simd::I32 bias, bias_less_half, threshold, amount, lowest;
  Simd::Keep voltage_keep, current_keep;

  Loaded(const Registers& of, int lane)
      : bias(Simd::load(of.bias + lane)),
        bias_less_half(Simd::sub(bias, Simd::set(kVoltageLimit))),
        threshold(Simd::load(of.threshold + lane)),
        amount(Simd::load(of.reset_amount + lane)),
        lowest(Simd::load(of.lowest + lane)),
        voltage_keep(Simd::load(of.voltage_keep, lane)),
        current_keep(Simd::load(of.current_keep, lane)) {}
};

// What a spike takes off the voltage: all, the amount, or one amount for each of several.
enum Resets { kToZero, kByAmount, kSeveral };

// The registers of a row of neurons.
struct Row {
  State state;
  int32_t* sums;  // and then, of kSeveral, how often each neuron spikes
  int max_spikes;
  uint8_t* spikes;
  uint8_t* reached;
  int32_t* limited;

  Row(const Step& step, int y)
      : state(step.state),
        sums(step.row),
        max_spikes(step.neurons->max_spikes),
        spikes(step.spikes),
        reached(step.reached),
        limited(step.limited) {
    ptrdiff_t first = (ptrdiff_t)y * step.neurons->width * step.neurons->channels;
    state.voltage_before += first;
    state.current += first;
    state.voltage += first;
    state.busy += first / 8;
    spikes += first / 8;
    reached += reached ? first / 8 : 0;
  }
};

// Counts the neurons of a vector that leave the range from the first to the last value;
// hardly ever one does.
inline void add_outside(Simd::I32 values, int32_t first, int32_t last, int32_t* count) {
  uint32_t outside = Simd::bits(Simd::greater(values, Simd::set(last))) |
                     Simd::bits(Simd::greater(Simd::set(first), values));
  if (__builtin_expect(outside != 0, 0)) *count += __builtin_popcount(outside);
}

// Counts the currents that wrap: those of sums over 2^18 always do.
template <bool keeps_current>
inline void add_wraps(Simd::I32 sums, Simd::I32 kept, int32_t* count) {
  if (!keeps_current) {
    constexpr int32_t kMost = 1 << (kStateBits - kInputShift - 1);
    add_outside(sums, 1 - kMost, kMost, count);
    return;
  }
  const Simd::I32 most = Simd::set(1 << (kStateBits - kInputShift));
  sums = Simd::max(Simd::min(sums, most), Simd::sub(Simd::zero(), most));
  Simd::I32 current = Simd::add(Simd::left(sums, kInputShift), kept);
  add_outside(current, -kVoltageLimit, kVoltageLimit + 1, count);
}

// Updates a vector of neurons, the first of which is `first` of its row; with the mark of
// its pixel.
template <bool keeps_current, Resets resets, bool is_counted, bool is_watched>
inline void update(const Loaded& of, const Row& row, int first, int32_t mark) {
  const Simd::I32 half = Simd::set(kVoltageLimit);
  const State& state = row.state;
  Simd::I32 before = Simd::load(state.voltage_before + first);
  Simd::I32 current = Simd::left(Simd::load(row.sums + first), kInputShift);
  Simd::I32 kept = Simd::zero();
  if (keeps_current) {
    kept = Simd::decay(Simd::load(state.current + first), of.current_keep);
    current = Simd::add(current, kept);
  }
  if (is_watched)
    add_wraps<keeps_current>(Simd::load(row.sums + first), kept, row.limited + 1);
  // into (-2^23, 2^23], here still larger by 2^23 - 1; it may have wrapped at 2^32
  current = Simd::band(Simd::add(current, half), Simd::set((1 << kStateBits) - 1));
  if (keeps_current) Simd::store(state.current + first, Simd::sub(current, half));

  Simd::I32 voltage = Simd::add(Simd::decay(before, of.voltage_keep), of.bias_less_half);
  voltage = Simd::add(voltage, current);
  if (is_watched) add_outside(voltage, -kVoltageLimit, kVoltageLimit, row.limited);
  voltage = Simd::max(Simd::min(voltage, half), of.lowest);
  Simd::Mask spikes = Simd::greater(voltage, of.threshold);
  if (resets == kToZero) {
    voltage = Simd::unless(spikes, voltage);
  } else {
    Simd::I32 taken = of.amount;
    if (resets == kSeveral) {
      const Simd::I32 one = Simd::set(1);
      Simd::I32 level = Simd::where(spikes, of.threshold), number = one;
      for (int i = 1; i < row.max_spikes; ++i) {
        level = Simd::add(level, of.amount);
        Simd::Mask more = Simd::greater(voltage, level);
        taken = Simd::add(taken, Simd::where(more, of.amount));
        number = Simd::add(number, Simd::where(more, one));
      }
      Simd::store(row.sums + first, Simd::where(spikes, number));
    }
    voltage = Simd::max(Simd::sub(voltage, Simd::where(spikes, taken)), of.lowest);
  }
  Simd::store(state.voltage + first, voltage);
  Simd::put_bits(spikes, row.spikes + first / 8);
  if (is_counted) {
    Simd::I32 busy = Simd::bor(Simd::bor(Simd::sub(current, half), voltage), of.bias);
    Simd::put_bits(Simd::nonzero(busy), state.busy + first / 8);
    set_bits(mark, row.reached + first / 8);
  }
}

// The registers of the first neuron of a row.
inline const Registers* registers_of(const Neurons& of, int y) {
  ptrdiff_t n = (ptrdiff_t)y * of.width * of.channels / kChannels;
  return of.is_per_neuron ? of.registers + n : of.registers;
}

// Updates a row of neurons; step.spikes tells which of them spike.
template <bool keeps_current, Resets resets, bool is_counted, bool is_watched>
void update_vectors(const Step& step, int y) {
  const Neurons& of = *step.neurons;
  const Registers* registers = registers_of(of, y);
  const int n = of.width * of.channels;
  const Row row(step, y);
  if (of.is_per_neuron || of.width == 1) {
    for (int x = 0, i = 0; x < of.width; ++x)
      for (int end = i + of.channels; i < end; i += Simd::kLanes) {
        Loaded loaded(registers[i / kChannels], i % kChannels);
        update<keeps_current, resets, is_counted, is_watched>(loaded, row, i, step.marks[x]);
      }
    return;
  }
  for (int channel = 0; channel < of.channels; channel += Simd::kLanes) {
    Loaded loaded(registers[channel / kChannels], channel % kChannels);
    for (int x = 0, i = channel; i < n; ++x, i += of.channels)
      update<keeps_current, resets, is_counted, is_watched>(loaded, row, i, step.marks[x]);
  }
}

// Writes the events of a row from the bits of step.spikes; returns the number of spikes
// so far.
int emit_row(const Step& step, int y, int n_spikes) {
  const Neurons& of = *step.neurons;
  const int channels = of.channels, n = of.width * channels;
  int32_t* begin = step.out.begin + (ptrdiff_t)y * of.width + 1;
  int pixel_end = channels;
  for (int i = 0; i < n; i += 64) {
    uint64_t spikes;
    memcpy(&spikes, step.spikes + ((ptrdiff_t)y * n + i) / 8, sizeof spikes);
    if (n - i < 64) spikes &= ((uint64_t)1 << (n - i)) - 1;
    for (; pixel_end <= i + 64 && pixel_end <= n; pixel_end += channels) {
      uint64_t until = spikes << (i + 64 - pixel_end);
      *begin++ = n_spikes + __builtin_popcountll(until);
    }
    n_spikes += Simd::emit(spikes, y * n + i, step.out.neurons + n_spikes);
  }
  return n_spikes;
}

// The same where neurons spike several times; step.row tells how often.
int emit_several(const Step& step, int y, int n_spikes) {
  static_assert(Simd::kLanes >= kMostRepeated && kSlack >= Simd::kLanes, "");
  const Neurons& of = *step.neurons;
  int32_t neuron = y * of.width * of.channels;
  int32_t* begin = step.out.begin + (ptrdiff_t)y * of.width + 1;
  const int32_t* numbers = step.row;
  for (int x = 0; x < of.width; ++x) {
    for (int i = 0; i < of.channels; i += kChannels) {
      uint16_t spikes;
      memcpy(&spikes, step.spikes + neuron / 8, sizeof spikes);
      for (; spikes; spikes &= (uint16_t)(spikes - 1)) {
        int lane = __builtin_ctz(spikes);
        Simd::store(step.out.neurons + n_spikes, Simd::set(neuron + lane));
        n_spikes += numbers[lane];
      }
      neuron += kChannels, numbers += kChannels;
    }
    *begin++ = n_spikes;
  }
  return n_spikes;
}

inline int32_t decay_one(int32_t value, int32_t keep) {
  int64_t kept = (int64_t)(value < 0 ? -value : value) * keep >> kDecayBits;
  return (int32_t)(value < 0 ? -kept : kept);
}

inline int32_t limited(int32_t voltage) {
  voltage = voltage < kVoltageLimit ? voltage : kVoltageLimit;
  return voltage > -kVoltageLimit ? voltage : -kVoltageLimit;
}

// One neuron, with a refractory period or many spikes; returns its spikes.
inline int32_t update_one(const Neurons& of, const Registers& registers, int lane,
                          const State& state, ptrdiff_t neuron, int32_t arriving,
                          int32_t* counts) {
  const int32_t before = state.voltage_before[neuron];
  int32_t* current = state.current + neuron;
  int32_t* voltage = state.voltage + neuron;
  uint32_t input = (uint32_t)arriving << kInputShift;
  int32_t keep = registers.current_keep.of_4096[lane];
  uint32_t sum = input + (uint32_t)decay_one(*current, keep);
  int64_t unwrapped =
      (int64_t)arriving * (1 << kInputShift) + decay_one(*current, keep);
  *current = (int32_t)((sum + kVoltageLimit) & ((1 << kStateBits) - 1)) - kVoltageLimit;
  if (counts) counts[1] += *current != unwrapped;
  if (state.resting && state.resting[neuron] > 0) {
    --state.resting[neuron];
    *voltage = before;
    return 0;
  }
  int32_t kept = decay_one(before, registers.voltage_keep.of_4096[lane]);
  int32_t reached = kept + *current + registers.bias[lane];
  *voltage = limited(reached);
  if (counts) counts[0] += *voltage != reached;
  const int32_t lowest = registers.lowest[lane];
  if (*voltage < lowest) *voltage = lowest;
  int64_t over = (int64_t)*voltage - registers.threshold[lane];
  if (over <= 0) return 0;
  int32_t amount = registers.reset_amount[lane], spikes = 1;
  if (of.max_spikes > 1) {  // the fewest that bring it to the threshold or below
    int64_t wanted = (over + amount - 1) / amount;
    spikes = wanted < of.max_spikes ? (int32_t)wanted : of.max_spikes;
  }
  if (state.resting) state.resting[neuron] = of.refractory;
  *voltage = of.is_hard ? 0 : limited(*voltage - spikes * amount);
  if (*voltage < lowest) *voltage = lowest;
  return spikes;
}

inline void put_bit(bool is_set, ptrdiff_t neuron, uint8_t* bits) {
  uint8_t bit = (uint8_t)(1 << neuron % 8);
  bits[neuron / 8] = (uint8_t)((bits[neuron / 8] & ~bit) | (is_set ? bit : 0));
}

// Writes the events of one neuron; returns the number of events so far.
inline int emit_one(const Events& out, int32_t neuron, int32_t spikes, int n_events) {
  if (out.values) {
    out.neurons[n_events] = neuron;
    out.values[n_events] = spikes;
    return n_events + (spikes != 0);
  }
  for (int i = 0; i < spikes; ++i) out.neurons[n_events++] = neuron;
  return n_events;
}

int update_singly(const Step& step, int y, int n_spikes) {
  const Neurons& of = *step.neurons;
  const State& state = step.state;
  const Registers* registers = registers_of(of, y);
  ptrdiff_t neuron = (ptrdiff_t)y * of.width * of.channels;
  if (step.reached) spread_marks(of, step.marks, step.reached + neuron / 8);
  const int32_t* sums = step.row;
  for (int x = 0; x < of.width; ++x) {
    for (int channel = 0; channel < of.channels; ++channel, ++neuron) {
      const Registers& own = registers[channel / kChannels];
      int lane = channel % kChannels;
      int32_t spikes = update_one(of, own, lane, state, neuron, *sums++, step.limited);
      n_spikes = emit_one(step.out, (int32_t)neuron, spikes, n_spikes);
      put_bit(spikes != 0, neuron, step.spikes);
      put_bit(state.current[neuron] || state.voltage[neuron] || own.bias[lane], neuron,
              state.busy);
    }
    if (of.is_per_neuron) registers += of.channels / kChannels;
    step.out.begin[(ptrdiff_t)y * of.width + x + 1] = n_spikes;
  }
  return n_spikes;
}

template <bool keeps_current, Resets resets>
void update_counted(const Step& step, int y) {
  if (step.limited)
    update_vectors<keeps_current, resets, true, true>(step, y);
  else if (step.reached)
    update_vectors<keeps_current, resets, true, false>(step, y);
  else
    update_vectors<keeps_current, resets, false, false>(step, y);
}

// Updates a row of neurons from their sums; returns the number of spikes so far.
int update_row(const Step& step, int y, int n_spikes) {
  const Neurons& of = *step.neurons;
  if (of.refractory || of.max_spikes > kMostRepeated)
    return update_singly(step, y, n_spikes);
  Resets resets = of.max_spikes > 1 ? kSeveral : of.is_hard ? kToZero : kByAmount;
  switch (of.keeps_current * 3 + resets) {
    case 0: update_counted<false, kToZero>(step, y); break;
    case 1: update_counted<false, kByAmount>(step, y); break;
    case 2: update_counted<false, kSeveral>(step, y); break;
    case 3: update_counted<true, kToZero>(step, y); break;
    case 4: update_counted<true, kByAmount>(step, y); break;
    default: update_counted<true, kSeveral>(step, y); break;
  }
  return resets == kSeveral ? emit_several(step, y, n_spikes) : emit_row(step, y, n_spikes);
}

}  // namespace
}  // namespace engine
