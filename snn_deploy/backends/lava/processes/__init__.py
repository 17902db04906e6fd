"""Lava processes and their bit-accurate models.

While compiling, Lava executes every module of the folder that a user's process lies in,
once for each process: keep the modules small, few, and free of side effects.
"""

from snn_deploy.backends.lava.compat import import_modules

import_modules()
