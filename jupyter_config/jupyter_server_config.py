"""Jupyter as geolab uses it: tiles and Voila beside JupyterLab, one login, nothing from a CDN.

    jupyter lab    --config=jupyter_config/jupyter_server_config.py        for researchers (make lab)
    jupyter server --config=jupyter_config/jupyter_server_config.py --ServerApp.root_dir=notebooks
                   for readers: http://127.0.0.1:8888/voila/render/02_explore.ipynb

Voila lists every notebook below root_dir: for readers let it hold only what they may run.
"""

import os
from pathlib import Path

from geolab.service import lab

c = get_config()  # noqa: F821 (traitlets puts it here)

# The page template lies beside this file. It is an nbconvert template folder on purpose: Voila
# takes the first `voila` folder on this path for its own data (voila 0.5.13, utils.get_data_dir).
here = Path(__file__).resolve().parent
os.environ["JUPYTER_PATH"] = os.pathsep.join(
    [str(here / "share"), *filter(None, [os.environ.get("JUPYTER_PATH")])]
)

c.ServerApp.jpserver_extensions = {
    "geolab.service.jupyter": True,
    "geolab.service.companions": True,
    "geolab.service.lab": True,
    "voila.server_extension": True,
}

# Cards of the launcher: the notebooks, the apps, MLflow. They lead to addresses of this server.
c.ServerProxy.servers = lab.cards(here.parent / "notebooks", Path.cwd(), here / "icons")

# Nothing is asked of other servers: neither news nor newer versions of JupyterLab.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"

# A page that is closed leaves its kernel behind; after this long without work it ends.
# Kernels with an open page stay: a reader's map and a researcher's variables live in them.
c.MappingKernelManager.cull_idle_timeout = 20 * 60
c.MappingKernelManager.cull_interval = 60
c.MappingKernelManager.cull_connected = False
c.MappingKernelManager.cull_busy = False

c.VoilaConfiguration.template = "geolab"
c.VoilaConfiguration.allow_template_override = "NO"
c.VoilaConfiguration.allow_theme_override = "NO"
c.VoilaConfiguration.theme = "light"  # the style sheet turns to dark by the reader's preference
c.VoilaConfiguration.strip_sources = True
c.VoilaConfiguration.show_tracebacks = False
c.VoilaExecutor.cell_error_instruction = (
    "Load the page again; if it fails once more, open the notebook in JupyterLab to see why."
)
# The widgets that pages use; others' scripts are not even loaded.
c.VoilaConfiguration.extension_allowlist = [
    "@jupyter-widgets/jupyterlab-manager",
    "@voila-dashboards/widgets-manager8",
    "anywidget",
    "jupyter-leaflet",
]
c.VoilaConfiguration.file_allowlist = []  # pictures come from the tiles extension, files from nowhere


def formulas_from_here(page_config, *, base_url, **_):
    """The page's settings with MathJax's address on this server: Voila's own is a CDN's."""
    page_config["fullMathjaxUrl"] = f"{base_url}voila/templates/geolab/static/formulas.js"
    return page_config


c.VoilaConfiguration.page_config_hook = formulas_from_here
