#!/usr/bin/env bash
# Everything that needs a GPU, on a machine that may have no network: builds from source, runs the GPU tests under
# pytest and compute-sanitizer, times the kernels. Ends inside eight minutes; prints PASS, FAIL or SKIP for each part.
#
#   scripts/gpu_check.sh                    results in gpu-check-output/ ($OUT): report.json and log.txt
#   PYTHON=python3.12 scripts/gpu_check.sh
#
# Taken from the Python it finds: numpy, torch, safetensors, tqdm, pytest, hypothesis, scipy, pybind11,
# scikit-build-core, cmake, ninja; NVRTC from torch's packages. OpenMM and its CUDA platform are tested if they are
# there. What is missing can lie in wheels/ (installed from there, never from an index), and so can the model:
# wheels/so3lr.safetensors. Without it the parts that need SO3LR fail, unless it is installed already.

set -u
cd "$(dirname "$0")/.." || exit 1
OUT=$(mkdir -p "${OUT:-gpu-check-output}" && cd "${OUT:-gpu-check-output}" && pwd) || exit 1
PYTHON=${PYTHON:-python3}
LIMIT=${LIMIT:-460} # seconds for everything
BUILD_LIMIT=${BUILD_LIMIT:-150}
LOG=$OUT/log.txt
PARTS=$OUT/.parts
: >"$LOG"
: >"$PARTS"
SECONDS=0
failed=0

# part NAME SECONDS COMMAND...: runs a part within its time and what is left of the whole.
part() {
    local name=$1 limit=$2 started=$SECONDS left=$((LIMIT - SECONDS)) verdict code
    shift 2
    ((limit > left)) && limit=$left
    printf '\n===== %s (at %d s, at most %d s): %s\n' "$name" "$SECONDS" "$limit" "$*" >>"$LOG"
    if ((limit < 5)); then
        verdict=FAIL code=124
        echo "no time left" >>"$LOG"
    else
        # The command's children too: timeout without --foreground signals its process group.
        timeout --kill-after=5 "$limit" "$@" >>"$LOG" 2>&1 </dev/null
        code=$?
        verdict=FAIL
        ((code == 0)) && verdict=PASS
        ((code == 77)) && verdict=SKIP
    fi
    [[ $verdict == FAIL ]] && failed=1
    ((code == 124 || code == 137)) && verdict="$verdict (out of time)"
    printf '%-22s %-20s %4d s\n' "$name" "$verdict" $((SECONDS - started))
    printf '%s\t%s\t%d\t%d\n' "$name" "$verdict" "$code" $((SECONDS - started)) >>"$PARTS"
    return "$code"
}

describe() {
    date -u
    git log --oneline -1 2>/dev/null
    uname -a
    "$PYTHON" --version
    g++ --version | head -1
    nvcc --version | tail -2
    nvidia-smi
}

# A venv that sees the packages of PYTHON, also where PYTHON is itself of a venv, whose packages --system-site-packages
# would miss. pip is PYTHON's.
make_venv() {
    "$PYTHON" -m venv --system-site-packages --without-pip --clear "$OUT/.venv" || return
    "$PYTHON" - "$OUT/.venv" <<'PY' || return
import pathlib, site, sys
(target,) = pathlib.Path(sys.argv[1]).glob("lib/python*/site-packages")
folders = [folder for folder in site.getsitepackages() if pathlib.Path(folder).is_dir()]
(target / "parent.pth").write_text("".join(f"import site; site.addsitedir({folder!r})\n" for folder in folders))
PY
    if compgen -G "wheels/*.whl" >/dev/null; then
        "$RUN" -m pip install -q --no-index --no-deps --find-links wheels wheels/*.whl || return
    fi
    "$RUN" -c "import numpy, pybind11, pytest, safetensors, scikit_build_core, torch; print(torch.__version__)"
}

build() {
    "$RUN" -m pip install -q --no-build-isolation --no-deps --no-index -e . \
        -C build-dir="$OUT/.build" -C cmake.define.SO3KRATES_OPENMM="$("$RUN" -c "import openmm" 2>/dev/null && echo ON || echo OFF)" \
        -C cmake.define.pybind11_DIR="$("$RUN" -m pybind11 --cmakedir)"
}

info() {
    "$RUN" -c "import sys; from openmm_so3krates.cli import main; sys.exit(main(['info']))" &&
        "$RUN" -c "
from openmm_so3krates import _engine
info = _engine.cuda_info()
assert info['driver']['found'] and info['devices'] and info['nvrtc']['found'], info"
}

# Where OpenMM has its CUDA platform. A thousand Contexts would take minutes.
openmm() {
    "$RUN" -c "import openmm" || return 77
    # OpenMM's libraries look for NVIDIA's beside themselves, but these may be in the environment that was found.
    local libraries
    libraries=$("$RUN" -c "
import glob, importlib.util
roots = importlib.util.find_spec('nvidia').submodule_search_locations
print(':'.join(folder for root in roots for folder in glob.glob(root + '/*/lib')))")
    export LD_LIBRARY_PATH=$libraries:${LD_LIBRARY_PATH:-}
    "$RUN" -c "
import openmm, sys
if 'CUDA' not in [openmm.Platform.getPlatform(k).getName() for k in range(openmm.Platform.getNumPlatforms())]:
    print('OpenMM has no CUDA platform (openmm-cuda-13):', *openmm.Platform.getPluginLoadFailures(), sep=chr(10))
    sys.exit(1)" || return
    "$RUN" -m pytest -m gpu -p no:cacheprovider tests/openmm_force -k "not come_and_go"
}

