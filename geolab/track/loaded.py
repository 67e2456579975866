"""MLflow, imported with this module: for a process from which others, who will need it, are forked."""

from __future__ import annotations

from geolab.track.client import import_client

CLIENT = import_client()
