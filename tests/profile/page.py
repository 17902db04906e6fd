"""docs/profile.md: what is in the files of a profile, from what writes them."""

import json
from pathlib import Path
from typing import Any

from snn_deploy.profile import detail, rows
from snn_deploy.profile.tables import SCHEMA

PATH = Path(__file__).parent.parent.parent / "docs" / "profile.md"
HEAD = """\
# What is in a profile

`pytest tests/profile/test_page.py --update-golden` writes this page.

`snn-deploy profile` writes a folder. `null` (in CSV: nothing) is what nobody knows: no
label, or a price that nobody has published. Energies and times are modelled: counted
events times the prices of the target, `snn-deploy targets NAME --costs`. Those called
low and high are the ends of the band of prices.

| file | holds |
|---|---|
| `inputs.parquet` | a row for each input: with the cutoff, else all timesteps, \
one by one |
| `fixed.parquet` | the same inputs at all timesteps, one by one |
| `streamed.parquet` | at all timesteps, in a stream |
| `fewer.parquet`, `fewer_streamed.parquet` | at the fewest timesteps for all that \
lose no more than the cutoff |
| `one_timestep.parquet`, `one_timestep_streamed.parquet` | at 1 timestep |
| `one_pass.parquet`, `one_pass_streamed.parquet` | the conventional network of the \
same weights, in one pass of graded spikes |
| `detail.parquet` | `--detail`: events by chip timestep and neurocore |
| `*.csv` | `--csv`: the same tables |
| `summary.json` | means and comparisons |
| `verification.json` | `--verify`: the comparison with the trained model |
| `report.html` | all of it, to look at |
| `pictures/` | `--pictures`: figures and tables of the report as SVG, PNG, CSV |

Column and unit also stand in the metadata of each field of a Parquet file:

```python
import pyarrow.parquet as pq

pq.read_schema("profile/inputs.parquet").field("latency_s").metadata
```

## How long it takes

`python -m benchmarks.load` profiles inputs of a network of 32 neurons and 4 timesteps,
random weights. Measured once on a machine of two cores that others used as well, so
seconds are too many; busy [s], the seconds of a processor, count.

| inputs | workers | cores | seconds | busy [s] | each worker | MB | each worker |
|---|---|---|---|---|---|---|---|
| 10,000 | | 1 | 6 | 3 | | 130 | |
| 100,000 | | 1 | 24 | 20 | | 221 | |
| 1,000,000 | | 1 | 312 | 192 | | 295 | |
| 10,000 | 2 | 2 | 7 | 2 | 2 | 157 | 67 |
| 100,000 | 2 | 2 | 30 | 7 | 12 | 253 | 74 |

An input takes 0.19 ms of a core, however many there are. With workers most of it moves
to them; the process that shares it out keeps a third. So two workers gain nothing on
two cores, where three processes share them. By these numbers, two workers with cores of
their own would take 12 of the 20 seconds, and no number of workers under 7; nobody has
measured that.
"""


def render() -> str:
    """Return the page."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return "\n".join(
        [
            HEAD,
            "## Inputs, `inputs.parquet` and the like\n",
            *_columns({**rows.COLUMNS, **rows.FAILURE}),
            "",
            "## Events, `detail.parquet`\n",
            *_columns(detail.COLUMNS),
            "",
            "## Means, `summary.json`\n",
            "Its JSON schema is `snn_deploy/profile/summary.schema.json`. Units are in "
            "the names.\n",
            *_keys(schema),
            "",
            "Each of the schedules holds, and `with_cutoff` and `all_timesteps` too:\n",
            *_keys(schema["$defs"]["means"]),
            "",
        ]
    )


def _columns(columns: dict[str, tuple[str, str]]) -> list[str]:
    lines = [
        f"| `{name}` | {unit} | {meaning} |"
        for name, (unit, meaning) in columns.items()
    ]
    return ["| column | unit | meaning |", "|---|---|---|", *lines]


def _keys(schema: dict[str, Any]) -> list[str]:
    lines = [
        f"| `{name}` | {about['description']} |"
        for name, about in schema["properties"].items()
    ]
    return ["| key | meaning |", "|---|---|", *lines]
