"""The ledger: an index of all runs, and the place of those that are not done yet."""

from geolab.jobs.ledger.open import open_ledger
from geolab.jobs.ledger.protocol import Change, Control, Ledger
from geolab.jobs.ledger.sqlite import SqliteLedger

__all__ = ["Change", "Control", "Ledger", "SqliteLedger", "open_ledger"]
