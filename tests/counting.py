"""What an ``Activity`` holds, for comparisons."""

from dataclasses import fields

from snn_deploy.backends.results import Activity

COUNTS = tuple(field.name for field in fields(Activity))
