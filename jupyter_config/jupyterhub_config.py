"""geolab on JupyterHub: logins, projects, Labs, and the apps of each project behind one address.

    HUB_HOME=/srv/geolab HUB_AUTH=oidc OIDC_ISSUER=... jupyterhub -f jupyter_config/jupyterhub_config.py

docs/hub.md lists the variables; `make hub` is a trial on this machine. What is missing is said in one line.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "hub"))

from geolab_hub import configure

c = get_config()  # noqa: F821 (traitlets puts it here)
configure(c)
