"""`show`: from a model, a file or its URI to the widget."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from geolab.errors import BadInput
from geolab.splats.frame import Frame
from geolab.splats.gaussians import Gaussians
from geolab.splats.views import Camera, Scene, View
from geolab.viewer import payload, poses
from geolab.viewer.widget import Viewer


def show(
    model: Any,
    frame: Frame | None = None,
    *,
    cameras: Scene | Iterable[View | Camera] = (),
    title: str = "",
    height_px: int = 520,
    renderer: str = "auto",
    background: str = "",
    max_mb: float = payload.BUDGET_MB,
) -> Viewer:
    """A view of a model to turn, measure, crop and pick points in, for JupyterLab and Voila.

    model: Gaussians, what `splats.io.read` returns, or the URI of a file of splats. frame: where it lies
    on Earth; the file's own if it is not given. cameras: of the photos, to fly to. renderer: "server" has
    the kernel draw. background: "#rrggbb"; by default the page's. max_mb: the most that is sent to the page.
    Raises NotFound, FileRejected, BadInput.
    """
    gaussians, known, name = opened(model)
    return Viewer(
        gaussians, frame or known, title=title or name, source=source_of(model), max_mb=max_mb,
        height_px=height_px, renderer=renderer, background=background,
        cameras=poses.cameras_json(views_of(cameras)),
    )  # fmt: skip


def views_of(cameras: Scene | Iterable[View | Camera]) -> list[View | Camera]:
    return list(cameras.views if isinstance(cameras, Scene) else cameras)


def source_of(model: Any) -> str:
    """The file that a model comes from; "" for one that is in memory only."""
    return str(model) if isinstance(model, str | Path) else next(iter(getattr(model, "files", ())), "")


def opened(model: Any) -> tuple[Gaussians, Frame | None, str]:
    """Gaussians, frame and a name of what `show` takes. Raises as it does."""
    gaussians, frame, name = _opened(model)
    if not gaussians.means.isfinite().all(dim=1).any():
        raise BadInput("model", found="no Gaussian with finite numbers", expected="at least one")
    return gaussians, frame, name


def _opened(model: Any) -> tuple[Gaussians, Frame | None, str]:
    if isinstance(model, str | Path):
        from geolab.splats import io

        read = io.read(model)
        return read.gaussians, read.frame, Path(str(model)).name
    if isinstance(model, Gaussians):
        return model, None, "Gaussian splats"
    gaussians = getattr(model, "gaussians", None)
    if not isinstance(gaussians, Gaussians):
        raise BadInput(
            "model", found=type(model).__name__, expected="Gaussians, a URI or splats.io.read(uri)"
        )
    return gaussians, getattr(model, "frame", None), "Gaussian splats"
