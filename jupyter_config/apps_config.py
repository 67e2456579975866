"""The apps: what analysts open. Home at /, eight pages, no code to be seen or run.

    jupyter server --config=jupyter_config/apps_config.py                  (make apps)

Loopback, port PORT or 8866. The address with its token is printed; JUPYTER_TOKEN fixes the token.
"""

import os
import secrets
from pathlib import Path

from jupyter_core.paths import jupyter_config_path
from jupyter_server.extension.config import ExtensionConfigManager

c = get_config()  # noqa: F821 (traitlets puts it here)
load_subconfig("jupyter_server_config.py")  # noqa: F821 (and this)

here = Path(__file__).resolve().parent

c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port = int(os.environ.get("PORT") or 8866)
c.ServerApp.port_retries = 0  # the address is the one that was asked for, or none
c.ServerApp.root_dir = str(here.parent / "notebooks" / "apps")
c.ServerApp.default_url = "/voila/render/home.ipynb"
c.ServerApp.open_browser = False
c.ServerApp.allow_root = hasattr(os, "geteuid") and os.geteuid() == 0  # as in a container
c.ServerApp.log_level = "WARN"
c.IdentityProvider.token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(24)

# Nothing else answers here: whatever extensions this environment switches on stay off.
ours = ("geolab.service.jupyter", "voila.server_extension", "geolab.service.pages")
found = ExtensionConfigManager(read_config_path=jupyter_config_path()).get_jpserver_extensions()
c.ServerApp.jpserver_extensions = {name: name in ours for name in (*found, *ours)}
