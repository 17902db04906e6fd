// How many synaptic events one thread can add per second, at best: rows of 8-bit
// weights in the first cache, 255 events in a loop that never ends early, nothing else.
// Prints events per second. Words and upper bytes are summed apart, as the engine does.
// Built and run by limit.py.
#include <cstdint>
#include <cstdio>
#include <ctime>

namespace {

constexpr int kRows = 128, kChannels = 128, kEvents = 255, kRuns = 2000, kRounds = 40;
typedef int16_t Words __attribute__((vector_size(64)));

alignas(64) int8_t weights[kRows * kChannels];
int32_t events[kEvents];
alignas(64) int16_t sums[2 * kChannels];

__attribute__((noinline)) void add_events() {
  Words sum[kChannels / 64] = {}, upper[kChannels / 64] = {};
  for (int32_t event : events) {
    const int8_t* row = weights + event * kChannels;
#pragma GCC unroll 2
    for (int i = 0; i < kChannels / 64; ++i) {
      Words words = *(const Words*)(row + 64 * i);
#ifdef __AVX512F__
      asm("" : "+v"(words));  // loaded once
#endif
      sum[i] += words;
      upper[i] += words >> 8;
    }
  }
  for (int i = 0; i < kChannels / 64; ++i) {
    ((Words*)sums)[2 * i] = sum[i];
    ((Words*)sums)[2 * i + 1] = upper[i];
  }
}

double now() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

double rate() {
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    double start = now();
    for (int run = 0; run < kRuns; ++run) add_events();
    double time = now() - start;
    if (time < best) best = time;
  }
  return (double)kRuns * kEvents * kChannels / best;
}

}  // namespace

int main() {
  uint32_t state = 1;
  for (int8_t& weight : weights) weight = (int8_t)((state = state * 1664525 + 1) >> 24);
  for (int32_t& event : events) event = (state = state * 1664525 + 1) >> 25;
  std::printf("%.0f\n", rate());
}
