"""Fixtures that every test may use: an empty workspace, the real sample data, no network."""

from __future__ import annotations

import asyncio
import importlib.util
import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from geolab import settings
from geolab.jobs.ledger import open as opened

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections that leave this machine."""
    connect = socket.socket.connect

    def guarded(sock: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and not _is_loopback(str(address[0])):
            raise PermissionError(f"a test tried to reach {address[0]}: tests use loopback only")
        connect(sock, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    """An empty workspace, also in the environment of processes that the test starts."""
    home = tmp_path / "workspace"
    for name in [n for n in os.environ if n.startswith("GEOLAB_") and n != "GEOLAB_TEST_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GEOLAB_HOME", str(home))
    return settings.load()


@pytest.fixture
def in_a_loop() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """A function that awaits a coroutine in a thread: Playwright holds the loop of this one."""

    def awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, coroutine).result()

    return awaited


@pytest.fixture(scope="session")
def playwright() -> Iterator[Any]:
    """The one Playwright of this process: a second would find the loop of the first."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real sample data; skips aloud where it is absent."""
    folder = Path(os.environ.get("GEOLAB_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set GEOLAB_TEST_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server of the tests' own (see postgres.py); skips aloud where there is none."""
    module = _beside("postgres")
    if not module.installed():
        pytest.skip(module.REMEDY)
    server = module.Server()
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres: Any) -> Iterator[str]:
    """The URL of an empty database, whose password is one that must be shown nowhere."""
    name = postgres.new()
    yield postgres.url(name)
    opened._OPEN.pop(postgres.url(name), None)
    postgres.give_back(name)


@pytest.fixture(scope="session")
def archives() -> ModuleType:
    """archive.py: makes and serves satellite archives."""
    return _beside("archive")


@pytest.fixture(scope="session")
def tiny_archive(archives: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an archive of two cells and two years; copy it to change it."""
    return archives.make(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def archive_server(archives: ModuleType, tiny_archive: Path) -> Iterator[Any]:
    """A server for it: `url`, `fail(pattern, status=, times=)`, `mend()`, `process`."""
    with archives.served(tiny_archive) as server:
        yield server


def _beside(name: str) -> ModuleType:
    """A module beside this file: tests are no package."""
    full = f"geolab_tests_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert spec
        assert spec.loader
        module = sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]
