"""Splats in a page: an interactive view in JupyterLab and Voila, and its place on the map."""
