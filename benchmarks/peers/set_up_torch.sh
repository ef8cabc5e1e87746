#!/usr/bin/env bash
# Sets up so3krates-torch for `so3krates benchmark --peers FOLDER`, in FOLDER/torch.
#
#   benchmarks/peers/set_up_torch.sh FOLDER
#
# PYTHON chooses the Python (3.10 or newer; default python3). Without a GPU the CPU build of torch is enough and saves
# gigabytes: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu benchmarks/peers/set_up_torch.sh FOLDER
# The package is not ours: its checkpoint is a pickle, which its own code executes.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
"${PYTHON:-python3}" -m venv "$1/torch"
"$1/torch/bin/python" -m pip install -q -r "$here/requirements-torch.txt"
"$1/torch/bin/python" -c "import so3krates_torch.calculator.so3; print('so3krates-torch is ready')"
