"""geolab on JupyterHub: who may log in, which projects are theirs, what they may open.

The hub imports this folder beside its configuration; it needs jupyterhub and oauthenticator, and
nothing of geolab, so that a hub in a container of its own can take these files as they are.
"""

from geolab_hub.configure import configure

__all__ = ["configure"]
