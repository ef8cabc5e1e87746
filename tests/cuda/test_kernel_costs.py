"""The table of what kernels cost: the one in the documents is what the script says, of kernels that exist."""

import re
import sys

from stubs import ROOT

from openmm_so3krates.model_file import read_model_file

sys.path.insert(0, str(ROOT / "scripts"))
import kernel_costs


def rows(table: str) -> list[str]:
    """Without the registers, which take a compiler."""
    return [line.rsplit("|", 2)[0] for line in table.splitlines() if line.startswith(("| `so3k", "| all"))]


def test_documents_have_the_table(so3lr):
    costs = kernel_costs.costs(read_model_file(so3lr)[0], edges=38, pairs=720, kinds=2)
    documented = (ROOT / "docs" / "cuda.md").read_text()
    section = documented.split("## What limits the kernels")[1].split("\n## ")[0]
    assert rows(section) == rows(kernel_costs.table_of(costs, {})), "python scripts/kernel_costs.py --nvrtc FILE"


def test_kernels_exist(so3lr):
    sources = "".join(file.read_text() for file in (ROOT / "kernels" / "cuda" / "device").glob("*.cuh"))
    kernels = set(re.findall(r"\b(so3k\w+)\(\w+Arguments", sources))
    for cost in kernel_costs.costs(read_model_file(so3lr)[0], edges=38, pairs=720, kinds=2):
        assert "so3k" + cost.kernel.split()[0] in kernels


def test_sizes_are_those_of_the_kernels(emulated):
    assert emulated("odd_double").most_atoms_per_block(132, kernel_costs.REAL) == kernel_costs.BLOCK
