/* {{TITLE}}
 *
 * Written by snn-deploy {{VERSION}} from the network with sha256
 * {{SHA}}.
 * See README.md. */
#ifndef SNN_H
#define SNN_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SNN_TIMESTEPS {{TIMESTEPS}} /* of an input, at most */
#define SNN_INPUTS {{INPUTS}} /* values of a timestep: {{INPUT_SHAPE}} */
#define SNN_OUTPUTS {{OUTPUTS}}
#define SNN_STATE_BYTES {{BYTES}} /* of snn_net */

typedef {{INPUT_TYPE}} snn_input; /* {{INPUT_MEANING}} */
typedef {{SUM}} snn_sum;     /* of weights */
typedef {{SCORE}} snn_score; /* of an output, accumulated */

/* Layers of neurons, in the order in which they compute. */
enum {
{{LAYERS}}
    SNN_LAYERS
};

/* All that changes. A program may keep several of them. */
typedef struct {
{{MEMBERS}}
} snn_net;

/* Returns everything to where an input begins. */
void snn_reset(snn_net *net);

/* Runs one timestep; returns the outputs so far, [SNN_OUTPUTS]: {{OUTPUT_MEANING}}.
 *
 * `input` has SNN_INPUTS values.{{BIAS_MEANING}} After SNN_TIMESTEPS timesteps nothing changes. */
const snn_score *snn_step(snn_net *net, const snn_input *input{{BIAS_PARAMETER}});

/* Whether the outputs have settled, or all timesteps are over.
 *
 * {{RULE}} */
int snn_is_settled(const snn_net *net);

/* Returns the number of the largest output so far; of equal ones the first. */
int32_t snn_answer(const snn_net *net);

/* Resets, steps until the outputs have settled, and returns the answer.
 *
 * `input` holds {{DECIDE_INPUT}}.
 * `timesteps` receives how many were needed; it may be NULL. */
int32_t snn_decide(snn_net *net, const snn_input *input{{BIAS_PARAMETER}}, int32_t *timesteps);

#ifdef __cplusplus
}
#endif

#endif
