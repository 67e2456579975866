"""What comes in: rasters and photos become catalogue items whose pixels lie in the object store.

A file is what its bytes say, never what its name says; its identity is the SHA-256 of its content.
"""

from __future__ import annotations

from geolab.ingest.outcome import Outcome
from geolab.ingest.product import product_item
from geolab.ingest.run import ingest
from geolab.ingest.sources import Candidate, plan

__all__ = ["Candidate", "Outcome", "ingest", "plan", "product_item"]
