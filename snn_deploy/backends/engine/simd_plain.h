// Vectors of 8 numbers in the compiler's own notation, for any processor.
#pragma once

#include <cstdint>
#include <cstring>

#include "layout.h"

namespace {

struct Simd {
  typedef uint32_t U32 __attribute__((vector_size(32)));
  typedef int16_t Half __attribute__((vector_size(16)));
  typedef uint16_t UHalf __attribute__((vector_size(16)));
  typedef uint8_t Bytes __attribute__((vector_size(16)));
  typedef int8_t Quarter __attribute__((vector_size(8)));
  static constexpr int kLanes = 8;   // of an I32
  static constexpr int kAtOnce = 2;  // vectors of weights
  typedef int32_t I32 __attribute__((vector_size(32)));
  typedef I32 Mask;
  typedef I32 Keep;
  struct I16 {  // GCC keeps larger vectors than the processor's in memory
    Half first, second;
  };

  template <class To, class From>
  static To read(const From* from) {
    To to;
    memcpy(&to, from, sizeof to);
    return to;
  }

  static I32 load(const int32_t* p) { return read<I32>(p); }
  static I32 load_pairs(const int16_t* p) { return read<I32>(p); }
  static void store(int32_t* p, I32 a) { memcpy(p, &a, sizeof a); }
  static I32 set(int32_t a) { return I32{} + a; }
  static I32 zero() { return I32{}; }
  static I32 add(I32 a, I32 b) { return (I32)((U32)a + (U32)b); }
  static I32 sub(I32 a, I32 b) { return (I32)((U32)a - (U32)b); }
  static I32 mul(I32 a, I32 b) { return (I32)((U32)a * (U32)b); }
  // of the two halves of each lane, added
  static I32 products(I32 a, I32 b) {
    return add(mul(lower_half(a), lower_half(b)), mul(a >> 16, b >> 16));
  }
  static I32 band(I32 a, I32 b) { return a & b; }
  static I32 bor(I32 a, I32 b) { return a | b; }
  static I32 min(I32 a, I32 b) { return choose(a < b, a, b); }
  static I32 max(I32 a, I32 b) { return choose(a > b, a, b); }
  static I32 left(I32 a, int n) { return (I32)((U32)a << n); }
  static I32 right(I32 a, int n) { return a >> n; }

  static Mask greater(I32 a, I32 b) { return a > b; }
  static Mask nonzero(I32 a) { return a != 0; }
  static I32 where(Mask m, I32 a) { return a & m; }
  static I32 unless(Mask m, I32 a) { return a & ~m; }
  static uint32_t bits(Mask m) {
    uint32_t found = 0;
    for (int i = 0; i < kLanes; ++i) found |= (uint32_t)(m[i] & 1) << i;
    return found;
  }
  static void put_bits(Mask m, uint8_t* to) { *to = (uint8_t)bits(m); }

  // |a| * keep / 4096, rounded down, with the sign of a; |a| up to 2^23.
  static I32 decay(I32 a, Keep keep) {
    I32 sign = a >> 31;
    I32 size = (a ^ sign) - sign;
    I32 kept = (size >> 12) * keep + (((size & 4095) * keep) >> 12);
    return (kept ^ sign) - sign;
  }
  static Keep load(const engine::Keep& keep, int lane) {
    return load(keep.of_4096 + lane);
  }

  static I16 zero16() { return set16(0); }
  static I16 set16(int16_t a) { return {Half{} + a, Half{} + a}; }
  static I16 load16(const int8_t* p) { return {read<Half>(p), read<Half>(p + 16)}; }
  static I16 add8(I16 a, I16 b) {
    return {(Half)((Bytes)a.first + (Bytes)b.first),
            (Half)((Bytes)a.second + (Bytes)b.second)};
  }
  static I16 add16(I16 a, I16 b) {
    return {(Half)((UHalf)a.first + (UHalf)b.first),
            (Half)((UHalf)a.second + (UHalf)b.second)};
  }
  static I16 sub16(I16 a, I16 b) {
    return {(Half)((UHalf)a.first - (UHalf)b.first),
            (Half)((UHalf)a.second - (UHalf)b.second)};
  }
  static I16 upper_byte(I16 a) { return {a.first >> 8, a.second >> 8}; }
  static I16 to_upper_byte(I16 a) {
    return {(Half)((UHalf)a.first << 8), (Half)((UHalf)a.second << 8)};
  }
  static I32 low(I16 a) { return __builtin_convertvector(a.first, I32); }
  static I32 high(I16 a) { return __builtin_convertvector(a.second, I32); }
  static I32 widen32(const int8_t* p) {
    return __builtin_convertvector(read<Quarter>(p), I32);
  }
  static I32 widen32(const int16_t* p) {
    return __builtin_convertvector(read<Half>(p), I32);
  }

  // Counts bits by their place in a word, up to 255 of each.
  struct Counter {
    uint8_t of[64] = {};

    void add(uint64_t word) {
      for (int i = 0; i < 64; ++i) of[i] = (uint8_t)(of[i] + (word >> i & 1));
    }
    // the sum of all, each times its amount, none of which is under 0
    int32_t times(const int16_t* amounts) const {
      int32_t total = 0;
      for (int i = 0; i < 64; ++i) total += of[i] * amounts[i];
      return total;
    }
  };

  // Writes first + i for each bit i; returns how many.
  static int emit(uint64_t bits, int32_t first, int32_t* out) {
    int n = 0;
    for (; bits; bits &= bits - 1) out[n++] = first + __builtin_ctzll(bits);
    return n;
  }

 private:
  static I32 lower_half(I32 a) { return (I32)((U32)a << 16) >> 16; }
  static I32 choose(Mask m, I32 a, I32 b) { return (a & m) | (b & ~m); }
};

}  // namespace
