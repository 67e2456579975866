#!/usr/bin/env bash
# What to run on a machine with a CUDA device: the tests marked gpu, the times of change detection's training
# and of the rasterizer, and a splat model trained on both back ends, which shall agree within 0.3 dB.
#   bench/gpu.sh [PYTHON [WHEELS]]     prints figures for bench/RESULTS.md
#
# Such a machine may be bare: this needs a checkout, Python 3.11 or newer, a torch that sees the device, and the
# CUDA compiler (nvcc) of torch's own CUDA version, with which gsplat builds its kernels at first use (minutes).
# What else Python lacks of the list below is taken from an index, or from WHEELS, a folder of wheels, where none
# can be reached. Make it elsewhere, for the Python and platform of that machine (gsplat's holds sources only):
#   pip download -d WHEELS --no-deps --only-binary :all: --python-version 3.12 --platform manylinux_2_28_x86_64 \
#     gsplat==1.5.3 jaxtyping wadler-lindig ...
set -euo pipefail
cd "$(dirname "$0")/.."
python="${1:-python3}"
wheels="${2:-}"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"

extra="$(mktemp -d)"
trap 'rm -rf "$extra"' EXIT
missing="$("$python" - <<'PY'
import importlib.util

needed = {  # module: package
    "gsplat": "gsplat==1.5.3", "ninja": "ninja", "packaging": "packaging", "rich": "rich", "numpy": "numpy",
    "jaxtyping": "jaxtyping", "wadler_lindig": "wadler-lindig", "numba": "numba", "llvmlite": "llvmlite",
    "pytest": "pytest", "pytest_timeout": "pytest-timeout", "psutil": "psutil", "pyproj": "pyproj",
    "certifi": "certifi", "scipy": "scipy", "skimage": "scikit-image", "lazy_loader": "lazy-loader",
    "rasterio": "rasterio", "affine": "affine", "attrs": "attrs", "click": "click", "PIL": "pillow",
    "defusedxml": "defusedxml", "plyfile": "plyfile", "pycolmap": "pycolmap", "safetensors": "safetensors",
}
print(*(package for module, package in needed.items() if importlib.util.find_spec(module) is None))
PY
)"
if [ -n "$missing" ]; then
    echo "installing for this run, beside what Python has: $missing"
    if [ -n "$wheels" ]; then
        "$python" -m pip install --quiet --no-index --no-deps --target "$extra" "$wheels"/*.whl
    else
        # shellcheck disable=SC2086 # one package a word
        "$python" -m pip install --quiet --no-deps --target "$extra" $missing
    fi
    export PYTHONPATH="$PYTHONPATH:$extra"
fi
here="$("$python" -c 'import sys, pathlib; print(pathlib.Path(sys.executable).parent)')"
export PATH="$extra/bin:$here:$PATH" # ninja

# the build is for this device alone: minutes less; torch looks for the compiler in CUDA_HOME and on the path
"$python" -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda, torch.cuda.get_device_name())'
arch="$("$python" -c 'import torch; print("%d.%d" % torch.cuda.get_device_capability())')"
export TORCH_CUDA_ARCH_LIST="${TORCH_CUDA_ARCH_LIST:-$arch}"
export MAX_JOBS="${MAX_JOBS:-$(nproc)}"
[ -n "${CUDA_HOME:-}" ] || ! [ -d /usr/local/cuda ] || export CUDA_HOME=/usr/local/cuda
export PATH="${CUDA_HOME:+$CUDA_HOME/bin:}$PATH"
if ! nvcc --version; then
    echo "error: no nvcc; install the CUDA toolkit of torch's version, or set CUDA_HOME to it" >&2
    exit 2
fi
"$python" -c 'from geolab.splats.rasterize import choose; print(choose("auto", "cuda"))'

status=0
"$python" -m pytest -m gpu -p no:cacheprovider -W default tests/splats/rasterize/test_cuda.py || status=$?
"$python" -m pytest -m gpu -p no:cacheprovider -W default tests/change || status=$?
"$python" bench/splats.py --backend cuda || status=$?
"$python" bench/splats.py --backend cpu || status=$?
"$python" bench/splats.py --sizes 0 --train 0 --both 3000 || status=$?
"$python" bench/train.py --device cuda || status=$?
"$python" bench/train.py --device cpu || status=$?
exit "$status"
