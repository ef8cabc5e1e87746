"""benchmarks/adapter_overhead.py runs every way to the engine that is installed; it refuses unequal forces itself."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "adapter_overhead.py"


def test_all_ways(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--atoms", "22", "--seconds", "0.02", "--json", "out.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = {row["way"]: row for row in json.loads((tmp_path / "out.json").read_text())["rows"]}
    for way in ("Potential.compute", "ASE calculator", "torch operator, autograd", "PythonForce, OpenMM step"):
        assert rows[way]["total_us"] > 0 and rows[way]["force_deviation"] < 1e-5
        assert way in done.stdout
    assert "overhead_us" not in rows["OpenMM step without a force"]
    torch_force = rows["TorchForce, OpenMM step"]
    assert "total_us" in torch_force or "openmmtorch" in torch_force["remark"]
