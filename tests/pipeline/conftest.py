"""What the tests of pipelines share: see driving.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load(name: str) -> ModuleType:
    """A module beside this file: tests are no package."""
    spec = importlib.util.spec_from_file_location(f"geolab_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"geolab_{name}"] = module
    spec.loader.exec_module(module)
    return module


_driving = _load("driving")


@pytest.fixture
def driving() -> ModuleType:
    """Small pipelines, drivers as processes, and what can be said of how they ended."""
    return _driving
