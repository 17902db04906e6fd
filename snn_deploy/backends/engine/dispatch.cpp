#include "dispatch.h"

#include <stdexcept>

namespace engine {

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> found;
#ifdef ENGINE_HAS_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vbmi2"))
    found.push_back(&kAvx512Kernels);
  if (__builtin_cpu_supports("avx2")) found.push_back(&kAvx2Kernels);
#endif
  found.push_back(&kPlainKernels);
  return found;
}

const Kernels& find_kernels(const std::string& name) {
  std::string names;
  for (const Kernels* kernels : available_kernels()) {
    if (name.empty() || name == kernels->name) return *kernels;
    names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw std::invalid_argument("this processor has no " + name + ", but " + names);
}

}  // namespace engine
