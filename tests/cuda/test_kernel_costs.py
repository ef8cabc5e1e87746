"""The table of what kernels cost: the one in the documents is what the script says, of kernels that exist."""

import re
import sys
from collections import Counter

import numpy as np
from cases import load_case
from stubs import ROOT

from openmm_so3krates.model_file import read_model_file

sys.path.insert(0, str(ROOT / "scripts"))
import kernel_costs


def rows(table: str) -> list[str]:
    """Without the registers, which take a compiler."""
    return [line.rsplit("|", 2)[0] for line in table.splitlines() if line.startswith(("| `so3k", "| all"))]


def section(title: str) -> str:
    return (ROOT / "docs" / "cuda.md").read_text().split(f"## {title}")[1].split("\n## ")[0]


def test_documents_have_the_table(so3lr):
    costs = kernel_costs.costs(read_model_file(so3lr)[0], edges=38, pairs=720, kinds=2)
    documented = section("What limits the kernels")
    assert rows(documented) == rows(kernel_costs.table_of(costs, {})), "python scripts/kernel_costs.py --nvrtc FILE"


def test_documents_have_the_tables_of_small_systems(so3lr):
    hyper = read_model_file(so3lr)[0]
    for table in (kernel_costs.launch_table(hyper), kernel_costs.small_table(hyper)):
        assert table in section("Small systems"), "python scripts/kernel_costs.py"


def test_launches_are_those_of_an_evaluation(emulated, so3lr):
    """Of one water molecule, and what else a recorded graph has: the copy that tells the host of the lists, beside all
    this, and the wait for it."""
    engine = emulated("so3lr_float").Potential(str(so3lr), 12.0, multiprocessors=kernel_costs.MULTIPROCESSORS)
    case = load_case("water")
    engine.prepare(case.atomic_numbers, [0, 3], np.zeros((1, 3, 3)))
    engine.write_positions(case.positions)
    engine.enqueue()
    assert engine.finish()
    expected = kernel_costs.launches(read_model_file(so3lr)[0], 3)
    done = dict(engine.device.launches)
    assert done.pop("so3kProject") == 1  # kept for as long as the atoms stay
    assert done == Counter(f"so3k{launch.kernel}" for launch in expected)
    for launch in expected:
        assert engine.device.last_sizes[f"so3k{launch.kernel}"] == (launch.blocks, launch.threads), launch.kernel
    engine.record()
    assert engine.recorded_nodes == len(expected) + 2 == 19


def test_kernels_exist(so3lr):
    sources = "".join(file.read_text() for file in (ROOT / "kernels" / "cuda" / "device").glob("*.cuh"))
    kernels = set(re.findall(r"\b(so3k\w+)\(\w+Arguments", sources))
    for cost in kernel_costs.costs(read_model_file(so3lr)[0], edges=38, pairs=720, kinds=2):
        assert "so3k" + cost.kernel.split()[0] in kernels


def test_sizes_are_those_of_the_kernels(emulated):
    assert emulated("odd_double").most_atoms_per_block(132, kernel_costs.REAL) == kernel_costs.BLOCK
