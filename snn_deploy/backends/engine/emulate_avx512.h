// AVX-512 on any processor, by SIMDe: the tests run what cannot run here otherwise.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cstdint>
#include <cstring>

// What version 0.7.4 misspells or lacks.
#undef _mm512_madd_epi16
#define _mm512_madd_epi16 simde_mm512_madd_epi16
#define _mm512_srav_epi32 emulated_srav
#define _mm512_mulhi_epu16 emulated_mulhi
#define _mm512_cvtepi16_epi32 emulated_widen16
#define _mm512_cvtepi8_epi32 emulated_widen8

static inline __m512i emulated_srav(__m512i a, __m512i by) {
  int32_t values[16], counts[16];
  memcpy(values, &a, sizeof a);
  memcpy(counts, &by, sizeof by);
  for (int i = 0; i < 16; ++i) values[i] >>= counts[i] < 31 ? counts[i] : 31;
  memcpy(&a, values, sizeof a);
  return a;
}

static inline __m512i emulated_mulhi(__m512i a, __m512i b) {
  uint16_t left[32], right[32];
  memcpy(left, &a, sizeof a);
  memcpy(right, &b, sizeof b);
  for (int i = 0; i < 32; ++i) left[i] = (uint16_t)((uint32_t)left[i] * right[i] >> 16);
  memcpy(&a, left, sizeof a);
  return a;
}

static inline __m512i emulated_widen16(__m256i a) {
  int16_t from[16];
  int32_t to[16];
  memcpy(from, &a, sizeof a);
  for (int i = 0; i < 16; ++i) to[i] = from[i];
  __m512i found;
  memcpy(&found, to, sizeof to);
  return found;
}

static inline __m512i emulated_widen8(__m128i a) {
  int8_t from[16];
  int32_t to[16];
  memcpy(from, &a, sizeof a);
  for (int i = 0; i < 16; ++i) to[i] = from[i];
  __m512i found;
  memcpy(&found, to, sizeof to);
  return found;
}
