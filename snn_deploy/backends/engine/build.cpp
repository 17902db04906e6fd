#include "build.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"

using namespace nb::literals;

namespace engine {
namespace {

// So many rows of int32, from a list or tuple of arrays.
std::vector<std::vector<int32_t>> rows_of(nb::handle items, size_t n) {
  std::vector<std::vector<int32_t>> rows;
  if (!nb::isinstance<nb::list>(items) && !nb::isinstance<nb::tuple>(items))
    throw nb::type_error("a list of arrays is needed");
  for (nb::handle item : items) {
    Row<int32_t> row;
    if (!nb::try_cast(item, row, false))
      throw nb::type_error("a contiguous row of int32 is needed");
    rows.push_back(copy(row));
  }
  if (rows.size() != n) throw nb::value_error("the number of arrays is wrong");
  return rows;
}

int add_population(Network& network, int height, int width, int channels,
                   nb::list registers, Row<int32_t> initial_voltage,
                   Row<int32_t> position, bool is_hard, int refractory, int max_spikes,
                   bool spikes, bool takes_bias, int bias_exponent, int offset) {
  Population population{};
  population.grid = {height, width, channels};
  std::vector<std::vector<int32_t>> rows = rows_of(registers, 5);
  population.rows = {rows[0], rows[1], rows[2], rows[3], rows[4]};
  population.neurons.is_hard = is_hard;
  population.neurons.refractory = refractory;
  population.neurons.max_spikes = max_spikes;
  population.initial_voltage.assign(initial_voltage.data(),
                                    initial_voltage.data() + initial_voltage.size());
  population.position = copy(position);
  population.spikes = spikes;
  population.takes_bias = takes_bias;
  population.bias_exponent = bias_exponent;
  population.offset = offset;
  return network.add(std::move(population));
}

template <class T>
void set_weights(Projection& p, const Array<T>& weights) {
  const int8_t* bytes = (const int8_t*)weights.data();
  p.bytes.assign(bytes, bytes + weights.nbytes());
  p.is_wide = sizeof(T) == 2;
}

// Weights of any type that the projection can have.
void take_weights(Projection& p, nb::handle weights) {
  Array<int8_t> narrow;
  Array<int16_t> wide;
  if (p.is_direct && nb::try_cast(weights, narrow, false))
    set_weights(p, narrow);
  else if (nb::try_cast(weights, wide, false))
    set_weights(p, wide);
  else
    throw nb::type_error(
        p.is_direct ? "weights must be a C-contiguous array of int8 or int16"
                    : "weights must be a C-contiguous array of int16");
}

Projection projection(int source, int target, int shift, int delay,
                      const Row<int32_t>& axon_delay, bool is_direct) {
  Projection p{};
  p.source = source;
  p.target = target;
  p.shift = shift;
  p.delay = delay;
  p.axon_delay = copy(axon_delay);
  p.is_direct = is_direct;
  return p;
}

void add_dense(Network& network, int source, int target, nb::object weights, int shift,
               int delay, Row<int32_t> axon_delay, bool is_direct) {
  Projection p = projection(source, target, shift, delay, axon_delay, is_direct);
  p.scatter.kind = Scatter::kDense;
  take_weights(p, weights);
  network.add(std::move(p));
}

void add_conv(Network& network, int source, int target, nb::object weights, int shift,
              int delay, Row<int32_t> axon_delay, bool is_direct,
              std::vector<int> geometry) {
  if (geometry.size() != 11)
    throw nb::value_error("the geometry of a convolution has 11 numbers");
  Projection p = projection(source, target, shift, delay, axon_delay, is_direct);
  const std::vector<int>& g = geometry;
  Scatter& s = p.scatter;
  s.kind = Scatter::kConv;
  s.kernel_height = g[0];
  s.kernel_width = g[1];
  s.stride_y = g[2];
  s.stride_x = g[3];
  s.padding_y = g[4];
  s.padding_x = g[5];
  s.dilation_y = g[6];
  s.dilation_x = g[7];
  s.groups = g[8];
  s.group_in = g[9];
  s.group_out = g[10];
  take_weights(p, weights);
  network.add(std::move(p));
}

void add_sparse(Network& network, int source, int target, nb::object weights, int shift,
                int delay, Row<int32_t> axon_delay, Row<int32_t> starts,
                Row<int32_t> targets) {
  Projection p = projection(source, target, shift, delay, axon_delay, false);
  p.scatter.kind = Scatter::kSparse;
  p.starts = copy(starts);
  p.targets = copy(targets);
  take_weights(p, weights);
  network.add(std::move(p));
}

// Each tally: the kind of each neuron; of each kind the start of its entries; their
// columns and amounts; the neurocore of each neuron.
void set_tallies(Network& network, Row<int32_t> mapped, int n_links, nb::list tallies) {
  std::vector<Tally> found;
  for (nb::handle item : tallies) {
    std::vector<std::vector<int32_t>> rows = rows_of(item, 5);
    found.push_back({rows[0], rows[1], rows[2], rows[3], rows[4], {}, {}});
  }
  network.count(copy(mapped), n_links, std::move(found));
}

Network* new_network(int height, int width, int channels, int n_timesteps,
                     std::string functional) {
  Functional found;
  if (functional == "sum")
    found = Functional::kSum;
  else if (functional == "last")
    found = Functional::kLast;
  else if (functional == "max")
    found = Functional::kMax;
  else
    throw nb::value_error("the functional is sum, last or max");
  return new Network({height, width, channels}, n_timesteps, found);
}

}  // namespace

nb::class_<Network> bind_network(nb::module_& m) {
  return nb::class_<Network>(m, "Network")
      .def(nb::new_(&new_network), "height"_a, "width"_a, "channels"_a, "timesteps"_a,
           "functional"_a)
      .def("add_population", &add_population, "height"_a, "width"_a, "channels"_a,
           "registers"_a, "initial_voltage"_a.noconvert(),
           "position"_a.noconvert(), "is_hard"_a, "refractory"_a, "max_spikes"_a,
           "spikes"_a, "takes_bias"_a, "bias_exponent"_a, "offset"_a)
      .def("add_dense", &add_dense, "source"_a, "target"_a, "weights"_a, "shift"_a,
           "delay"_a, "axon_delay"_a.noconvert(), "is_direct"_a)
      .def("add_conv", &add_conv, "source"_a, "target"_a, "weights"_a, "shift"_a,
           "delay"_a, "axon_delay"_a.noconvert(), "is_direct"_a, "geometry"_a)
      .def("add_sparse", &add_sparse, "source"_a, "target"_a, "weights"_a, "shift"_a,
           "delay"_a, "axon_delay"_a.noconvert(), "starts"_a.noconvert(),
           "targets"_a.noconvert())
      .def("read_out", &Network::read_out, "population"_a)
      .def("count", &set_tallies, "mapped"_a.noconvert(), "n_links"_a, "tallies"_a);
}

}  // namespace engine
