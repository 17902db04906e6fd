/* Runs the inputs of test_vector.h and compares every number with what they must give.
 *
 * Written by snn-deploy {{VERSION}}; not needed in your program. */
#include <stdio.h>

#include "snn.h"
#include "test_vector.h"

static snn_net net;

/* Returns the first timestep of an input at which outputs or spikes differ, or 0. */
static int32_t first_difference(int32_t i)
{
    snn_reset(&net);
    for (int32_t t = 0; t < SNN_TIMESTEPS; t++) {
        snn_step(&net, vector_inputs[i]{{ROW}}{{BIAS}});
        if (memcmp(net.scores, vector_scores[i][t], sizeof net.scores) != 0 ||
            memcmp(net.n_spikes, vector_spikes[i][t], sizeof net.n_spikes) != 0) {
            return t + 1;
        }
    }
    return 0;
}

int main(void)
{
    int n_wrong = 0;

    for (int32_t i = 0; i < VECTOR_INPUTS; i++) {
        int32_t timesteps;
        const int32_t different = first_difference(i);
        const int32_t answer =
            snn_decide(&net, vector_inputs[i]{{BIAS}}, &timesteps);

        if (different != 0) {
            printf("input %d: outputs or spikes differ at timestep %d\n", (int)i,
                   (int)different);
            n_wrong++;
        }
        if (answer != vector_answers[i] || timesteps != vector_timesteps[i]) {
            printf("input %d: answer %d after %d timesteps, must be %d after %d\n",
                   (int)i, (int)answer, (int)timesteps, (int)vector_answers[i],
                   (int)vector_timesteps[i]);
            n_wrong++;
        }
    }
    if (n_wrong == 0) {
        printf("%d inputs: outputs and spikes of all timesteps, answers and stops are "
               "equal\n", VECTOR_INPUTS);
    }
    return n_wrong != 0;
}
