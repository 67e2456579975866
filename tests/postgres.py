"""A PostgreSQL server of the tests: Debian's, in a temporary folder, on a socket and on loopback only."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path

import psycopg

USER, PASSWORD = "geolab", "s3cret-of-the-tests"
REMEDY = "no PostgreSQL server here; to run this test: sudo apt-get install postgresql"
_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name)) or [Path()]


def installed() -> bool:
    """Whether a server can be started."""
    return (_PROGRAMS[-1] / "initdb").exists()


class Server:
    """One server with its own data. `postgres` refuses to be root: then it runs as user postgres."""

    def __init__(self, *, durable: bool = False):
        self.user = "postgres" if os.getuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.port = _free_port()
        self._names = count(1)
        self._emptied: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._initialise(durable)
        self.start()

    def _initialise(self, durable: bool) -> None:
        if self.user:
            shutil.chown(self.folder, self.user)
        password = self.folder / "password"
        password.write_text(PASSWORD)
        # a language with an order of its own, unlike that of Python's texts
        language = ["--locale-provider=icu", "--icu-locale=en", "--locale=C.UTF-8"]
        options = ["-U", USER, "--auth", "scram-sha-256", "-E", "UTF8", "--no-sync", *language]
        command = [_PROGRAMS[-1] / "initdb", "-D", self.folder / "data", "--pwfile", password, *options]
        subprocess.run(command, check=True, capture_output=True, user=self.user, cwd="/")
        settings = {
            "listen_addresses": "'127.0.0.1'",
            "port": self.port,
            "unix_socket_directories": f"'{self.folder}'",
            "max_connections": 60,
            "shared_buffers": "'32MB'",
            "fsync": "on" if durable else "off",
        }
        with (self.folder / "data" / "postgresql.conf").open("a") as stream:
            stream.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def start(self) -> None:
        """Start, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "INT", _PROGRAMS[-1] / "postgres", "-D", self.folder / "data"],
                stdout=log,
                stderr=log,
                user=self.user,
                cwd="/",
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.05)
            else:
                return

    def stop(self, how: int = signal.SIGINT) -> None:
        """Stop: SIGINT ends all connections at once, SIGQUIT leaves the server to recover from its log."""
        assert self._process
        self._process.send_signal(how)
        self._process.wait(30)

    def url(self, database: str, *, socket: bool = False) -> str:
        """The URL of a database, by TCP or by the socket."""
        if socket:
            return f"postgresql://{USER}:{PASSWORD}@/{database}?host={self.folder}&port={self.port}"
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new(self) -> str:
        """The name of an empty database."""
        if self._emptied:
            return self._emptied.pop()
        name = f"test{next(self._names)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as db:
            db.execute(f"CREATE DATABASE {name}")  # pyright: ignore
        return name

    def give_back(self, database: str) -> None:
        """Empty a database for another test: that takes much less time than to make one."""
        with psycopg.connect(self.url(database), autocommit=True) as db:
            db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            db.execute("DROP SCHEMA IF EXISTS geolab, public CASCADE")
            db.execute("CREATE SCHEMA public")
        self._emptied.append(database)

    def remove(self) -> None:
        """Stop, and remove everything."""
        if self._process and self._process.poll() is None:
            self.stop(signal.SIGQUIT)  # what it has not written yet need not be written
        shutil.rmtree(self.folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
