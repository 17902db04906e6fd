#include "batch.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

namespace engine {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPatience(50), kShort(1);

// Asks every 50 ms or somewhat later, but looks at the clock about every millisecond:
// after as many calls as that took.
class Asking {
 public:
  explicit Asking(const std::function<bool()>& is_stopped) : is_stopped_(is_stopped) {}

  bool operator()() {
    if (--n_left_ > 0) return false;
    Clock::time_point now = Clock::now();
    n_calls_ = now - looked_ < kShort ? std::min(2 * n_calls_, 1 << 20) : 1;
    n_left_ = n_calls_;
    looked_ = now;
    if (now - asked_ < kPatience) return false;
    asked_ = now;
    return is_stopped_();
  }

 private:
  const std::function<bool()>& is_stopped_;
  int n_calls_ = 1, n_left_ = 1;
  Clock::time_point looked_ = Clock::now(), asked_ = looked_;
};

int64_t gap(const int64_t* scores, int n) {
  if (n < 2) return 0;
  int64_t first = scores[0], second = scores[1];
  if (second > first) std::swap(first, second);
  for (int i = 2; i < n; ++i) {
    if (scores[i] > first) {
      second = first;
      first = scores[i];
    } else if (scores[i] > second) {
      second = scores[i];
    }
  }
  return first - second;
}

bool is_settled(const int64_t* scores, int n, double threshold) {
  if (threshold == HUGE_VAL) return false;  // many scores take time
  return (double)gap(scores, n) > threshold;
}

// What the threads share.
class Work {
 public:
  Work(const Network& network, const Kernels& kernels, const Counting* counting,
       const Input* inputs, int n, const double* thresholds, const Results& results)
      : network_(network),
        kernels_(kernels),
        counting_(counting),
        inputs_(inputs),
        n_(n),
        thresholds_(thresholds),
        results_(results) {}

  // Takes inputs until none is left; `poll` is called at every timestep.
  template <class Poll>
  void take(Poll poll) {
    Runner runner(network_, kernels_, counting_);
    for (int i = next_++; i < n_ && !is_over; i = next_++) {
      int timesteps = run_one(runner, i, poll);
      if (timesteps) results_.timesteps[i] = timesteps;
    }
  }

  // Clears the scores of timesteps that did not run.
  void clear_rest() {
    const size_t n_out = network_.n_out(), n_timesteps = network_.n_timesteps;
    for (size_t i = 0; i < (size_t)n_; ++i)
      std::fill(results_.scores + (i * n_timesteps + results_.timesteps[i]) * n_out,
                results_.scores + (i + 1) * n_timesteps * n_out, 0);
  }

  void fail(std::exception_ptr error) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!this->error) this->error = error;
    is_over = true;
  }

  std::atomic<bool> is_over{false};
  std::mutex mutex;
  std::condition_variable ended;
  int n_running = 0;
  std::exception_ptr error;

 private:
  template <class Poll>
  int run_one(Runner& runner, int i, Poll poll) {
    int n_out = network_.n_out();
    int64_t* scores = results_.scores + (size_t)i * network_.n_timesteps * n_out;
    const int64_t* before = nullptr;  // scores of the last timestep
    const bool is_sum = network_.functional == Functional::kSum;
    const bool is_max = network_.functional == Functional::kMax;
    if (i + 1 < n_) fetch(inputs_[i + 1]);
    int32_t* counts = nullptr;
    if (counting_) counts = results_.counts + (size_t)i * counting_->n_counts();
    runner.start(inputs_[i], counts);
    for (int t = 1;; ++t) {
      poll();
      if (is_over) return 0;
      runner.advance();
      runner.read_out(is_sum ? before : nullptr, scores);
      for (int i = 0; is_max && before && i < n_out; ++i)
        scores[i] = std::max(scores[i], before[i]);
      if (t == network_.n_timesteps || is_settled(scores, n_out, thresholds_[t - 1])) break;
      before = scores;
      scores += n_out;
    }
    runner.finish();
    return runner.timestep();
  }

  // Brings the first timestep of an input into the second cache: it is wanted next.
  void fetch(const Input& input) const {
    constexpr int kMost = 1 << 14, kLine = 64 / (int)sizeof *input.values;
    int n = std::min(size_of(network_.source), kMost);
    for (int at = 0; at < n; at += kLine) __builtin_prefetch(input.values + at, 0, 2);
  }

  const Network& network_;
  const Kernels& kernels_;
  const Counting* counting_;
  const Input* inputs_;
  int n_;
  const double* thresholds_;
  Results results_;
  std::atomic<int> next_{0};
};

}  // namespace

void run(const Network& network, const Kernels& kernels, const Counting* counting,
         const Input* inputs, int n, const double* thresholds, int n_threads,
         const Results& results, const std::function<bool()>& is_stopped) {
  Work work(network, kernels, counting, inputs, n, thresholds, results);
  Asking asking(is_stopped);
  auto ask = [&] {
    if (asking()) work.is_over = true;
  };
  std::vector<std::thread> threads;
  auto help = [&work] {
    try {
      work.take([] {});
    } catch (...) {
      work.fail(std::current_exception());
    }
    std::lock_guard<std::mutex> lock(work.mutex);
    --work.n_running;
    work.ended.notify_all();
  };
  try {
    for (int i = 1; i < n_threads && i < n; ++i) {
      {
        std::lock_guard<std::mutex> lock(work.mutex);
        ++work.n_running;
      }
      try {
        threads.emplace_back(help);
      } catch (...) {  // no more threads: the others do the work
        std::lock_guard<std::mutex> lock(work.mutex);
        --work.n_running;
        break;
      }
    }
    work.take(ask);
  } catch (...) {
    work.fail(std::current_exception());
  }
  {
    std::unique_lock<std::mutex> lock(work.mutex);
    while (work.n_running) {
      work.ended.wait_for(lock, kPatience);
      lock.unlock();
      ask();
      lock.lock();
    }
  }
  for (std::thread& thread : threads) thread.join();
  work.clear_rest();
  if (work.error) std::rethrow_exception(work.error);
}

}  // namespace engine
