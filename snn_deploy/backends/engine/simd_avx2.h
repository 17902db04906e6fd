// Vectors of 8 numbers, for processors with AVX2.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "layout.h"

namespace {

// For each set of 8 lanes, the lanes in it.
struct LaneTable {
  uint8_t lanes[256][8];
  constexpr LaneTable() : lanes() {
    for (int mask = 0; mask < 256; ++mask) {
      int n = 0;
      for (int i = 0; i < 8; ++i)
        if (mask >> i & 1) lanes[mask][n++] = (uint8_t)i;
    }
  }
};
constexpr LaneTable kLaneTable;

struct Simd {
  static constexpr int kLanes = 8;   // of an I32
  static constexpr int kAtOnce = 4;  // vectors of weights
  using I32 = __m256i;
  using I16 = __m256i;
  using Mask = __m256i;
  using Keep = I32;

  static I32 load(const int32_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
  static I32 load_pairs(const int16_t* p) {
    return _mm256_loadu_si256((const __m256i*)p);
  }
  static void store(int32_t* p, I32 a) { _mm256_storeu_si256((__m256i*)p, a); }
  static I32 set(int32_t a) { return _mm256_set1_epi32(a); }
  static I32 zero() { return _mm256_setzero_si256(); }
  static I32 add(I32 a, I32 b) { return _mm256_add_epi32(a, b); }
  static I32 sub(I32 a, I32 b) { return _mm256_sub_epi32(a, b); }
  // of the two halves of each lane, added
  static I32 products(I32 a, I32 b) { return _mm256_madd_epi16(a, b); }
  static I32 mul(I32 a, I32 b) { return _mm256_mullo_epi32(a, b); }
  static I32 band(I32 a, I32 b) { return _mm256_and_si256(a, b); }
  static I32 bor(I32 a, I32 b) { return _mm256_or_si256(a, b); }
  static I32 min(I32 a, I32 b) { return _mm256_min_epi32(a, b); }
  static I32 max(I32 a, I32 b) { return _mm256_max_epi32(a, b); }
  static I32 left(I32 a, int n) { return _mm256_sll_epi32(a, _mm_cvtsi32_si128(n)); }
  static I32 right(I32 a, int n) { return _mm256_sra_epi32(a, _mm_cvtsi32_si128(n)); }

  static Mask greater(I32 a, I32 b) { return _mm256_cmpgt_epi32(a, b); }
  static Mask nonzero(I32 a) {
    return _mm256_xor_si256(_mm256_cmpeq_epi32(a, zero()), set(-1));
  }
  static I32 where(Mask m, I32 a) { return _mm256_and_si256(m, a); }
  static I32 unless(Mask m, I32 a) { return _mm256_andnot_si256(m, a); }
  static uint32_t bits(Mask m) {
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(m));
  }
  static void put_bits(Mask m, uint8_t* to) { *to = (uint8_t)bits(m); }

  // |a| * keep / 4096, rounded down, with the sign of a; |a| up to 2^23. The product
  // has 36 bits: the upper and lower 12 bits of |a| are multiplied on their own.
  static I32 decay(I32 a, Keep keep) {
    I32 size = _mm256_abs_epi32(a);
    I32 upper = _mm256_madd_epi16(_mm256_srli_epi32(size, 12), keep);
    I32 lower = _mm256_and_si256(_mm256_slli_epi32(size, 4), set(0xfff0));
    I32 kept = _mm256_add_epi32(upper, _mm256_mulhi_epu16(lower, keep));
    return _mm256_sign_epi32(kept, a);
  }
  static Keep load(const engine::Keep& keep, int lane) {
    return load(keep.of_4096 + lane);
  }

  static I16 zero16() { return _mm256_setzero_si256(); }
  static I16 add16(I16 a, I16 b) { return _mm256_add_epi16(a, b); }
  static I16 add8(I16 a, I16 b) { return _mm256_add_epi8(a, b); }
  static I16 load16(const int8_t* p) {
    I16 a = _mm256_loadu_si256((const __m256i*)p);
    asm("" : "+x"(a));  // in a register: GCC would load it for each use
    return a;
  }
  static I16 set16(int16_t a) { return _mm256_set1_epi16(a); }
  static I16 sub16(I16 a, I16 b) { return _mm256_sub_epi16(a, b); }
  static I16 upper_byte(I16 a) { return _mm256_srai_epi16(a, 8); }
  static I16 to_upper_byte(I16 a) { return _mm256_slli_epi16(a, 8); }
  static I32 low(I16 a) { return _mm256_cvtepi16_epi32(_mm256_castsi256_si128(a)); }
  static I32 high(I16 a) {
    return _mm256_cvtepi16_epi32(_mm256_extracti128_si256(a, 1));
  }
  static I32 widen32(const int8_t* p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p));
  }
  static I32 widen32(const int16_t* p) {
    return _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i*)p));
  }

  // Counts bits by their place in a word, up to 255 of each.
  struct Counter {
    __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();

    void add(uint64_t word) {
      low = _mm256_sub_epi8(low, spread((uint32_t)word));
      high = _mm256_sub_epi8(high, spread((uint32_t)(word >> 32)));
    }
    // the sum of all, each times its amount, none of which is under 0
    int32_t times(const int16_t* amounts) const {
      I32 sum = _mm256_setzero_si256();
      __m128i quarters[4] = {
          _mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1),
          _mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)};
      for (int i = 0; i < 4; ++i)
        sum = Simd::add(sum, products(_mm256_cvtepu8_epi16(quarters[i]),
                                      load_pairs(amounts + 16 * i)));
      int32_t lanes[kLanes], total = 0;
      store(lanes, sum);
      for (int32_t lane : lanes) total += lane;
      return total;
    }

   private:
    // -1 in each byte whose bit is set
    static __m256i spread(uint32_t bits) {
      const __m256i bytes = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202,
                                               0x0303030303030303);
      const __m256i places = _mm256_set1_epi64x((long long)0x8040201008040201);
      __m256i found = _mm256_shuffle_epi8(set((int32_t)bits), bytes);
      return _mm256_cmpeq_epi8(_mm256_and_si256(found, places), places);
    }
  };

  // Writes first + i for each bit i; returns how many.
  static int emit(uint64_t bits, int32_t first, int32_t* out) {
    int n = 0;
    for (int i = 0; i < 64; i += kLanes, bits >>= kLanes) {
      const __m128i* lanes = (const __m128i*)kLaneTable.lanes[bits & 255];
      I32 found = _mm256_cvtepu8_epi32(_mm_loadl_epi64(lanes));
      store(out + n, add(found, set(first + i)));
      n += __builtin_popcount(bits & 255);
    }
    return n;
  }
};

}  // namespace
