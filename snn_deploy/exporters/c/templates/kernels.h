/* The chip's integer arithmetic, and what one spike does. The same for all networks.
 *
 * Included by snn.c only. Written by snn-deploy {{VERSION}}. */
#ifndef SNN_KERNELS_H
#define SNN_KERNELS_H

#include "snn.h"

enum { LARGEST_VOLTAGE = (1 << 23) - 1 };

/* A current has 24 bits: beyond its largest value, 2^23, it goes on at the smallest. */
static inline int32_t wrap(uint32_t value)
{
    return (int32_t)((value + LARGEST_VOLTAGE) & 0xffffffu) - LARGEST_VOLTAGE;
}

/* A voltage has 24 bits too, and stops at its largest and smallest value. */
static inline int32_t saturate(int32_t value)
{
    if (value > LARGEST_VOLTAGE) {
        return LARGEST_VOLTAGE;
    }
    return value < -LARGEST_VOLTAGE ? -LARGEST_VOLTAGE : value;
}

static inline int32_t at_least(int32_t lowest, int32_t value)
{
    return value < lowest ? lowest : value;
}

/* What is left of a value that keeps kept / 4096, rounded toward zero as C divides. */
static inline int32_t decay(snn_sum value, int32_t kept)
{
    return (int32_t)((int64_t)value * kept / 4096);
}

/* A shift to the right that rounds down, also where C leaves it to the compiler. */
static inline snn_sum halve(snn_sum value, int32_t times)
{
    return value >= 0 ? value >> times : ~(~value >> times);
}

/* Bit n of a row: whether neuron n spiked. */
static inline int32_t bit(const uint8_t *bits, int32_t n)
{
    return bits[n / 8] >> n % 8 & 1;
}

static inline void set_bit(uint8_t *bits, int32_t n)
{
    bits[n / 8] |= (uint8_t)(1u << n % 8);
}

static inline void clear(snn_sum *sums, int32_t n)
{
    memset(sums, 0, (size_t)n * sizeof *sums);
}

/* A convolution. Neurons lie position by position, the channels of one side by side. */
typedef struct {
    int32_t channels, height, width;
    int32_t out_channels, out_height, out_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t padding_y, padding_x;
    int32_t dilation_y, dilation_x;
    int32_t groups;
} convolution;

/* Which output position meets a kernel position; -1 if none does. */
static inline int32_t met(int32_t at, int32_t stride, int32_t size)
{
    return at < 0 || at % stride != 0 || at / stride >= size ? -1 : at / stride;
}
{{KERNELS}}
/* Single synapses: those of a neuron lie from its start to the next one's. */
typedef struct {
    const uint32_t *starts;
    const {{TARGET}} *targets;
    const int16_t *weights;
} synapses;

static inline void add_synapses(const synapses *s, int32_t neuron, snn_sum value,
                                snn_sum *sums)
{
    for (uint32_t i = s->starts[neuron]; i < s->starts[neuron + 1]; i++) {
        sums[s->targets[i]] += value * s->weights[i];
    }
}

#endif
