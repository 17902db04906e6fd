"""The files of an exported network that compute: ``snn.h``, ``snn.c``, the tables."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.exporters.c.connections import (
    SUFFIXES,
    descriptors,
    tables_of,
    weight_type,
)
from snn_deploy.exporters.c.decision import StopRule
from snn_deploy.exporters.c.layout import CLayout
from snn_deploy.exporters.c.neurons import LayerCode
from snn_deploy.exporters.c.tables import CTable, in_comment, limits
from snn_deploy.ir.graph import Functional, Training
from snn_deploy.ir.heads import HeadKind
from snn_deploy.ir.inputs import with_places
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.ir.synapses import SparseSynapses

TEMPLATES = Path(__file__).parent / "templates"


def filled(name: str, values: Mapping[str, object]) -> str:
    """Return a template with ``{{NAME}}`` replaced."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", str(value))
    return text


class CProgram:
    """All the code of a network; ``words`` fill every template."""

    def __init__(
        self,
        layout: CLayout,
        decision: StopRule,
        words: Mapping[str, str],
        *,
        is_constant: bool,
    ) -> None:
        self.layout = layout
        self.decision = decision
        self.is_constant = is_constant  # an input is the same at every timestep
        self.layers = [LayerCode(layout, p) for p in layout.graph.order]
        self.words = {**words, **self._words()}

    @property
    def takes_bias(self) -> bool:
        """Whether a bias comes with the data."""
        return any(p.takes_bias for p in self.layout.graph.populations)

    def tables(self) -> Iterator[CTable]:
        """Yield all constants."""
        for layer in self.layers:
            for wire in self.layout.wires_into(layer.population):
                yield from tables_of(wire, self.layout.target_type)
            yield from layer.tables
        yield from self._rule_tables()

    def header(self) -> str:
        """Return ``snn.h``."""
        graph, layout = self.layout.graph, self.layout
        members: list[str] = []
        for member in layout.members:
            sizes = "".join(f"[{size}]" for size in member.sizes)
            meaning = f" /* {member.meaning} */" if member.meaning else ""
            members.append(f"    {member.ctype} {member.name}{sizes};{meaning}")
        names = [layer.layer for layer in self.layers]
        return filled(
            "snn.h",
            {
                "TIMESTEPS": graph.training.timesteps,
                "INPUTS": layout.source.size,
                "OUTPUTS": layout.readout.size,
                "BYTES": layout.n_bytes,
                "SUM": layout.sum_type,
                "SCORE": layout.score_type,
                "LAYERS": "\n".join(
                    f"    SNN_{layer.name.upper()}, /* {in_comment(layer.shown)} */"
                    for layer in names
                ),
                "MEMBERS": "\n".join(members),
                **self.words,
            },
        )

    def kernels(self) -> str:
        """Return ``snn_kernels.h``."""
        types = {
            weight_type(wire)
            for wire in self.layout.wires
            if not isinstance(wire.projection.synapses, SparseSynapses)
        }
        kernels = [
            filled("kernels_of_weights.h", {"WEIGHT": t, "SUFFIX": SUFFIXES[t]})
            for t in sorted(types)
        ]
        return filled(
            "kernels.h",
            {
                "KERNELS": "".join(kernels),
                "TARGET": self.layout.target_type,
                **self.words,
            },
        )

    def weights(self) -> str:
        """Return ``snn_weights.h``."""
        lines = [
            f"/* Written by snn-deploy {self.words['VERSION']}. */",
            "#ifndef SNN_WEIGHTS_H",
            "#define SNN_WEIGHTS_H",
            "",
            "#include <stdint.h>",
            "",
        ]
        for table in self.tables():
            lines += table.text()
        return "\n".join([*lines, "#endif", ""])

    def source(self) -> str:
        """Return ``snn.c``."""
        parts = [filled("snn.c", {**self.words, "CONNECTIONS": self._descriptors()})]
        for layer in self.layers:
            parts += layer.function()
        parts += self._reset()
        parts += self._step()
        if self.decision.gains is not None:
            parts.append(filled("certain.c", {}))
        elif self._thresholds is not None:
            parts.append(filled("lead.c", {}))
        parts += self._settled()
        parts.append(filled("decide.c", self.words))
        return "\n".join(parts)

    def _descriptors(self) -> str:
        lines: list[str] = []
        for layer in self.layers:
            for wire in self.layout.wires_into(layer.population):
                lines += descriptors(wire)
        return "\n".join(lines)

    def _reset(self) -> Iterator[str]:
        yield "void snn_reset(snn_net *net)"
        yield "{"
        yield "    memset(net, 0, sizeof *net);"
        for layer in self.layers:
            yield from (f"    {line}" if line else "" for line in layer.reset())
        yield "}"
        yield ""

    def _step(self) -> Iterator[str]:
        source = self.layout.source
        bias = self.words["BIAS_PARAMETER"]
        yield f"const snn_score *snn_step(snn_net *net, const snn_input *input{bias})"
        yield "{"
        yield "    if (net->timestep == SNN_TIMESTEPS) {"
        yield "        return net->scores;"
        yield "    }"
        yield "    net->timestep++;"
        if source.slots:
            row = f"net->{source.name}_sent[net->timestep % {source.slots}]"
            yield "    for (int32_t n = 0; n < SNN_INPUTS; n++) {"
            yield f"        {row}[n] = input[{source.in_model('n')}];"
            yield "    }"
        elif not any("input" in layer.call for layer in self.layers):
            yield "    (void)input;"
        for layer in self.layers:
            yield f"    {layer.call}"
        yield from self._scores()
        yield "    return net->scores;"
        yield "}"
        yield ""

    def _scores(self) -> Iterator[str]:
        """Yield what adds the outputs of a timestep to those before it."""
        readout, functional = self.layout.readout, self.layout.graph.training.functional
        if not self.layout.graph.readout.spikes:
            score = f"net->scores[{readout.in_model('n')}]"
            value = f"net->{readout.name}_voltage[n]"
            yield "    for (int32_t n = 0; n < SNN_OUTPUTS; n++) {"
            yield from self._score(score, value, functional)
            yield "    }"
            return
        if functional is Functional.LAST:
            yield "    memset(net->scores, 0, sizeof net->scores);"
        count = f"net->n_spikes[SNN_{readout.name.upper()}]"
        value = f"net->{readout.name}_values[i]" if readout.spike_type else "1"
        yield f"    for (int32_t i = 0; i < {count}; i++) {{"
        yield f"        const int32_t n = (int32_t)net->{readout.name}_spikes[i];"
        yield ""
        yield from self._score(
            f"net->scores[{readout.in_model('n')}]", value, functional
        )
        yield "    }"

    def _score(self, score: str, value: str, functional: Functional) -> Iterator[str]:
        if functional is Functional.MAX:
            yield f"        if (net->timestep == 1 || {value} > {score}) {{"
            yield f"            {score} = {value};"
            yield "        }"
            return
        sign = "+=" if functional is Functional.SUM else "="
        yield f"        {score} {sign} {value};"

    def _settled(self) -> Iterator[str]:
        yield "int snn_is_settled(const snn_net *net)"
        yield "{"
        yield "    if (net->timestep == 0 || net->timestep == SNN_TIMESTEPS) {"
        yield "        return net->timestep == SNN_TIMESTEPS;"
        yield "    }"
        if self.decision.gains is not None:
            yield "    return is_certain(net);"
        elif self._thresholds is None:
            yield "    return 0; /* no rule: all timesteps */"
        else:
            yield f"    return lead(net->scores) > {self._threshold_now};"
        yield "}"
        yield ""

    @property
    def _thresholds(self) -> IntArray | None:
        """The whole numbers that a lead must be over, before the last timestep.

        ``None`` if nothing stops then.
        """
        betas = self.decision.betas[:-1]
        if self.decision.gains is not None or not (betas < np.inf).any():
            return None
        most = limits(self.layout.score_type)[1]
        clipped = np.clip(np.nan_to_num(np.floor(betas)), -1, float(1 << 53))
        found: IntArray = np.minimum(clipped.astype(np.int64), most)
        return found

    @property
    def _threshold_now(self) -> str:
        found = self._thresholds
        assert found is not None
        if (found == found[0]).all():
            return f"INT64_C({found[0]})" if found[0] >= 1 << 31 else str(found[0])
        return "thresholds[net->timestep - 1]"

    def _rule_tables(self) -> Iterator[CTable]:
        found = self._thresholds
        if found is not None and (found != found[0]).any():
            yield CTable(
                name="thresholds",
                values=found,
                meaning="what the lead must be over, for each timestep but the last",
                where="the cutoff",
            )
        if self.decision.gains is None or self.decision.steps is None:
            return
        for name, values, meaning in (
            ("gains", self.decision.gains, "an output gains on another in a timestep"),
            ("changes", self.decision.steps, "an output changes in a timestep"),
        ):
            yield CTable(
                name=name,
                values=np.ceil(values).astype(np.int64),
                meaning=f"how much {meaning}, at most",
                where="the cutoff",
            )
        yield CTable(
            name="is_looked_at",
            values=(self.decision.betas[:-1] < np.inf).astype(np.int64),
            meaning="the timesteps at which an input may stop",
            where="the cutoff",
        )

    def _words(self) -> dict[str, str]:
        """Return what the templates say of this network."""
        graph, layout = self.layout.graph, self.layout
        has_bias = self.takes_bias
        functional, spikes = graph.training.functional, graph.readout.spikes
        what = "spikes" if spikes else "voltages"
        how = {
            Functional.SUM: f"{what} of all timesteps, added up",
            Functional.LAST: f"{what} of the latest timestep",
            Functional.MAX: f"the largest {what} of all timesteps",
        }[functional]
        largest = graph.source.largest_value
        low = 0 if layout.input_type == "uint8_t" else -largest
        return {
            "INPUT_TYPE": layout.input_type,
            "INPUT_MEANING": f"{low} to {largest}",
            "INPUT_SHAPE": " x ".join(map(str, layout.source.model_shape))
            + _inputs(graph.training),
            "OUTPUT_MEANING": how,
            "BIAS_PARAMETER": ", const int16_t *bias" if has_bias else "",
            "BIAS_ARGUMENT": ", bias" if has_bias else "",
            "BIAS": ", vector_biases[i]" if has_bias else "",
            "BIAS_MEANING": _BIAS if has_bias else "",
            "USE_BIAS": ", bias" if has_bias else "",
            "ENCODING": _encoding(graph.training),
            "HEADS": "\n".join(_heads(graph)),
            "RULE": self.decision.words,
            "DECIDE_INPUT": "SNN_INPUTS values, the same at every timestep"
            if self.is_constant
            else "SNN_TIMESTEPS rows of SNN_INPUTS values",
            "ROW": "" if self.is_constant else " + t * SNN_INPUTS",
            "ADVANCE": "" if self.is_constant else "\n        input += SNN_INPUTS;",
        }


