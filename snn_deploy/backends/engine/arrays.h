// Arrays that come from NumPy and go there.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

namespace nb = nanobind;

namespace engine {

template <class T>
using Array = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
template <class T>
using Row = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T>
std::vector<T> copy(const Row<T>& row) {
  return std::vector<T>(row.data(), row.data() + row.size());
}

// An array of NumPy that owns what it shows.
template <class T>
nb::ndarray<nb::numpy, T> new_array(std::vector<size_t> shape, bool is_cleared = true) {
  size_t size = 1;
  for (size_t n : shape) size *= n;
  size = std::max(size, (size_t)1);
  if (size > SIZE_MAX / sizeof(T)) throw std::bad_alloc();
  T* data = (T*)(is_cleared ? calloc(size, sizeof(T)) : malloc(size * sizeof(T)));
  if (!data) throw std::bad_alloc();
  nb::capsule owner(data, [](void* p) noexcept { free(p); });
  return nb::ndarray<nb::numpy, T>(data, shape.size(), shape.data(), owner);
}

}  // namespace engine
