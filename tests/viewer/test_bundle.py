"""The page's code: how it is built, what it may not hold, and its arithmetic run by Node.js."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from geolab.splats import rasterize
from geolab.splats.views import Camera
from geolab.viewer import bundle

REPOSITORY = Path(__file__).parents[2]
JS = REPOSITORY / "geolab" / "viewer" / "js"
HARMONICS = JS / "src" / "harmonics.js"

needs_node = pytest.mark.skipif(not shutil.which("node"), reason="no Node.js: install it and run make setup")
needs_modules = pytest.mark.skipif(
    not (shutil.which("node") and (JS / "node_modules" / "three").is_dir()),
    reason="no node_modules of the viewer: install Node.js and run make setup",
)


def node(code: str, told: object = None) -> object:
    """What the module prints as JSON; it reads `told` from its input."""
    start = "import {readFileSync} from 'node:fs'; const told = JSON.parse(readFileSync(0, 'utf8'));\n"
    run = subprocess.run(
        ["node", "--input-type=module", "-e", start + code], input=json.dumps(told), text=True, cwd=JS,
        capture_output=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_versions_are_exact_and_the_lock_names_no_registry():
    package = json.loads((JS / "package.json").read_text())
    for name, version in (package["dependencies"] | package["devDependencies"]).items():
        assert version[0].isdigit(), name
    lock = (JS / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert lock.count('"integrity"') > 5


def test_the_sources_and_the_loader_fetch_nothing():
    texts = [*JS.glob("src/*.js"), JS.parent / "page" / "loader.js", JS.parent / "page" / "viewer.css"]
    assert len(texts) > 6
    for path in texts:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http" not in text, path.name
        assert "fetch(" not in text, path.name
        assert "@import" not in text, path.name


@pytest.mark.skipif(not bundle.BUNDLE.is_file(), reason="no bundle: install Node.js and run make setup")
def test_the_bundle_is_one_file_of_some_megabytes_with_its_licences():
    script = bundle.BUNDLE.read_text()
    assert 1e6 < len(script) < 5e6
    assert not [line for line in script.splitlines() if line.startswith("import ")]
    assert len(bundle.packed()) < 1.5e6
    licences = bundle.BUNDLE.with_name("LICENSES.txt").read_text()
    assert licences.count("Permission is hereby granted") == 3


def test_without_npm_the_setup_says_so_in_one_line_and_goes_on(tmp_path):
    folder = tmp_path / "geolab" / "viewer"
    shutil.copytree(JS, folder / "js", ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / ".ci").mkdir()
    shutil.copy(REPOSITORY / ".ci" / "viewer", tmp_path / ".ci" / "viewer")
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "cat", "sha256sum", "cut", "dirname", "env"):
        (tools / tool).symlink_to(shutil.which(tool) or "")
    run = subprocess.run(
        [tmp_path / ".ci" / "viewer"], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0
    assert run.stdout.count("\n") == 1
    assert "no npm" in run.stdout
    assert not (folder / "static").exists()


@needs_modules
def test_a_second_setup_builds_nothing():
    run = subprocess.run(
        [REPOSITORY / ".ci" / "viewer"], capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"npm_config_offline": "true"},
    )  # fmt: skip
    assert run.returncode == 0
    again = subprocess.run([REPOSITORY / ".ci" / "viewer"], capture_output=True, text=True, check=True)
    assert "bundled" not in again.stdout


# ---------------------------------------------------------------- arithmetic of the page


@needs_node
def test_harmonics_are_packed_as_sparks_shader_reads_them():
    random = np.random.default_rng(0)
    steps = np.concatenate([random.integers(-128, 128, (3000, 3)), [[0, 0, 0], [-128, 127, 1], [26, 0, 0]]])
    words = node(
        f"const {{pack}} = await import({json.dumps(HARMONICS.as_uri())});"
        "console.log(JSON.stringify(told.map(([r, g, b]) => pack(r, g, b))));",
        steps.tolist(),
    )
    packed = np.array(words, np.uint32)
    unit = 2.0 ** ((packed >> 27).astype(int) - 15) / 255  # decodeExtRgb of Spark 2.2.0
    parts = np.stack([packed & 255, packed >> 8 & 255, packed >> 16 & 255], axis=1)
    signs = np.stack([packed >> 24 & 1, packed >> 25 & 1, packed >> 26 & 1], axis=1)
    read = parts * unit[:, None] * np.where(signs, -1, 1)
    largest = np.abs(steps / 128).max(axis=1, keepdims=True)
    assert np.all(np.abs(read - steps / 128) <= largest / 255 + 1e-12)


@needs_modules
def test_a_picked_point_lies_where_the_rasterizer_has_its_median_depth(world):
    model = world.terrain(12_000)
    seen = world.camera((25, -55, 50), (0, 0, 0), width=288, height=192, focal_px=210)
    depth = rasterize.render(model, seen, median_depth=True).median_depth
    rows, columns = (v.ravel() for v in np.mgrid[6:192:18, 6:288:18])
    rays, points = _rays(seen, columns + 0.5, rows + 0.5), _flat(model)
    found = node(
        f"const {{medianPoint}} = await import({json.dumps((JS / 'src' / 'pick.js').as_uri())});"
        "const {Vector3} = await import('three');"
        "const flat = told.flat; const at = (v) => new Vector3(...v);"
        "console.log(JSON.stringify(told.rays.map((ray) => medianPoint(flat, {origin: at(told.origin),"
        "  direction: at(ray), forward: at(told.forward), pixel_rad: told.pixel_rad})?.toArray() ?? null)));",
        {
            "flat": points, "rays": rays.tolist(), "origin": seen.position.tolist(),
            "forward": seen.world_to_camera[2, :3].tolist(), "pixel_rad": 1 / seen.K[1, 1],
        },
    )  # fmt: skip
    expected = depth[rows, columns]
    hit = np.array([p is not None for p in found])
    assert (hit == np.isfinite(expected)).mean() > 0.97
    both = hit & np.isfinite(expected)
    assert both.sum() > 60
    places = np.array([p for p, b in zip(found, both, strict=True) if b])
    ahead = (places - seen.position) @ seen.world_to_camera[2, :3]
    difference = np.abs(ahead - expected[both])  # where the ray meets a disc of 0.7 m, and the disc's middle
    assert np.median(difference) < 0.5
    assert np.percentile(difference, 95) < 2
    off = np.abs(places[:, 2] - world.ground(*places.T[:2]))
    assert np.median(off[off < 3]) < 0.15  # of the hills; what is higher is a roof


def _rays(seen: Camera, columns, rows) -> np.ndarray:
    K = seen.K
    local = np.stack([(columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1], np.ones(len(rows))], axis=1)
    world = local @ seen.world_to_camera[:3, :3]
    return world / np.linalg.norm(world, axis=1, keepdims=True)


def _flat(model) -> dict[str, object]:
    quats = model.quats / model.quats.norm(dim=1, keepdim=True)
    return {
        "count": len(model),
        "centers": model.means.flatten().tolist(),
        "scales": model.scales.flatten().tolist(),
        "turns": quats[:, [1, 2, 3, 0]].flatten().tolist(),
        "opacities": model.opacities.tolist(),
    }