def _inputs(training: Training) -> str:
    """Return where several inputs lie, and what range data of them have."""
    if not training.inputs:
        return ""
    is_direct = training.encoding is Encoding.DIRECT
    each = (
        f"{places.start} to {places.stop - 1}: {in_comment(given.name)} "
        + " x ".join(map(str, given.shape))
        + (f", from {given.low:g} to {given.high:g}" if is_direct else "")
        for given, places in with_places(training.inputs)
    )
    return f" ({'; '.join(each)})"


def _encoding(training: Training) -> str:
    if training.inputs and training.encoding is Encoding.DIRECT:
        return "What data hold in that range of theirs is 0 to 255."
    return _ENCODINGS[training.encoding].format(
        *training.input_range,
        scale=training.input_scale,
        offset=training.input_offset,
    )


def _heads(graph: QuantizedGraph) -> Iterator[str]:
    """Yield what each of the outputs answers with."""
    readout, first = graph.readout, 0
    scales = np.broadcast_to(readout.scale, readout.shape).ravel()
    for head in graph.heads:
        places = f"{first} to {first + head.n_outputs - 1}"
        own = scales[first : first + head.n_outputs]
        own = head.scale * (np.ones_like(own) if readout.spikes else own)
        first += head.n_outputs
        name = f" ({in_comment(head.name)})" if head.name else ""
        if head.kind is HeadKind.CLASS:
            yield f"Outputs {places}{name}: a class, the largest of them."
            continue
        texts = [f"{unit:.9g}" for unit in np.unique(own)]
        each = texts[0] if len(texts) == 1 else ", ".join(f"{u:.9g}" for u in own)
        mean = ", divided by the timesteps so far" if head.is_mean else ""
        yield (
            f"Outputs {places}{name}: values, {each} times the output in the "
            f"network's units{mean}. `snn_answer` is not for them."
        )
    if len(graph.heads) > 1:
        yield "`snn_answer` compares all outputs: take the largest of a class yourself."


_ENCODINGS = {
    Encoding.DIRECT: "What data hold from {:g} to {:g} is 0 to 255.",
    Encoding.RATE: "Each is 1 with the probability of its brightness, else 0: "
    "draw them anew for each timestep.",
    Encoding.EVENTS: "They count the events of a position in a timestep.",
    Encoding.BIAS: "All are 0: `bias`, an `int16_t` for each in the same order, brings "
    "the input: round({scale:g} * x + {offset:g}) of the values x.",
}
_BIAS = """
 * `bias` has the mantissas of the neurons that take one, or is NULL: their own."""
