"""What the header of each page shows: <base_url>geolab/status."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from geolab.errors import GeolabError
from geolab.jobs.ledger import open_ledger

if TYPE_CHECKING:
    from geolab.settings import Settings

ACTIVE = ("queued", "running")


class StatusHandler(APIHandler):
    """How many runs wait or run, and whether the kernel of the page that asks still lives."""

    auth_resource = "api"

    def initialize(self, workspace: Settings) -> None:
        self.workspace = workspace

    @web.authenticated
    @authorized
    async def get(self) -> None:
        kernel = self.get_query_argument("kernel", "")
        loop = asyncio.get_running_loop()
        counts = await loop.run_in_executor(None, _counts, self.workspace)
        self.set_header("Cache-Control", "no-store")
        self.finish({"kernel": kernel in self.kernel_manager, **counts})


def _counts(workspace: Settings) -> dict[str, int | None]:
    """How many runs are in each active state; None where the ledger can't be asked."""
    try:
        found = [run.state for run in open_ledger(workspace).runs(states=ACTIVE)]
    except GeolabError:
        return dict.fromkeys(ACTIVE)
    return {state: found.count(state) for state in ACTIVE}
