"""The apps: what analysts open. Home at /, eight pages, no code to be seen or run.

    jupyter server --config=jupyter_config/apps_config.py                  (make apps)

Loopback, port PORT or 8866. The address with its token is printed; JUPYTER_TOKEN fixes the token.
"""

import os
import secrets
from pathlib import Path

from jupyter_core.paths import jupyter_config_path
from jupyter_server.extension.config import ExtensionConfigManager

from geolab import settings
from geolab.service.bundles import VERSION

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
ours = ("geolab.service.companions", "geolab.service.jupyter", "geolab.service.pages")  # which loads Voila
found = ExtensionConfigManager(read_config_path=jupyter_config_path()).get_jpserver_extensions()
c.ServerApp.jpserver_extensions = {name: name in ours for name in (*found, "voila.server_extension", *ours)}
c.ServerApp.authorizer_class = "geolab.service.authorizer.PagesOnly"
c.ServerApp.terminals_enabled = False


def page_config(page_config, *, base_url, **given):
    """What Voila's scripts are told: formulas from here, and scripts whose address holds their version."""
    page_config = formulas_from_here(page_config, base_url=base_url, **given)
    page_config["fullStaticUrl"] = f"{base_url}voila/static/{VERSION}"
    page_config["geolab"] = {"workspace": settings.load().home.name}
    return page_config


formulas_from_here = c.VoilaConfiguration.page_config_hook
c.VoilaConfiguration.page_config_hook = page_config

# Kernels of pages: started warm, counted, ended soon after their page was left (a closed page says so
# itself; a laptop that was closed doesn't). Those with an open page stay.
c.ServerApp.kernel_manager_class = "geolab.service.kernels.PageKernels"
c.PageKernels.cull_idle_timeout = 5 * 60
c.PageKernels.cull_interval = 20
c.PageKernels.cull_connected = False
c.PageKernels.cull_busy = True