# Where there are openmm-torch and its library for CUDA (openmmtorch[cuda12]).
torchforce() {
    "$RUN" -c "import torch, openmm, openmmtorch" || return 77
    "$RUN" -m pytest -m gpu -p no:cacheprovider tests/torch_force
}

# sanitize TOOL: on a small box; any finding is a failure. Without the tool the part is skipped.
sanitize() {
    command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not installed"; return 77; }
    compute-sanitizer --tool "$1" --error-exitcode 1 \
        "$RUN" scripts/gpu_run.py --model "$MODEL" --waters 8 --lr-cutoff 6 --repeats 1
}

times() {
    "$RUN" scripts/gpu_run.py --model "$MODEL" --waters 8 64 512 4096 --repeats 10 --times "$OUT/.times.json" &&
        SO3KRATES_TENSOR_CORES=0 \
            "$RUN" scripts/gpu_run.py --model "$MODEL" --waters 512 4096 --repeats 10 --times "$OUT/.times-plain.json"
}

profile() {
    command -v ncu >/dev/null || { echo "ncu is not installed"; return 77; }
    ncu --clock-control none --kernel-name-base function --kernel-name regex:'so3k(Tiled)?Attention|so3kFirstLayer|so3kAtom|so3kPairTerms' \
        --launch-skip 13 --launch-count 13 --section SpeedOfLight --section Occupancy --section LaunchStats \
        --section MemoryWorkloadAnalysis --section SchedulerStats --section WarpStateStats \
        "$RUN" scripts/gpu_run.py --model "$MODEL" --waters 512 --repeats 1
}

report() {
    "$RUN" - "$OUT" <<'PY'
import json, pathlib, sys
from openmm_so3krates import _engine
out = pathlib.Path(sys.argv[1])
rows = [line.split("\t") for line in (out / ".parts").read_text().splitlines()]
parts = [{"name": n, "result": r, "exit_code": int(c), "seconds": int(s)} for n, r, c, s in rows]
def read(name):
    return json.loads((out / name).read_text()) if (out / name).exists() else []
report = {"cuda": _engine.cuda_info(), "parts": parts, "times": read(".times.json")}
report["times_without_tensor_cores"] = read(".times-plain.json")
(out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
PY
}

RUN=$OUT/.venv/bin/python
export -f describe make_venv build info openmm torchforce sanitize times profile report
export OUT PYTHON RUN
# A cache of its own: kernels are compiled anew, and the model is the one in wheels/.
MODEL=so3lr
if [[ -f wheels/so3lr.safetensors ]]; then
    export SO3KRATES_HOME=$OUT/.home
    mkdir -p "$SO3KRATES_HOME"
    cp wheels/so3lr.safetensors "$SO3KRATES_HOME/"
fi
export MODEL
rm -f "$OUT/.times.json" "$OUT/.times-plain.json"

part machine 20 bash -c describe
if part environment 60 bash -c make_venv && part build "$BUILD_LIMIT" bash -c build; then
    part info 60 bash -c info
    part tests 200 "$RUN" -m pytest -m gpu -p no:cacheprovider tests/cuda
    part times 90 bash -c times
    part memcheck 70 bash -c "sanitize memcheck"
    part openmm 80 bash -c openmm
    part racecheck 70 bash -c "sanitize racecheck"
    part operators 60 "$RUN" -m pytest -m gpu -p no:cacheprovider tests/torch_operator
    part torchforce 60 bash -c torchforce
    part profile 60 bash -c profile
fi
if ! report >>"$LOG" 2>&1; then # without an engine: the parts at least
    awk -F'\t' 'BEGIN { print "{\"parts\": [" } { printf "%s {\"name\": \"%s\", \"result\": \"%s\", \"exit_code\": %d, \"seconds\": %d}", (NR > 1 ? ",\n" : ""), $1, $2, $3, $4 } END { print "]}" }' \
        "$PARTS" >"$OUT/report.json"
fi
rm -f "$PARTS" "$OUT/.times.json" "$OUT/.times-plain.json"
rm -rf "$OUT/.home" "$OUT/.build" "$OUT/.venv"
echo "$SECONDS s; report.json and log.txt are in $OUT"
exit $failed
