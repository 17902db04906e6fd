// snn_deploy.backends._engine: the network and its runs, as Python sees them.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "arrays.h"
#include "batch.h"
#include "build.h"
#include "dispatch.h"

using namespace nb::literals;

namespace engine {
namespace {

// One input from (values, is_constant, bias or None); the arrays must stay alive.
Input input_of(const Network& network, nb::handle item) {
  nb::tuple parts;
  Array<int32_t> values;
  if (!nb::try_cast(item, parts, false) || parts.size() != 3)
    throw nb::type_error("an input is (values, is_constant, bias)");
  if (!nb::try_cast(parts[0], values, false))
    throw nb::type_error("the values of an input must be C-contiguous int32");
  if (values.ndim() < 1 ||
      values.size() != values.shape(0) * (size_t)size_of(network.source))
    throw nb::value_error("the values of an input have another shape than the network");
  Input input{values.data(), (int)values.shape(0), nb::cast<bool>(parts[1]), nullptr};
  if (input.is_constant && input.n_rows != 1)
    throw nb::value_error("a constant input holds exactly one timestep");
  if (parts[2].is_none()) return input;
  Row<int64_t> bias;
  if (!nb::try_cast(parts[2], bias, false))
    throw nb::type_error("the bias of an input must be a row of int64");
  for (const Population& population : network.populations) {
    if (population.takes_bias && population.position.size() != bias.size())
      throw nb::value_error("the bias of an input has another size than its population");
  }
  for (size_t i = 0; i < bias.size(); ++i)
    if (bias.data()[i] > 4095 || bias.data()[i] < -4095)
      throw nb::value_error("the bias of an input is out of range");
  input.bias = bias.data();
  return input;
}

void require_counted(const Network& network, bool is_counted) {
  network.require_complete();
  if (is_counted && !network.is_counted())
    throw nb::value_error("the network has nothing to count with");
}

nb::tuple run_batch(const Network& network, nb::list inputs, Row<double> thresholds,
                    int n_threads, bool is_counted, std::string kernels) {
  require_counted(network, is_counted);
  const Kernels& used = find_kernels(kernels);
  if (thresholds.size() != (size_t)network.n_timesteps)
    throw nb::value_error("a threshold is needed for every timestep");
  if (n_threads < 1) throw nb::value_error("threads must be at least 1");
  std::vector<Input> found;
  for (nb::handle item : inputs) found.push_back(input_of(network, item));
  size_t n = found.size();
  size_t n_timesteps = network.n_timesteps;
  auto scores = new_array<int64_t>({n, n_timesteps, (size_t)network.n_out()});
  auto timesteps = new_array<int32_t>({n});
  size_t n_counted = is_counted ? n : 0;
  auto counts = new_array<int32_t>(
      {n_counted, (size_t)network.n_rows(), (size_t)network.n_columns});
  Results results{scores.data(), timesteps.data(), is_counted ? counts.data() : nullptr};
  nb::object interrupt = nb::none();
  auto is_stopped = [&] {
    nb::gil_scoped_acquire holds;
    if (PyErr_CheckSignals() == 0) return false;
    nb::python_error raised;  // takes it from Python
    interrupt = nb::borrow(raised.value());
    return true;
  };
  {
    nb::gil_scoped_release released;
    run(network, used, found.data(), (int)n, thresholds.data(), n_threads, results,
        is_stopped);
  }
  return nb::make_tuple(scores, timesteps, counts, interrupt);
}

// Inputs that advance when they are told to.
class Session {
 public:
  Session(const Network& network, nb::list inputs, bool is_counted, std::string kernels)
      : network_(network), inputs_(nb::list(nb::handle(inputs)[nb::slice(
                               nb::none(), nb::none(), nb::none())])) {
    require_counted(network, is_counted);
    const Kernels& used = find_kernels(kernels);
    for (nb::handle item : inputs_) {
      Input input = input_of(network, item);
      counts_.emplace_back(is_counted ? (size_t)network.n_rows() * network.n_columns : 0);
      runners_.push_back(std::make_unique<Runner>(network, used));
      runners_.back()->start(input, is_counted ? counts_.back().data() : nullptr);
    }
  }

  Session(const Session&) = delete;

  // Advances some inputs by a timestep; returns what the host reads of each.
  nb::ndarray<nb::numpy, int64_t> step(Row<int64_t> which) {
    size_t n_out = network_.n_out();
    auto values = new_array<int64_t>({which.size(), n_out});
    for (size_t i = 0; i < which.size(); ++i)
      if (at(which.data()[i]).timestep() == network_.n_timesteps)
        throw nb::index_error("the input is at its last timestep");
    nb::gil_scoped_release released;
    for (size_t i = 0; i < which.size(); ++i) {
      Runner& runner = at(which.data()[i]);
      runner.advance();
      runner.read_out(values.data() + i * n_out);
    }
    return values;
  }

  // Ends an input; returns its counts, then those of the stream, see Runner::finish.
  nb::ndarray<nb::numpy, int32_t> finish(int64_t which) {
    size_t n_columns = network_.n_columns, n_rows = at(which).finish();
    std::vector<int32_t>& found = counts_[which];
    auto counts = new_array<int32_t>({found.empty() ? 0 : n_rows, n_columns});
    std::copy_n(found.begin(), counts.size(), counts.data());
    runners_[which].reset();
    found = {};
    return counts;
  }

 private:
  Runner& at(int64_t which) {
    if (which < 0 || which >= (int64_t)runners_.size() || !runners_[which])
      throw nb::index_error("there is no such input, or it has ended");
    Runner& runner = *runners_[which];
    return runner;
  }

  const Network& network_;
  nb::list inputs_;  // keeps the arrays
  std::vector<std::vector<int32_t>> counts_;
  std::vector<std::unique_ptr<Runner>> runners_;
};

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Kernels* kernels : available_kernels()) names.push_back(kernels->name);
  return names;
}

NB_MODULE(_engine, m) {
  m.def("instruction_sets", &instruction_sets);
  bind_network(m)
      .def("run", &run_batch, "inputs"_a, "thresholds"_a.noconvert(), "threads"_a,
           "is_counted"_a, "instructions"_a = "");
  nb::class_<Session>(m, "Session")
      .def(nb::init<const Network&, nb::list, bool, std::string>(), "network"_a,
           "inputs"_a, "is_counted"_a, "instructions"_a = "", nb::keep_alive<1, 2>())
      .def("step", &Session::step, "which"_a.noconvert())
      .def("finish", &Session::finish, "which"_a);
}

}  // namespace
}  // namespace engine
