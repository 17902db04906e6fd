// snn_deploy.backends.engine._engine: the network and its runs, as Python sees them.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>

#include "arrays.h"
#include "batch.h"
#include "build.h"
#include "dispatch.h"

using namespace nb::literals;

namespace engine {
namespace {

// One input from (values, is_constant, bias or None); the arrays must stay alive.
Input input_of(const Network& network, nb::handle item, bool is_extreme) {
  nb::tuple parts;
  Array<int32_t> values;
  if (!nb::try_cast(item, parts, false) || parts.size() != 3)
    throw nb::type_error("an input is (values, is_constant, bias)");
  if (!nb::try_cast(parts[0], values, false))
    throw nb::type_error("the values of an input must be C-contiguous int32");
  if (values.ndim() < 1 ||
      values.size() != values.shape(0) * (size_t)size_of(network.source))
    throw nb::value_error("the values of an input have another shape than the network");
  Input input{values.data(), (int)values.shape(0), nb::cast<bool>(parts[1]), nullptr,
              is_extreme};
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

void require_of(const Network& network, const Counting* counting) {
  if (counting && &counting->network != &network)
    throw nb::value_error("what is to be counted is that of another network");
}

nb::tuple run_batch(const Network& network, nb::list inputs, Row<double> thresholds,
                    int n_threads, const Counting* counting, std::string kernels,
                    bool is_extreme) {
  require_of(network, counting);
  const Kernels& used = find_kernels(kernels);
  if (thresholds.size() != (size_t)network.n_timesteps)
    throw nb::value_error("a threshold is needed for every timestep");
  if (n_threads < 1) throw nb::value_error("threads must be at least 1");
  std::vector<Input> found;
  for (nb::handle item : inputs) found.push_back(input_of(network, item, is_extreme));
  size_t n = found.size();
  size_t n_timesteps = network.n_timesteps;
  auto scores = new_array<int64_t>({n, n_timesteps, (size_t)network.n_out()}, false);
  auto timesteps = new_array<int32_t>({n});
  size_t n_columns = counting ? counting->columns.n : 0;
  auto counts = new_array<int32_t>(
      {counting ? n : 0, (size_t)network.n_rows(), n_columns});
  Results results{scores.data(), timesteps.data(), counting ? counts.data() : nullptr};
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
    run(network, used, counting, found.data(), (int)n, thresholds.data(), n_threads, results,
        is_stopped);
  }
  return nb::make_tuple(scores, timesteps, counts, interrupt);
}

// Inputs that advance when they are told to.
class Session {
 public:
  Session(const Network& network, nb::list inputs, const Counting* counting,
          std::string kernels, bool is_extreme)
      : network_(network),
        counting_(counting),
        inputs_(nb::list(nb::handle(inputs)[nb::slice(nb::none(), nb::none(),
                                                      nb::none())])) {
    require_of(network, counting);
    const Kernels& used = find_kernels(kernels);
    for (nb::handle item : inputs_) {
      Input input = input_of(network, item, is_extreme);
      counts_.emplace_back(counting ? counting->n_counts() : 0);
      runners_.push_back(std::make_unique<Runner>(network, used, counting));
      runners_.back()->start(input, counting ? counts_.back().data() : nullptr);
    }
  }

  Session(const Session&) = delete;

  // Advances some inputs by a timestep; returns what the host reads of each.
  nb::ndarray<nb::numpy, int64_t> step(Row<int64_t> which) {
    Use use(is_used_);
    std::vector<Runner*> runners = to_step(which);
    size_t n_out = network_.n_out();
    auto values = new_array<int64_t>({runners.size(), n_out});
    nb::gil_scoped_release released;
    for (size_t i = 0; i < runners.size(); ++i) {
      runners[i]->advance();
      runners[i]->read_out(nullptr, values.data() + i * n_out);
    }
    return values;
  }

  // Ends an input; returns its counts, then those of the stream, see Runner::finish.
  nb::ndarray<nb::numpy, int32_t> finish(int64_t which) {
    Use use(is_used_);
    at(which).finish();
    std::vector<int32_t>& found = counts_[which];
    size_t n_columns = counting_ ? counting_->columns.n : 0;
    auto counts = new_array<int32_t>({(size_t)network_.n_rows(), n_columns});
    std::copy_n(found.begin(), counts.size(), counts.data());
    runners_[which].reset();
    found = {};
    return counts;
  }

 private:
  // One call at a time: another thread's is refused, not made to wait.
  class Use {
   public:
    explicit Use(std::atomic<bool>& is_used) : is_used_(is_used) {
      if (is_used.exchange(true))
        throw std::runtime_error("the session is in use by another thread");
    }
    ~Use() { is_used_ = false; }
    Use(const Use&) = delete;

   private:
    std::atomic<bool>& is_used_;
  };

  Runner& at(int64_t which) {
    if (which < 0 || which >= (int64_t)runners_.size() || !runners_[which])
      throw nb::index_error("there is no such input, or it has ended");
    return *runners_[which];
  }

  std::vector<Runner*> to_step(const Row<int64_t>& which) {
    std::vector<Runner*> found;
    std::vector<bool> is_given(runners_.size());
    for (size_t i = 0; i < which.size(); ++i) {
      int64_t index = which.data()[i];
      Runner& runner = at(index);
      if (runner.timestep() == network_.n_timesteps)
        throw nb::index_error("the input is at its last timestep");
      if (is_given[index]) throw nb::index_error("the input is given twice");
      is_given[index] = true;
      found.push_back(&runner);
    }
    return found;
  }

  const Network& network_;
  const Counting* counting_;
  nb::list inputs_;  // keeps the arrays
  std::vector<std::vector<int32_t>> counts_;
  std::vector<std::unique_ptr<Runner>> runners_;
  std::atomic<bool> is_used_{false};
};

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Kernels* kernels : available_kernels()) names.push_back(kernels->name);
  return names;
}

NB_MODULE(_engine, m) {
  m.def("instruction_sets", &instruction_sets);
  bind_builder(m);
  nb::class_<Network>(m, "Network")
      .def("run", &run_batch, "inputs"_a, "thresholds"_a.noconvert(), "threads"_a,
           "counting"_a.none(), "instructions"_a = "", "is_extreme"_a = false);
  nb::class_<Session>(m, "Session")
      .def(nb::init<const Network&, nb::list, const Counting*, std::string, bool>(),
           "network"_a, "inputs"_a, "counting"_a.none(), "instructions"_a = "",
           "is_extreme"_a = false, nb::keep_alive<1, 2>(), nb::keep_alive<1, 4>())
      .def("step", &Session::step, "which"_a.noconvert())
      .def("finish", &Session::finish, "which"_a);
}

}  // namespace
}  // namespace engine
