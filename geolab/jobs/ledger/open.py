"""The ledger that the settings name."""

from __future__ import annotations

from contextlib import suppress

from geolab.jobs.ledger.protocol import Ledger
from geolab.jobs.ledger.sql import SqlLedger
from geolab.jobs.ledger.sqlite import SqliteLedger
from geolab.settings import Settings

KEPT = 8  # ledgers of other workspaces that stay open

_OPEN: dict[str, SqlLedger] = {}  # by URL: with their connections, which are dear


def open_ledger(settings: Settings) -> Ledger:
    """The ledger of a workspace; made when it is absent. Raises LedgerError."""
    url = settings.ledger_url
    ledger = _OPEN.get(url)
    if ledger is None:
        ledger = _OPEN[url] = _made(settings)
        with suppress(StopIteration, KeyError, RuntimeError):  # another thread may tidy as well
            while len(_OPEN) > KEPT:
                _OPEN.pop(next(iter(_OPEN)))
    ledger.prepare()
    return ledger


def _made(settings: Settings) -> SqlLedger:
    if settings.ledger_url.startswith(("postgresql://", "postgres://")):
        from geolab.jobs.ledger.postgres import PostgresLedger  # psycopg: 0.1 s

        return PostgresLedger(settings.ledger_url)
    return SqliteLedger(settings.ledger_path)
