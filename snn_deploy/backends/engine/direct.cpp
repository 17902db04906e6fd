#include "direct.h"

#include <algorithm>

namespace engine {

namespace {

constexpr int64_t kMostExpanded = 1 << 17;  // bytes of weights of several pixels
constexpr int64_t kMostValues = 1 << 24;      // of the image of a constant input
constexpr int kNarrowest = 48;              // channels that fill a block well enough
constexpr int64_t kMostBytes = (int64_t)1 << 31;  // of blocks; places have 32 bits

int64_t padded(int64_t n) { return (n + kBlock - 1) / kBlock * kBlock; }

// The kernel of several pixels side by side.
int kernel_width_of(const Scatter& s, int n_pixels) {
  return s.kernel_width + (n_pixels - 1) * s.stride_x;
}

int64_t n_rows_of(const Scatter& s, int n_pixels) {
  return (int64_t)s.kernel_height * kernel_width_of(s, n_pixels) * s.source.channels;
}

// Whether so many pixels at once are too few: they do not fill a block, or they see
// hardly an event at a usual activity of 10 %.
bool is_narrow(const Scatter& s, int n_pixels) {
  int n_channels = n_pixels * s.target.channels;
  return n_channels < kBlock ||
         (n_rows_of(s, n_pixels) < 60 && n_channels < 4 * kBlock);
}

// The number of output pixels that are summed at once.
int n_pixels_at_once(const Scatter& s) {
  int n = 1;
  while (is_narrow(s, n) && 2 * n <= s.target.width + 4 &&
         n_rows_of(s, 2 * n) * padded(2 * n * s.target.channels) <= kMostExpanded)
    n *= 2;
  return n;
}

// What is added to weights in lower bytes: 64 if all of them have 7 bits.
int excess_of(const Projection& p) {
  for (int8_t weight : p.narrow)
    if (weight < -64 || weight > 63) return 128;
  return 64;
}

// Puts a weight into its block, see sums.h.
void put(int8_t* row, int64_t i, int8_t weight, int excess) {
  int64_t half = kBlock / 2, place = i % kBlock;
  int8_t* word = row + i - place + place % half * 2;
  if (place < half)
    word[0] = (int8_t)(weight + excess);
  else
    word[1] = weight;
}

Aligned<int8_t> empty_blocks(int64_t n_bytes, int excess) {
  Aligned<int8_t> blocks(n_bytes);
  for (size_t i = 0; i < blocks.size(); i += 2) blocks[i] = (int8_t)excess;
  return blocks;
}

// The weights of a dense projection, the rows of neurons one after the other.
void lay_out_dense(Projection& p) {
  const Grid& target = p.scatter.target;
  int64_t n_in = size_of(p.scatter.source), n_out = size_of(target);
  int64_t n = (int64_t)target.width * target.channels;
  if (n < kNarrowest) return;
  int64_t stride = padded(n), next = (n_in + 1) * stride;
  if (next >= kMostBytes) return;
  const int excess = excess_of(p);
  p.blocks = empty_blocks(target.height * next, excess);
  for (int64_t in = 0; in < n_in; ++in)
    for (int64_t out = 0; out < n_out; ++out)
      put(&p.blocks[out / n * next + in * stride], out % n, p.narrow[in * n_out + out],
          excess);
  p.direct.blocks = {p.blocks.data(), (int)n_in, excess == 64, 1, stride, next, 1, 1};
}

// The weights of a convolution. Those of pixel i at once begin i strides further right.
void lay_out_conv(Projection& p) {
  const Scatter& s = p.scatter;
  const int n_pixels = n_pixels_at_once(s), width = kernel_width_of(s, n_pixels);
  const int64_t n_in = s.source.channels, n_out = s.target.channels;
  if (n_pixels * n_out < kNarrowest) return;
  int64_t stride = padded(n_pixels * n_out), n_rows = n_rows_of(s, n_pixels);
  if ((n_rows + 1) * stride >= kMostBytes) return;
  const int excess = excess_of(p);
  p.blocks = empty_blocks((n_rows + 1) * stride, excess);
  for (int64_t row = 0; row < s.kernel_height; ++row)
    for (int pixel = 0; pixel < n_pixels; ++pixel)
      for (int64_t i = 0; i < s.kernel_width * n_in; ++i) {
        const int8_t* from = &p.narrow[(row * s.kernel_width * n_in + i) * n_out];
        int64_t place = (row * width + pixel * s.stride_x) * n_in + i;
        for (int64_t out = 0; out < n_out; ++out)
          put(&p.blocks[place * stride], pixel * n_out + out, from[out], excess);
      }
  p.direct.blocks = {p.blocks.data(), (int)n_rows, excess == 64, n_pixels, stride, 0,
                     width, n_pixels * s.stride_x};
}

template <class Weight>
void put_pairs(const Scatter& s, const Weight* weights, int64_t n_pairs,
               int16_t* pairs) {
  int64_t n = (int64_t)s.kernel_width * s.source.channels, n_out = s.target.channels;
  for (int64_t row = 0; row < s.kernel_height; ++row)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t out = 0; out < n_out; ++out)
        pairs[((row * n_pairs + i / 2) * n_out + out) * 2 + i % 2] =
            weights[(row * n + i) * n_out + out];
}

// The weights of a convolution of a constant input; see layout.h.
void lay_out_dense_conv(Projection& p) {
  const Scatter& s = p.scatter;
  int64_t channels = s.source.channels, n_out = s.target.channels;
  int64_t width = (s.source.width + 2 * (int64_t)s.padding_x) * channels;
  int64_t height = s.source.height + 2 * (int64_t)s.padding_y;
  int64_t step_x = s.stride_x * channels;
  int64_t n_pairs = (s.kernel_width * channels + 1) / 2;
  int64_t n_values = width * height + kPixels * step_x + 2;
  if (n_values > kMostValues) return;
  p.pairs.resize(s.kernel_height * n_pairs * n_out * 2);
  if (p.is_wide)
    put_pairs(s, p.wide.data(), n_pairs, p.pairs.data());
  else
    put_pairs(s, p.narrow.data(), n_pairs, p.pairs.data());
  p.dense = {p.pairs.data(),  s.kernel_height,      (int)n_pairs,
             (ptrdiff_t)width, (ptrdiff_t)(s.stride_y * width), (ptrdiff_t)step_x};
  p.n_image = (size_t)n_values;
}

}  // namespace

void lay_out_direct(Projection& p) {
  const Scatter& s = p.scatter;
  bool is_conv = s.kind == Scatter::kConv;
  int64_t n_out = is_conv ? s.target.channels : size_of(s.target);
  int64_t next = (int64_t)s.target.width * s.target.channels;
  Direct& direct = p.direct;
  const void* rows = p.is_wide ? (const void*)p.wide.data() : p.narrow.data();
  direct.single = {rows, 0, false, 1, n_out, next, s.kernel_width, s.stride_x};
  direct.is_wide = p.is_wide;
  direct.is_conv = is_conv;
  direct.shift = p.shift;
  direct.source = s.source;
  direct.kernel_height = s.kernel_height;
  direct.stride_y = s.stride_y;
  direct.padding_y = s.padding_y;
  direct.padding_x = s.padding_x;
  if (is_conv && p.source < 0) lay_out_dense_conv(p);
  if (p.is_wide) return;
  if (is_conv)
    lay_out_conv(p);
  else
    lay_out_dense(p);
}

}  // namespace engine
