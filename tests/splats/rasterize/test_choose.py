"""Which back end draws and why; what is said where gsplat is missing or broken."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from geolab.errors import BadInput, NotFound
from geolab.splats.rasterize import choose
from geolab.splats.rasterize.probe import cause

no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without CUDA")


def test_auto_takes_the_cpu_for_tensors_on_the_cpu_and_says_why() -> None:
    choice = choose("auto", "cpu")
    assert (choice.name, choice.device) == ("cpu", "cpu")
    assert choice.reason == "tensors are on cpu"


@no_cuda
def test_auto_without_tensors_takes_what_this_machine_has() -> None:
    assert choose().name == "cpu"
    assert choose().reason == "this machine's best device is cpu"


@no_cuda
def test_cuda_without_a_device_is_refused() -> None:
    with pytest.raises(BadInput, match="back end cuda: found no CUDA device, expected one that torch sees"):
        choose("cuda")
    with pytest.raises(BadInput, match="back end cuda: found no CUDA device, expected one that torch sees"):
        choose("cuda", "cpu")


def test_a_back_end_elsewhere_than_the_tensors_is_refused() -> None:
    with pytest.raises(BadInput, match="back end cpu: found tensors on cuda, expected tensors on cpu"):
        choose("cpu", torch.device("cuda", 0))


def test_an_unknown_back_end_is_named() -> None:
    with pytest.raises(NotFound, match="no back end 'cude'; did you mean 'cuda'"):
        choose("cude")


# ---------------------------------------------------------------- a gsplat that does not work

BROKEN = {
    # gsplat 1.5.3 answers an OSError of the build by loading what was never built: that error misleads
    "hidden": """
        try:
            raise OSError("CUDA_HOME environment variable is not set. Please set it; it is required")
        except OSError:
            raise ImportError("gsplat_cuda.so: cannot open shared object file")
    """,
    "printed": """
        print("gsplat: No CUDA toolkit found. gsplat will be disabled.")
        def rasterization(*tensors, packed):
            return None.projection_ewa_3dgs_fused_fwd
    """,
    "absent": "import packaging_that_nobody_has",
    "wrong": """
        import torch
        def rasterization(*tensors, packed):
            return torch.zeros(1, 16, 16, 3), None, None
    """,
    "works": """
        import torch
        calls = []
        def rasterization(*tensors, packed):
            calls.append(1)
            return torch.full((1, 16, 16, 3), 0.5 / len(calls)), None, None
    """,
}
ASK = """
import sys
import torch
from geolab.errors import GeolabError
from geolab.splats.rasterize import choose, probe
eye = torch.eye
torch.eye = lambda size, device: eye(size)
torch.cuda.get_device_name = lambda: "Card 1"
for site in sys.argv[1:]:
    sys.path.insert(0, site)
    for again in range(2):
        try:
            print(choose("auto", "cuda"))
        except GeolabError as error:
            print(type(error).__name__, error)
    sys.path.remove(site)
    probe._known.clear()
    for name in [n for n in sys.modules if n.partition(".")[0] == "gsplat"]:
        del sys.modules[name]
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What a process is told that finds each of these gsplats and asks twice for tensors on CUDA."""
    folder = tmp_path_factory.mktemp("sites")
    for name, rendering in BROKEN.items():
        package = folder / name / "gsplat"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "rendering.py").write_text(textwrap.dedent(rendering))
    told = subprocess.run(
        [sys.executable, "-c", ASK, *(str(folder / name) for name in BROKEN)],
        capture_output=True, text=True, check=False, timeout=120,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    return {name: lines[2 * i : 2 * i + 2] for i, name in enumerate(BROKEN)}


def test_a_build_that_failed_is_reported_with_its_first_cause(said: dict[str, list[str]]) -> None:
    assert said["hidden"][0].startswith("BadInput gsplat: found CUDA_HOME environment variable is not set.")
    assert said["hidden"][0].endswith("or take backend='cpu'")


def test_a_line_printed_instead_of_raised_is_reported(said: dict[str, list[str]]) -> None:
    expected = "BadInput gsplat: found gsplat: No CUDA toolkit found. gsplat will be disabled., expected"
    assert said["printed"][0].startswith(expected)


def test_a_missing_package_names_the_extra(said: dict[str, list[str]]) -> None:
    assert said["absent"][0] == (
        "MissingExtra gsplat is not available (No module named 'packaging_that_nobody_has'; "
        "backend='cpu' does without it): pip install 'geolab[splats]'"
    )


def test_a_wrong_image_is_no_working_build(said: dict[str, list[str]]) -> None:
    assert "found its first image is wrong: 0 in place of 0.5" in said["wrong"][0]


def test_a_working_build_is_named(said: dict[str, list[str]]) -> None:
    assert said["works"][0].startswith("Choice(name='cuda', reason='tensors are on cuda; gsplat ")
    assert "on Card 1" in said["works"][0]


def test_gsplat_is_tried_once_in_a_process(said: dict[str, list[str]]) -> None:
    assert all(first == second for first, second in said.values())


def test_of_a_compilers_output_the_line_with_the_error_is_told() -> None:
    error = RuntimeError(
        "Error building extension 'gsplat_cuda': [1/3] nvcc -c x.cu\nFAILED: x.cuda.o\n"
        'x.cu(12): error: identifier "glm" is undefined\n1 error detected in the compilation of x.cu'
    )
    assert cause(error, "ninja: build stopped") == 'x.cu(12): error: identifier "glm" is undefined'
    assert cause(RuntimeError(), "") == "RuntimeError"
    assert len(cause(RuntimeError("error " + "x" * 1000), "")) == 140
