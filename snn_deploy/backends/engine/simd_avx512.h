// Vectors of 16 numbers, for processors with AVX-512 F, BW, VL, DQ and VBMI2.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "layout.h"

namespace {

// The numbers from 0 to 63.
struct alignas(64) Bytes {
  uint8_t of[64];
  constexpr Bytes() : of() {
    for (int i = 0; i < 64; ++i) of[i] = (uint8_t)i;
  }
};
constexpr Bytes kBytes;

struct Simd {
  static constexpr int kLanes = 16;   // of an I32
  static constexpr int kAtOnce = 8;  // vectors of weights
  using I32 = __m512i;
  using I16 = __m512i;
  using Mask = __mmask16;
  using Keep = __m512;

  static I32 load(const int32_t* p) { return _mm512_loadu_si512(p); }
  static I32 load_pairs(const int16_t* p) { return _mm512_loadu_si512(p); }
  static void store(int32_t* p, I32 a) { _mm512_storeu_si512(p, a); }
  static I32 set(int32_t a) { return _mm512_set1_epi32(a); }
  static I32 zero() { return _mm512_setzero_si512(); }
  static I32 add(I32 a, I32 b) { return _mm512_add_epi32(a, b); }
  static I32 sub(I32 a, I32 b) { return _mm512_sub_epi32(a, b); }
  // of the two halves of each lane, added
  static I32 products(I32 a, I32 b) { return _mm512_madd_epi16(a, b); }
  static I32 mul(I32 a, I32 b) { return _mm512_mullo_epi32(a, b); }
  static I32 band(I32 a, I32 b) { return _mm512_and_si512(a, b); }
  static I32 bor(I32 a, I32 b) { return _mm512_or_si512(a, b); }
  static I32 min(I32 a, I32 b) { return _mm512_min_epi32(a, b); }
  static I32 max(I32 a, I32 b) { return _mm512_max_epi32(a, b); }
  static I32 left(I32 a, int n) { return _mm512_sllv_epi32(a, set(n)); }
  static I32 right(I32 a, int n) { return _mm512_srav_epi32(a, set(n)); }

  static Mask greater(I32 a, I32 b) { return _mm512_cmpgt_epi32_mask(a, b); }
  static Mask nonzero(I32 a) { return _mm512_test_epi32_mask(a, a); }
  static I32 where(Mask m, I32 a) { return _mm512_maskz_mov_epi32(m, a); }
  static I32 unless(Mask m, I32 a) { return _mm512_mask_mov_epi32(a, m, zero()); }
  static uint32_t bits(Mask m) { return m; }
  static void put_bits(Mask m, uint8_t* to) { memcpy(to, &m, sizeof m); }

  // a * keep / 4096, rounded toward 0; |a| up to 2^23. The product is rounded toward 0
  // to the 24 bits of a float: that is the same, as a float holds every such integer.
  static I32 decay(I32 a, Keep keep) {
    constexpr int kTowardZero = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
    return _mm512_cvttps_epi32(
        _mm512_mul_round_ps(_mm512_cvtepi32_ps(a), keep, kTowardZero));
  }
  static Keep load(const engine::Keep& keep, int lane) {
    return _mm512_loadu_ps(keep.fraction + lane);
  }

  static I16 zero16() { return _mm512_setzero_si512(); }
  static I16 add16(I16 a, I16 b) { return _mm512_add_epi16(a, b); }
  static I16 add8(I16 a, I16 b) { return _mm512_add_epi8(a, b); }
  static I16 load16(const int8_t* p) {
    I16 a = _mm512_loadu_si512(p);
    asm("" : "+v"(a));  // in a register: GCC would load it for each use
    return a;
  }
  static I16 set16(int16_t a) { return _mm512_set1_epi16(a); }
  static I16 sub16(I16 a, I16 b) { return _mm512_sub_epi16(a, b); }
  static I16 upper_byte(I16 a) { return _mm512_srai_epi16(a, 8); }
  static I16 to_upper_byte(I16 a) { return _mm512_slli_epi16(a, 8); }
  static I32 low(I16 a) { return _mm512_cvtepi16_epi32(_mm512_castsi512_si256(a)); }
  static I32 high(I16 a) {
    return _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(a, 1));
  }
  static I32 widen32(const int8_t* p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p));
  }
  static I32 widen32(const int16_t* p) {
    return _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i*)p));
  }

  // Counts bits by their place in a word, up to 255 of each.
  struct Counter {
    __m512i of = _mm512_setzero_si512();

    void add(uint64_t word) {
      of = _mm512_mask_add_epi8(of, word, of, _mm512_set1_epi8(1));
    }
    // the sum of all, each times its amount, none of which is under 0
    int32_t times(const int16_t* amounts) const {
      I32 low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(of));
      I32 high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(of, 1));
      low = products(low, load_pairs(amounts));
      high = products(high, load_pairs(amounts + 32));
      return _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
    }
  };

  // Writes first + i for each bit i; returns how many.
  static int emit(uint64_t bits, int32_t first, int32_t* out) {
    __m512i found = _mm512_maskz_compress_epi8(bits, _mm512_load_si512(kBytes.of));
    int n = __builtin_popcountll(bits);
    for (int i = 0;;) {
      I32 lanes = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(found));
      store(out + i, add(lanes, set(first)));
      if ((i += kLanes) >= n) return n;
      found = _mm512_shuffle_i64x2(found, found, 0x39);  // the next quarter
    }
  }
};

}  // namespace
