/* {{TITLE}}
 *
 * Written by snn-deploy {{VERSION}}. A timestep is snn_step: layer after layer, the
 * spikes that arrive read their weights and add them to `sums`, then each neuron takes
 * its sum, and those whose voltage is over the threshold spike. */
#include "snn.h"

#include "snn_kernels.h"
#include "snn_weights.h"

/* The state is as large as README.md says. */
typedef char state_has_its_size[sizeof(snn_net) <= SNN_STATE_BYTES ? 1 : -1];

{{CONNECTIONS}}
