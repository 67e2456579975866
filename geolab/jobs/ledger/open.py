"""The ledger that the settings name."""

from __future__ import annotations

from geolab.jobs.ledger.protocol import Ledger
from geolab.jobs.ledger.sqlite import SqliteLedger
from geolab.settings import Settings


def open_ledger(settings: Settings) -> Ledger:
    """The ledger of a workspace; made when it is absent. Raises LedgerError."""
    return SqliteLedger(settings.ledger_path)
