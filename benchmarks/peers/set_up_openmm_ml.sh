#!/usr/bin/env bash
# Makes an environment in FOLDER/openmm-ml for `so3krates benchmark --peers FOLDER --openmm-ml ...`.
#
#   benchmarks/peers/set_up_openmm_ml.sh FOLDER                       SevenNet-0, whose package holds the weights
#   benchmarks/peers/set_up_openmm_ml.sh FOLDER NAME PACKAGE...       another potential, with the packages it needs:
#   benchmarks/peers/set_up_openmm_ml.sh FOLDER mace-off23-small mace-torch
#
# NAME is OpenMM-ML's; its documentation lists them. Many potentials download their weights when they are first used,
# some of them under licences that restrict that use: read these first. PYTHON chooses the Python (3.10 or newer;
# default python3). Without a GPU the CPU build of torch is enough and saves gigabytes:
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu benchmarks/peers/set_up_openmm_ml.sh FOLDER
set -euo pipefail
{ [ $# -eq 1 ] || [ $# -ge 3 ]; } || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
name=${2:-sevennet-0}
case $name in *[/,@]*) echo "$0: an environment's name has no '/', ',' or '@': $name" >&2; exit 2 ;; esac
mkdir -p "$1/openmm-ml"
python=$1/openmm-ml/$name/bin/python
"${PYTHON:-python3}" -m venv "$1/openmm-ml/$name"
if [ $# -eq 1 ]; then
    "$python" -m pip install -q -r "$here/requirements-openmm-ml.txt"
    "$python" -W ignore -c "import openmmml; from sevenn.calculator import SevenNetCalculator; SevenNetCalculator('7net-0')"
    option=ase@$name,calculator=sevenn.calculator:SevenNetCalculator:7net-0
else
    "$python" -m pip install -q "openmmml>=1.8,<2" "${@:3}"
    "$python" -W ignore -c "import openmmml"
    option=$name
fi
echo "ready: so3krates benchmark --peers $1 --openmm-ml $option"
