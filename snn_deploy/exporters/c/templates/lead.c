/* By how much the largest output leads the second; 0 for a single output. */
static snn_score lead(const snn_score *scores)
{
    snn_score first = scores[0], second = scores[SNN_OUTPUTS > 1 ? 1 : 0];

    if (second > first) {
        first = scores[1];
        second = scores[0];
    }
    for (int32_t n = 2; n < SNN_OUTPUTS; n++) {
        if (scores[n] > first) {
            second = first;
            first = scores[n];
        } else if (scores[n] > second) {
            second = scores[n];
        }
    }
    return first - second;
}
