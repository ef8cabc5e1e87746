#!/usr/bin/env bash
# Tries wheels as a user would: each in an empty virtual environment, outside of the source tree.
#
#   scripts/check_wheel.sh [PYTHON ...]      by default python3; the wheel for it is looked for in dist/ ($DIST)
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- python3
root=$PWD
dist=$(realpath "${DIST:-dist}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for python in "$@"; do
    tag=$("$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
    "$python" -m venv "$scratch/$tag"
    (
        cd "$scratch/$tag"
        PATH=$PWD/bin:$PATH
        unset PYTHONPATH
        python -m pip install -q "$dist"/openmm_so3krates-*-"$tag"-"$tag"-manylinux*.whl
        so3krates install so3lr
        so3krates info
        python "$root/scripts/run_readme.py" --first | tee ran.txt
        grep -q "with $PWD/lib" ran.txt || { echo "it was not the installed package that ran" >&2; exit 1; }
    )
    rm -rf "${scratch:?}/$tag"
    echo "$tag: the wheel works"
done
