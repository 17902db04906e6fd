"""``python -m snn_deploy``: the command line, where the script is not on the path."""

import sys

from snn_deploy.cli import main

sys.exit(main())
