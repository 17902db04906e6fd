#include "build.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <tuple>

#include "arrays.h"

using namespace nb::literals;

namespace engine {
namespace {

int add_population(Builder& builder, int height, int width, int channels,
                   Row<int32_t> current_keep, Row<int32_t> voltage_keep,
                   Row<int32_t> bias, Row<int32_t> threshold, Row<int32_t> reset_amount,
                   Row<int32_t> initial_voltage, Row<int32_t> position, bool is_hard,
                   int refractory, int max_spikes, bool spikes, bool takes_bias,
                   int bias_exponent, int offset, bool is_watched,
                   std::optional<Row<int32_t>> lowest_voltage) {
  Population population{};
  population.grid = {height, width, channels};
  population.rows.current_keep = copy(current_keep);
  population.rows.voltage_keep = copy(voltage_keep);
  population.rows.bias = copy(bias);
  population.rows.threshold = copy(threshold);
  population.rows.reset_amount = copy(reset_amount);
  if (lowest_voltage) population.rows.lowest = copy(*lowest_voltage);
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
  population.is_watched = is_watched;
  return builder.add(std::move(population));
}

// Takes weights of any type that the projection can have; returns their shape.
std::vector<size_t> take_weights(Projection& p, nb::handle weights) {
  auto shape_of = [](const auto& array) {
    std::vector<size_t> shape;
    for (size_t i = 0; i < array.ndim(); ++i) shape.push_back(array.shape(i));
    return shape;
  };
  Array<int8_t> narrow;
  Array<int16_t> wide;
  if (p.is_direct && nb::try_cast(weights, narrow, false)) {
    p.narrow.assign(narrow.data(), narrow.data() + narrow.size());
    return shape_of(narrow);
  }
  if (!nb::try_cast(weights, wide, false))
    throw nb::type_error(
        p.is_direct ? "weights must be a C-contiguous array of int8 or int16"
                    : "weights must be a C-contiguous array of int16");
  p.wide.assign(wide.data(), wide.data() + wide.size());
  p.is_wide = true;
  return shape_of(wide);
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

void add_dense(Builder& builder, int source, int target, nb::object weights, int shift,
               int delay, Row<int32_t> axon_delay, bool is_direct) {
  Projection p = projection(source, target, shift, delay, axon_delay, is_direct);
  p.scatter.kind = Scatter::kDense;
  take_weights(p, weights);
  builder.add(std::move(p));
}

using Pair = std::pair<int, int>;  // along y and x

// The weights are [kernel row][kernel column][group][in][out].
void add_conv(Builder& builder, int source, int target, nb::object weights, int shift,
              int delay, Row<int32_t> axon_delay, bool is_direct, Pair stride,
              Pair padding, Pair dilation) {
  Projection p = projection(source, target, shift, delay, axon_delay, is_direct);
  Scatter& s = p.scatter;
  s.kind = Scatter::kConv;
  std::vector<size_t> shape = take_weights(p, weights);
  if (shape.size() != 5) throw nb::value_error("weights of a convolution have 5 axes");
  for (size_t n : shape)
    if (n >= (size_t)1 << 30) throw nb::value_error("weights have too many rows");
  s.kernel_height = (int)shape[0];
  s.kernel_width = (int)shape[1];
  s.groups = (int)shape[2];
  s.group_in = (int)shape[3];
  s.group_out = (int)shape[4];
  std::tie(s.stride_y, s.stride_x) = stride;
  std::tie(s.padding_y, s.padding_x) = padding;
  std::tie(s.dilation_y, s.dilation_x) = dilation;
  builder.add(std::move(p));
}

void add_sparse(Builder& builder, int source, int target, nb::object weights, int shift,
                int delay, Row<int32_t> axon_delay, Row<int32_t> starts,
                Row<int32_t> targets) {
  Projection p = projection(source, target, shift, delay, axon_delay, false);
  p.scatter.kind = Scatter::kSparse;
  p.starts = copy(starts);
  p.targets = copy(targets);
  take_weights(p, weights);
  builder.add(std::move(p));
}

void make_tally(Tally* tally, Row<int32_t> kind_of, Row<int32_t> starts,
                Row<int32_t> columns, Row<int32_t> amounts, Row<int32_t> core_of) {
  new (tally) Tally{copy(kind_of), copy(starts),  copy(columns), copy(amounts),
                    copy(core_of), {},            {}};
}

void make_counting(Counting* counting, const Network& network, Row<int32_t> mapped,
                   int n_columns, int core_columns, int access, int update,
                   int limits, std::vector<Tally> tallies) {
  new (counting) Counting(network, copy(mapped),
                          {n_columns, core_columns, access, update, limits}, std::move(tallies));
}

Functional functional_of(const std::string& name) {
  if (name == "sum") return Functional::kSum;
  if (name == "last") return Functional::kLast;
  if (name == "max") return Functional::kMax;
  throw nb::value_error("the functional is sum, last or max");
}

void make_builder(Builder* builder, int height, int width, int channels,
                  int n_timesteps, std::string functional, bool holds) {
  Grid source{height, width, channels};
  new (builder) Builder(source, n_timesteps, functional_of(functional), holds);
}

}  // namespace

void bind_builder(nb::module_& m) {
  nb::exception<LimitError>(m, "LimitError", PyExc_ValueError);
  nb::class_<Builder>(m, "Builder")
      .def("__init__", &make_builder, nb::kw_only(), "height"_a, "width"_a,
           "channels"_a, "timesteps"_a, "functional"_a, "holds"_a = false)
      .def("add_population", &add_population, nb::kw_only(), "height"_a, "width"_a,
           "channels"_a, "current_keep"_a.noconvert(), "voltage_keep"_a.noconvert(),
           "bias"_a.noconvert(), "threshold"_a.noconvert(),
           "reset_amount"_a.noconvert(), "initial_voltage"_a.noconvert(),
           "position"_a.noconvert(), "is_hard"_a, "refractory"_a, "max_spikes"_a,
           "spikes"_a, "takes_bias"_a, "bias_exponent"_a, "offset"_a,
           "is_watched"_a = false, "lowest_voltage"_a.noconvert() = nb::none())
      .def("add_dense", &add_dense, nb::kw_only(), "source"_a, "target"_a, "weights"_a,
           "shift"_a, "delay"_a, "axon_delay"_a.noconvert(), "is_direct"_a)
      .def("add_conv", &add_conv, nb::kw_only(), "source"_a, "target"_a, "weights"_a,
           "shift"_a, "delay"_a, "axon_delay"_a.noconvert(), "is_direct"_a, "stride"_a,
           "padding"_a, "dilation"_a)
      .def("add_sparse", &add_sparse, nb::kw_only(), "source"_a, "target"_a,
           "weights"_a, "shift"_a, "delay"_a, "axon_delay"_a.noconvert(),
           "starts"_a.noconvert(), "targets"_a.noconvert())
      .def("read_out", &Builder::read_out, "population"_a)
      .def("build", [](Builder& builder) {
        return const_cast<Network*>(builder.build().release());  // Python sees no field
      }, nb::rv_policy::take_ownership);
  nb::class_<Tally>(m, "Tally")
      .def("__init__", &make_tally, nb::kw_only(), "kind_of"_a.noconvert(),
           "starts"_a.noconvert(), "columns"_a.noconvert(), "amounts"_a.noconvert(),
           "core_of"_a.noconvert());
  nb::class_<Counting>(m, "Counting")
      .def("__init__", &make_counting, "network"_a, nb::kw_only(),
           "mapped"_a.noconvert(), "n_columns"_a, "core_columns"_a, "access"_a,
           "update"_a, "limits"_a, "tallies"_a, nb::keep_alive<1, 2>());
}

}  // namespace engine
