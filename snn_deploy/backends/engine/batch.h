// Many inputs, each until its outputs have settled, on several threads.
#pragma once

#include <cstdint>
#include <functional>

#include "runner.h"

namespace engine {

// Where results go; rows of an input that did not finish are not written completely.
struct Results {
  int64_t* scores;     // (n, n_timesteps, n_out), accumulated
  int32_t* timesteps;  // (n,), when each stopped; 0: it did not finish
  int32_t* counts;     // (n, n_rows, n_columns), see Runner::finish; null: without Counting
};

// An input stops once its best output leads the second by more than the timestep's
// threshold, at the latest after the last timestep. `is_stopped` is asked by the calling
// thread about every 50 ms; inputs in progress are then given up.
void run(const Network& network, const Kernels& kernels, const Counting* counting,
         const Input* inputs, int n, const double* thresholds, int n_threads,
         const Results& results,
         const std::function<bool()>& is_stopped);

}  // namespace engine
