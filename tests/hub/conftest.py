"""One hub for all tests here: real proxy, services and Labs on loopback, logins at a real OIDC provider."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from playwright.sync_api import APIResponse, Browser, BrowserContext, Page

ROOT = Path(__file__).parents[2]
HUB = ROOT / "jupyter_config" / "hub"
sys.path.insert(0, str(HUB))  # where the hub's own configuration finds it too

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
GROUPS = {
    "ann": ["project-alpha", "unknown to this hub"],
    "bob": ["project-beta"],
    "cyd": ["project-alpha-analysts"],
    "dee": ["project-alpha", "project-beta"],
    "eve": ["staff"],
}
PATIENCE_S = 150
METRICS_TOKEN = "0123456789" * 4


def load(path: str) -> ModuleType:
    """A module of the tests: they are no package, so it is loaded by its path."""
    name = f"geolab_tests_{Path(path).stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@pytest.fixture(scope="session")
def proxy() -> None:
    """The proxy is installed, or the tests are skipped with the reason."""
    done = subprocess.run(
        [str(HUB / "install-proxy")], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        pytest.skip(done.stderr.strip())


def environment(home: Path, **more: str) -> dict[str, str]:
    """That of a new hub: nothing of ours, and nothing of whoever runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GEOLAB_", "HUB_", "OIDC_", "JUPYTER"))}
    return kept | {"HUB_HOME": str(home), "PYTHONPATH": str(HUB), **more}


@dataclass
class Running:
    """A hub that was started like `make hub` does."""

    process: subprocess.Popen[str]
    url: str
    home: Path
    said: list[str] = field(default_factory=list)

    def wait(self) -> None:
        """Until it says where it is."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if "Ctrl-C" in line:
                return
        pytest.fail(f"the hub did not start: {''.join(self.said)}\n{self.logs()}")

    def logs(self) -> str:
        found = sorted((self.home / "private" / "logs").glob("*.log"))
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in found)

    def end(self, number: int = signal.SIGINT) -> int:
        """Its exit code after this signal."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def everything(self) -> list[psutil.Process]:
        """All processes of this hub that there are now."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]


def start(home: Path, **more: str) -> Running:
    """A hub in a folder; `wait` for it."""
    port = more.setdefault("PORT", str(free_ports(1)[0]))
    process = subprocess.Popen(
        [sys.executable, "-m", "geolab_hub", "trial"],
        cwd=ROOT,
        env=environment(home, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Running(process, f"http://127.0.0.1:{port}", home)


def declare(home: Path, *names: str, people: str = "") -> None:
    """A file of these projects, with apps at free ports."""
    tables = [
        f'[projects.{name}]\ntitle = "{name.title()} <b>valley</b>"\nanalysts = ["project-{name}-analysts"]\n'
        f'apps = "http://127.0.0.1:{port}"\n'
        for name, port in zip(names, free_ports(len(names)), strict=True)
    ]
    home.mkdir(parents=True, exist_ok=True)
    (home / "projects.toml").write_text("\n".join(tables) + people)


@pytest.fixture(scope="session")
def provider() -> Iterator[object]:
    with load("hub/provider.py").serve(
        {name: {"groups": groups} for name, groups in GROUPS.items()}
    ) as running:
        yield running


@pytest.fixture(scope="session")
def hub(proxy, provider, tmp_path_factory) -> Iterator[Running]:
    """Projects alpha and beta, in each of which there is something of every kind."""
    home = tmp_path_factory.mktemp("hub")
    declare(home, "alpha", "beta")
    homes = [str(home / "projects" / name) for name in ("alpha", "beta")]
    subprocess.run(
        [sys.executable, "tests/hub/worlds.py", *homes], cwd=ROOT, env=environment(home), check=True
    )
    known, port = load("hub/provider.py"), free_ports(1)[0]
    running = start(
        home,
        PORT=str(port),
        HUB_AUTH="oidc",
        HUB_METRICS_TOKEN=METRICS_TOKEN,
        OIDC_ISSUER=provider.url,
        OIDC_CLIENT_ID=known.CLIENT,
        OIDC_CLIENT_SECRET=known.SECRET,
        OIDC_CALLBACK_URL=f"http://127.0.0.1:{port}/hub/oauth_callback",
    )
    running.wait()
    try:
        yield running
    finally:
        running.end()


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install -y --no-install-recommends chromium")
    browser = request.getfixturevalue("playwright").chromium.launch(
        executable_path=CHROMIUM, headless=True, args=load("browser/conftest.py").FLAGS
    )
    yield browser
    browser.close()


@dataclass
class Person:
    """Somebody's browser: pages, and what their scripts could ask for with the same cookies."""

    name: str
    hub: str
    context: BrowserContext
    page: Page
    outside: list[str] = field(default_factory=list)

    def ask(self, path: str, method: str = "GET", **more: object) -> APIResponse:
        return self.context.request.fetch(f"{self.hub}{path}", method=method, timeout=60_000, **more)

    def xsrf(self, path: str) -> str:
        """The token that forms and scripts below this path must send."""
        found = [c for c in self.context.cookies() if c["name"] == "_xsrf" and path.startswith(c["path"])]
        return max(found, key=lambda c: len(c["path"]))["value"]

    def enter(self, prefix: str) -> None:
        """Log in at a server behind the hub: what is no page there asks nobody to."""
        assert self.ask(f"{prefix}voila/render/nothing.ipynb").status == 404

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.hub}{path}", wait_until="commit")
        return self.page


def arrive(browser: Browser, hub: Running, provider, name: str) -> Person:
    """Log in at the provider, as people do."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    person = Person(name, hub.url, context, context.new_page())
    inside = (f"{hub.url}/", f"{provider.url}/", "data:", "blob:")
    context.on("request", lambda r: None if r.url.startswith(inside) else person.outside.append(r.url))
    person.open("/hub/login")
    person.page.get_by_role("button", name="Sign in with").click()
    person.page.get_by_role("link", name=name, exact=True).click()
    person.page.wait_for_load_state()
    return person


@pytest.fixture(scope="session")
def people(chromium, hub, provider) -> Iterator[dict[str, Person]]:
    """Everyone who may log in, logged in."""
    found = {name: arrive(chromium, hub, provider, name) for name in ("ann", "bob", "cyd", "dee")}
    yield found
    for person in found.values():
        person.context.close()


@pytest.fixture(scope="session")
def labs(people: dict[str, Person], hub: Running) -> dict[str, Person]:
    """Ann and Bob with a Lab each."""
    for name in ("ann", "bob"):
        people[name].open("/hub/spawn")
    for name in ("ann", "bob"):
        try:
            people[name].page.wait_for_url(
                f"**/user/{name}/lab**", timeout=PATIENCE_S * 1000, wait_until="commit"
            )
        except Exception:
            print(hub.logs())
            raise
    return people


def gone(processes: list[psutil.Process], within_s: float = 30) -> list[psutil.Process]:
    """Those that still are after this time."""
    last = time.monotonic() + within_s
    left = [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    while left and time.monotonic() < last:
        _, left = psutil.wait_procs(left, timeout=0.5)
        left = [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    return left
