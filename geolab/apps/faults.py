"""What a callback raises: told on the page that is there, and kept in the workspace's log of the apps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from typing import Any

from geolab.settings import Settings

LOG = "apps.log"
LOG_BYTES = 2_000_000

handler: Callable[[BaseException], None] | None = None  # of the one page that this kernel shows


def call(do: Callable[..., Any] | None, *args: Any) -> Any:
    """Call a page's callback; what it raises goes to the page, or on to the caller where there is none."""
    if do is None:
        return None
    try:
        return do(*args)
    except Exception as error:
        if handler is None:
            raise
        handler(error)
        return None


def keep_log(settings: Settings) -> None:
    """Write what fails in pages to the workspace's apps.log; never into the page, as a kernel would."""
    log = logging.getLogger("geolab.apps")
    if log.handlers:
        return
    log.propagate = False
    log.addHandler(logging.NullHandler())
    with suppress(OSError):
        settings.home.mkdir(parents=True, exist_ok=True)
        written = RotatingFileHandler(
            settings.home / LOG, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8", delay=True
        )
        written.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        log.addHandler(written)
