/* Whether the timesteps that are left cannot change the answer. */
static int is_certain(const snn_net *net)
{
    const int64_t left = SNN_TIMESTEPS - net->timestep;
    const int32_t best = snn_answer(net);

    if (!is_looked_at[net->timestep - 1]) {
        return 0;
    }
    for (int32_t n = 0; n < SNN_OUTPUTS; n++) {
        const int64_t score = net->scores[n];
        const int64_t size = score < 0 ? -score : score;

        if (size + left * changes[n] > LARGEST_VOLTAGE) {
            return 0; /* it could saturate */
        }
        if (n != best && net->scores[best] - score <= left * gains[n][best]) {
            return 0;
        }
    }
    return 1;
}
