"""How the benchmark talks to the program it times: a job in JSON, a result in JSON, one process for each.

    PYTHON RUNNER.py JOB.json RESULT.json

Standard library only, since each runner is started with the Python that its program is installed for. A job holds
`atomic_numbers` (N), `frames` (frames, N, 3) in Å, `cell` (3, 3) in Å or null, `lr_cutoff` in Å, `precision`,
`threads`, `device`, `repeats` (0: no timing), `seconds` (no further repeat once so many have passed) and what else one
runner needs. A result holds `program`, `energies` (frames) in eV, `forces` (frames, N, 3) in eV/Å, `times` (method ->
seconds per call, one for each repeat), `baseline_MB` and `peak_MB`, or `error` alone.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback

LEAST_REPEATS = 3


def main(measure) -> None:
    """Runs `measure(job) -> result` on the job named on the command line and writes its result."""
    with open(sys.argv[1]) as file:
        job = json.load(file)
    limit_threads(job["threads"])
    try:
        result = measure(job)
        result["peak_MB"] = peak_memory()
    except Exception as error:  # the benchmark goes on without this program and says why
        if not job.get("quiet"):
            traceback.print_exc()
        result = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    with open(sys.argv[2], "w") as file:
        json.dump(result, file)


def limit_threads(threads: int) -> None:
    """Ties the process to `threads` processors: programs differ in the settings they obey, but not in this one."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def peak_memory() -> float:
    """Largest resident size of this process so far, in MB."""
    try:
        with open("/proc/self/status") as file:  # not ru_maxrss: that counts what the parent held at the fork
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return size / 1e6 if sys.platform == "darwin" else size * 1024 / 1e6  # macOS counts bytes


def repeat(job: dict, call, per_call: int = 1) -> list[float]:
    """Seconds per unit of work of `call(k)`, k the number of the repeat, after one call that does not count."""
    call(0)
    times, began = [], time.perf_counter()
    while len(times) < job["repeats"] and (len(times) < LEAST_REPEATS or time.perf_counter() - began < job["seconds"]):
        start = time.perf_counter()
        call(len(times) + 1)
        times.append((time.perf_counter() - start) / per_call)
    return times
