
/* A spike reads n weights that lie side by side, and adds them to n sums. */
static inline void add_row{{SUFFIX}}(const {{WEIGHT}} *weights, int32_t n, snn_sum value,
                           snn_sum *sums)
{
    for (int32_t i = 0; i < n; i++) {
        sums[i] += value * weights[i];
    }
}

/* A spike reads the kernels of its channel, those of all output channels it leads to. */
static inline void convolve{{SUFFIX}}(const convolution *c, const {{WEIGHT}} *weights,
                            int32_t neuron, snn_sum value, snn_sum *sums)
{
    const int32_t channel = neuron % c->channels;
    const int32_t y = neuron / c->channels / c->width;
    const int32_t x = neuron / c->channels % c->width;
    const int32_t n = c->out_channels / c->groups;
    const int32_t first = channel / (c->channels / c->groups) * n;

    weights += channel * c->kernel_height * c->kernel_width * n;
    for (int32_t i = 0; i < c->kernel_height; i++) {
        const int32_t row = met(y + c->padding_y - i * c->dilation_y, c->stride_y,
                                c->out_height);
        for (int32_t j = 0; row >= 0 && j < c->kernel_width; j++) {
            const int32_t column = met(x + c->padding_x - j * c->dilation_x,
                                       c->stride_x, c->out_width);
            if (column >= 0) {
                const int32_t position = row * c->out_width + column;
                add_row{{SUFFIX}}(&weights[(i * c->kernel_width + j) * n], n, value,
                        &sums[position * c->out_channels + first]);
            }
        }
    }
}
