"""Addresses of MLflow's own pages, behind this server's login."""

from __future__ import annotations

import json
from urllib.parse import quote

from geolab.maps import origin


def mlflow(path: str = "") -> str:
    """A page of MLflow by its part behind the #."""
    return f"{origin.base_url()}mlflow/#/{path}"


def run(experiment_id: str, run_id: str) -> str:
    """One run."""
    return mlflow(f"experiments/{_part(experiment_id)}/runs/{_part(run_id)}")


def compared(experiment_id: str, run_ids: list[str]) -> str:
    """Several runs beside each other."""
    runs, experiments = (quote(json.dumps(ids), safe="") for ids in (run_ids, [experiment_id]))
    return mlflow(f"compare-runs?runs={runs}&experiments={experiments}")


def version(name: str, number: int) -> str:
    """One version of a model."""
    return mlflow(f"models/{_part(name)}/versions/{number}")


def _part(text: str) -> str:
    return quote(text, safe="")
