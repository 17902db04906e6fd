// The integer neuron, as fixedpoint.py and ir/dynamics.py define it.
#pragma once

#include <cstring>

#include "layout.h"

namespace engine {
namespace {

// Into (-2^23, 2^23]; the sum before may have wrapped at 2^32, which does not matter.
inline Simd::I32 wrapped(Simd::I32 a) {
  Simd::I32 half = Simd::set(kVoltageLimit);
  Simd::I32 mask = Simd::set((1 << kStateBits) - 1);
  return Simd::sub(Simd::band(Simd::add(a, half), mask), half);
}

// A vector of neurons, lanes `lane` and on of a block of 16; returns the bits of those
// that spike.
template <bool keeps_current, bool is_hard, bool is_counted>
inline unsigned update(const Registers& of, int lane, Simd::I32 arriving,
                       int32_t* current_of, int32_t* voltage_of, uint8_t* busy_of) {
  Simd::I32 bias = Simd::load(of.bias + lane);
  Simd::I32 before = Simd::load(voltage_of);
  Simd::I32 current = Simd::left(arriving, kInputShift);
  if (is_counted) {
    Simd::I32 charge = Simd::load(current_of);
    unsigned busy = Simd::bits(Simd::either(
        Simd::nonzero(bias), Simd::either(Simd::nonzero(before), Simd::nonzero(charge))));
    memcpy(busy_of, &busy, Simd::kLanes / 8);
  }
  if (keeps_current)
    current = Simd::add(current, Simd::decay(Simd::load(current_of), of.current_keep, lane));
  current = wrapped(current);
  if (keeps_current || is_counted) Simd::store(current_of, current);

  Simd::I32 kept = Simd::decay(before, of.voltage_keep, lane);
  Simd::I32 voltage = Simd::add(Simd::add(kept, current), bias);
  voltage = Simd::min(voltage, Simd::set(kVoltageLimit));
  voltage = Simd::max(voltage, Simd::set(-kVoltageLimit));
  Simd::Mask spikes = Simd::greater(voltage, Simd::load(of.threshold + lane));
  if (is_hard) {
    voltage = Simd::unless(spikes, voltage);
  } else {
    Simd::I32 amount = Simd::where(spikes, Simd::load(of.reset_amount + lane));
    voltage = Simd::max(Simd::sub(voltage, amount), Simd::set(-kVoltageLimit));
  }
  Simd::store(voltage_of, voltage);
  return Simd::bits(spikes);
}

// The registers of the first neuron of a row.
inline const Registers* registers_of(const Neurons& of, int y) {
  ptrdiff_t n = (ptrdiff_t)y * of.width * of.channels / kChannels;
  return of.is_per_neuron ? of.registers + n : of.registers;
}

template <bool keeps_current, bool is_hard, bool is_counted>
int update_vectors(const Step& step, int y, int n_spikes) {
  const Neurons& of = *step.neurons;
  const int n_blocks = of.channels / kChannels, width = of.width;
  const bool is_per_neuron = of.is_per_neuron;
  const Registers* registers = registers_of(of, y);
  const int32_t* sums = step.row;
  int32_t* out = step.out.neurons + n_spikes;
  int32_t* begin = step.out.begin + (ptrdiff_t)y * width;
  int32_t neuron = y * width * of.channels;
  int32_t* current = step.state.current + neuron;
  int32_t* voltage = step.state.voltage + neuron;
  uint8_t* busy = step.state.busy + neuron / 8;
  for (int x = 0; x < width; ++x) {
    for (int block = 0; block < n_blocks; ++block) {
      for (int lane = 0; lane < kChannels; lane += Simd::kLanes) {
        unsigned spikes = update<keeps_current, is_hard, is_counted>(
            registers[block], lane, Simd::load(sums + lane), current + lane,
            voltage + lane, busy + lane / 8);
        out += Simd::emit(spikes, neuron + lane, out);
      }
      sums += kChannels;
      current += kChannels;
      voltage += kChannels;
      busy += kChannels / 8;
      neuron += kChannels;
    }
    if (is_per_neuron) registers += n_blocks;
    begin[x + 1] = (int32_t)(out - step.out.neurons);
  }
  return (int)(out - step.out.neurons);
}

inline int32_t decay_one(int32_t value, int32_t keep) {
  int64_t kept = (int64_t)(value < 0 ? -value : value) * keep >> kDecayBits;
  return (int32_t)(value < 0 ? -kept : kept);
}

inline int32_t limited(int32_t voltage) {
  voltage = voltage < kVoltageLimit ? voltage : kVoltageLimit;
  return voltage > -kVoltageLimit ? voltage : -kVoltageLimit;
}

// One neuron, with a refractory period and graded spikes; returns its spikes.
inline int32_t update_one(const Neurons& of, const Registers& registers, int lane,
                          const State& state, ptrdiff_t neuron, int32_t arriving) {
  int32_t* current = state.current + neuron;
  int32_t* voltage = state.voltage + neuron;
  int32_t bias = registers.bias[lane];
  int busy = *current != 0 || *voltage != 0 || bias != 0;
  uint8_t* flags = state.busy + neuron / 8;
  *flags = (uint8_t)((*flags & ~(1 << neuron % 8)) | busy << neuron % 8);

  uint32_t input = (uint32_t)arriving << kInputShift;
  uint32_t sum = input + (uint32_t)decay_one(*current, registers.current_keep.of_4096[lane]);
  *current = (int32_t)((sum + kVoltageLimit) & ((1 << kStateBits) - 1)) - kVoltageLimit;
  if (state.resting && state.resting[neuron] > 0) {
    --state.resting[neuron];
    return 0;
  }
  int32_t kept = decay_one(*voltage, registers.voltage_keep.of_4096[lane]);
  *voltage = limited(kept + *current + bias);
  int64_t over = (int64_t)*voltage - registers.threshold[lane];
  if (over <= 0) return 0;
  int32_t amount = registers.reset_amount[lane], spikes = 1;
  if (of.max_spikes > 1) {  // the fewest that bring it to the threshold or below
    int64_t wanted = (over + amount - 1) / amount;
    spikes = wanted < of.max_spikes ? (int32_t)wanted : of.max_spikes;
  }
  if (state.resting) state.resting[neuron] = of.refractory;
  *voltage = of.is_hard ? 0 : limited(*voltage - spikes * amount);
  return spikes;
}

int update_singly(const Step& step, int y, int n_spikes) {
  const Neurons& of = *step.neurons;
  const Registers* registers = registers_of(of, y);
  ptrdiff_t neuron = (ptrdiff_t)y * of.width * of.channels;
  const int32_t* sums = step.row;
  for (int x = 0; x < of.width; ++x) {
    for (int channel = 0; channel < of.channels; ++channel, ++neuron) {
      int32_t spikes = update_one(of, registers[channel / kChannels], channel % kChannels,
                                  step.state, neuron, *sums++);
      step.out.neurons[n_spikes] = (int32_t)neuron;
      if (step.out.values) step.out.values[n_spikes] = spikes;
      n_spikes += spikes != 0;
    }
    if (of.is_per_neuron) registers += of.channels / kChannels;
    step.out.begin[(ptrdiff_t)y * of.width + x + 1] = n_spikes;
  }
  return n_spikes;
}

// Updates a row of neurons from their sums; returns the number of spikes so far.
int update_row(const Step& step, int y, int n_spikes) {
  const Neurons& of = *step.neurons;
  if (of.refractory || of.max_spikes > 1) return update_singly(step, y, n_spikes);
  int kind = of.keeps_current * 4 + of.is_hard * 2 + (step.reached != nullptr);
  switch (kind) {
    case 0: return update_vectors<false, false, false>(step, y, n_spikes);
    case 1: return update_vectors<false, false, true>(step, y, n_spikes);
    case 2: return update_vectors<false, true, false>(step, y, n_spikes);
    case 3: return update_vectors<false, true, true>(step, y, n_spikes);
    case 4: return update_vectors<true, false, false>(step, y, n_spikes);
    case 5: return update_vectors<true, false, true>(step, y, n_spikes);
    case 6: return update_vectors<true, true, false>(step, y, n_spikes);
    default: return update_vectors<true, true, true>(step, y, n_spikes);
  }
}

}  // namespace
}  // namespace engine
