"""A researcher's Lab on the hub: as `make lab`, in a folder of their own with copies of the notebooks.

The hub says the folder (JUPYTERHUB_ROOT_DIR) and the project's workspace (GEOLAB_HOME).
"""

import os
import shutil
from pathlib import Path

from geolab.service import lab

c = get_config()  # noqa: F821 (traitlets puts it here)
load_subconfig("../jupyter_server_config.py")  # noqa: F821 (and this)

config = Path(__file__).resolve().parent.parent
root = Path(os.environ.get("JUPYTERHUB_ROOT_DIR") or Path.home())
if not (root / "notebooks").exists():  # copies, so that each may change their own
    shutil.copytree(config.parent / "notebooks", root / "notebooks", copy_function=shutil.copyfile)
c.ServerProxy.servers = lab.cards(root / "notebooks", root, config / "icons")
