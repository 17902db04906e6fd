int32_t snn_answer(const snn_net *net)
{
    int32_t best = 0;

    for (int32_t n = 1; n < SNN_OUTPUTS; n++) {
        if (net->scores[n] > net->scores[best]) {
            best = n;
        }
    }
    return best;
}

int32_t snn_decide(snn_net *net, const snn_input *input{{BIAS_PARAMETER}}, int32_t *timesteps)
{
    snn_reset(net);
    do {
        snn_step(net, input{{BIAS_ARGUMENT}});{{ADVANCE}}
    } while (!snn_is_settled(net));
    if (timesteps != NULL) {
        *timesteps = net->timestep;
    }
    return snn_answer(net);
}
