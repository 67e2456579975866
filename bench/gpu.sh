#!/usr/bin/env bash
# What to run on a machine with a CUDA device: the tests marked gpu, then a training timed on both devices.
# Such a machine may be bare: this needs a checkout, Python 3.11 or newer, and a torch that sees the device.
#   bench/gpu.sh [PYTHON]     prints figures for bench/RESULTS.md
set -euo pipefail
cd "$(dirname "$0")/.."
python="${1:-python3}"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
"$python" -c 'import torch; print(torch.__version__, torch.cuda.get_device_name())'
"$python" -m pytest -m gpu -p no:cacheprovider -W default tests/change
"$python" bench/train.py --device cuda
"$python" bench/train.py --device cpu
