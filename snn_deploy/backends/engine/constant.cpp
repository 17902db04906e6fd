// The part of a Runner that sums a constant input, once.
#include "runner.h"

namespace engine {

void Runner::sum_input() {
  bool needs_spikes = counts_ != nullptr;
  for (int index : network_.from[0]) {
    Sums& known = constant_[index];
    known.is_known = is_constant(network_.projections[index]) && sum_image(index);
    needs_spikes |= !known.is_known;
  }
  n_input_ = 0;
  if (!needs_spikes) return;
  read_row(0);
  for (int index : network_.from[0])
    if (is_constant(network_.projections[index])) sum_spikes(index);
}

// Sums all products, if the input suits it.
bool Runner::sum_image(int index) {
  const Projection& p = network_.projections[index];
  if (!p.dense.weights || !fill_image(p)) return false;
  const Population& target = network_.populations[p.target];
  constant_[index].sums.resize(target.size() + behind_);
  kernels_.sum_dense(target.neurons, p.dense, image_.data(),
                     constant_[index].sums.data());
  return true;
}

namespace {

// Copies a row; returns bits that are 0 if its values have 16 bits.
inline int32_t copy_row(const int32_t* values, int n, int step, int16_t* to) {
  int32_t beyond = 0;
  for (int i = 0; i < n; ++i) {
    to[(ptrdiff_t)i * step] = (int16_t)values[i];
    beyond |= values[i] ^ (int16_t)values[i];
  }
  return beyond;
}

}  // namespace

// Writes the image that a projection sees; returns whether its values have 16 bits.
bool Runner::fill_image(const Projection& p) {
  const Grid& grid = network_.source;
  const int32_t* values = input_.values;
  image_.assign(p.n_image, 0);
  int32_t beyond = 0;
  int16_t* first = image_.data() + p.scatter.padding_y * p.dense.width +
                   (ptrdiff_t)p.scatter.padding_x * grid.channels;
  for (int channel = 0; channel < grid.channels; ++channel) {
    for (int y = 0; y < grid.height; ++y, values += grid.width) {
      int16_t* row = first + y * p.dense.width + channel;
      beyond |= grid.channels == 1  // compiled to vectors
                    ? copy_row(values, grid.width, 1, row)
                    : copy_row(values, grid.width, grid.channels, row);
    }
  }
  return beyond == 0;
}

// Sums the spikes of the input, unless the sums are known, and tells what they reach.
void Runner::sum_spikes(int index) {
  const Projection& p = network_.projections[index];
  const Population& target = network_.populations[p.target];
  const Events& events = input_spikes_.events;
  Sums& known = constant_[index];
  if (counts_) known.reached.assign(live_[p.target].reached.size(), 0);
  uint8_t* reached = counts_ ? known.reached.data() : nullptr;
  if (p.is_direct) {
    DirectInput input{&p.direct, &events};
    known.sums.resize(target.size() + behind_);
    if (!known.is_known)
      kernels_.sum(target.neurons, input, known.sums.data(), list_.data());
    if (reached)
      kernels_.mark(target.neurons, input, list_.data(), marks_.data(), reached);
    return;
  }
  known.sums.assign(target.size(), 0);
  for (int i = 0; i < n_input_; ++i)
    kernels_.scatter(p.scatter, events.neurons[i], events.values ? events.values[i] : 1,
                     known.sums.data(), reached);
}

}  // namespace engine
