"""Bank conflicts of shared memory are counted right, in kernels with known ones; and the kernels of SO3LR have few."""

import re
import sys

import numpy as np
import pytest
from stubs import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import bank_conflicts

WARPS = 2
SOURCE = ROOT / "tests" / "cuda_emulation" / "bank_test.cuh"


@pytest.fixture(scope="module")
def module(emulated):
    return emulated("counted_bank_test")


@pytest.fixture
def count(module):
    """count(kernel, stride): its counts per direction, of one warp."""
    device = module.Device()

    def run(kernel: str, stride: int) -> dict[str, bank_conflicts.Count]:
        module.take_access_counts()
        module.launch(device, kernel, stride, np.arange(64.0), 32 * WARPS, 1, 32 * WARPS, shared_doubles=1024)
        counts = {"write" if c.is_write else "read": c for c in bank_conflicts.take(module)}
        for c in counts.values():
            assert c.kernel == kernel
        return counts

    return run


def numbers(count: bank_conflicts.Count) -> tuple[int, int, int, int]:
    """Bytes per lane and, of one warp: accesses, wavefronts, ideal."""
    return (count.bytes, *(total / WARPS for total in (count.accesses, count.wavefronts, count.ideal)))


@pytest.mark.parametrize(
    ("kernel", "stride", "expected"),
    [
        # 4 bytes, the whole warp at once: the same word, side by side, and lanes on every 2nd, 4th, 32nd bank
        ("so3kReadOne", 0, (4, 1, 1, 1)),
        ("so3kReadOne", 1, (4, 1, 1, 1)),
        ("so3kReadOne", 2, (4, 1, 2, 1)),
        ("so3kReadOne", 12, (4, 1, 4, 1)),
        ("so3kReadOne", 32, (4, 1, 32, 1)),
        ("so3kReadOne", 33, (4, 1, 1, 1)),
        # 8 bytes, half a warp at once
        ("so3kReadTwo", 0, (8, 1, 2, 2)),
        ("so3kReadTwo", 2, (8, 1, 2, 2)),
        ("so3kReadTwo", 4, (8, 1, 4, 2)),
        ("so3kReadTwo", 32, (8, 1, 32, 2)),
        ("so3kReadTwo", 34, (8, 1, 2, 2)),
        ("so3kReadDouble", 2, (8, 1, 2, 2)),
        ("so3kReadDouble", 32, (8, 1, 32, 2)),
        # 16 bytes, a quarter: rows of 36 numbers without conflicts, of 32 with as many as there are
        ("so3kReadFour", 4, (16, 1, 4, 4)),
        ("so3kReadFour", 8, (16, 1, 8, 4)),
        ("so3kReadFour", 32, (16, 1, 32, 4)),
        ("so3kReadFour", 36, (16, 1, 4, 4)),
        # joined where all lanes' rows are aligned to 16, or 8, bytes
        ("so3kReadRow", 8, (16, 2, 16, 8)),
        ("so3kReadRow", 12, (16, 2, 8, 8)),
        ("so3kReadRow", 10, (8, 4, 8, 8)),
        ("so3kReadRow", 33, (4, 8, 8, 8)),
        ("so3kReadRow", 32, (16, 2, 64, 8)),
        ("so3kReadTwoRows", 12, (16, 4, 16, 16)),
        ("so3kReadWrittenOut", 12, (16, 1, 4, 4)),
        ("so3kReadWrittenOut", 33, (4, 4, 4, 4)),
    ],
)
def test_reads(count, kernel, stride, expected):
    counts = count(kernel, stride)
    assert numbers(counts["read"]) == expected
    assert "write" not in counts


@pytest.mark.parametrize(("stride", "wavefronts"), [(4, 4), (8, 8), (32, 32), (36, 4)])
def test_writes(count, stride, wavefronts):
    counts = count("so3kWriteFour", stride)
    assert numbers(counts["write"]) == (16, 1, wavefronts, 4)
    assert "read" not in counts


def test_what_is_joined(count):
    """Numbers that are added to are read and written four at a time; not if something unknown is written in between."""
    assert {numbers(c) for c in count("so3kAddToRow", 12).values()} == {(16, 2, 8, 8)}
    assert {numbers(c) for c in count("so3kCopyRow", 12).values()} == {(4, 8, 32, 8)}


def test_static_shared_memory(count):
    """Of a function template, too."""
    assert numbers(count("so3kColumns", 32)["read"]) == (4, 1, 32, 1)
    counts = count("so3kColumns", 33)
    assert numbers(counts["read"]) == numbers(counts["write"]) == (4, 1, 1, 1)


def test_lanes_that_have_left_a_loop(count):
    """32, 24, 16 and 8 lanes come to the four rounds."""
    assert numbers(count("so3kDiverge", 32)["read"]) == (4, 4, 32 + 24 + 16 + 8, 4)
    assert numbers(count("so3kDiverge", 33)["read"]) == (4, 4, 4, 4)


def test_lines(count):
    text = "    const FourNumbers four = laneNumbers<FourNumbers>(row, a.mode);"
    line = SOURCE.read_text().splitlines().index(text) + 1
    found = count("so3kReadFour", 4)["read"].line
    assert re.fullmatch(rf"bank_test\.cuh:({line}|{line + 3})", found), found


def test_tables(count):
    counts = [*count("so3kReadOne", 2).values(), *count("so3kReadFour", 4).values()]
    assert [line.split() for line in bank_conflicts.kernel_table(counts).splitlines()[1:]] == [
        ["so3kReadFour", "2", "8", "8", "0.0", "%"],
        ["so3kReadOne", "2", "4", "2", "100.0", "%"],
        ["all", "4", "12", "10", "20.0", "%"],
    ]
    (line,) = bank_conflicts.line_table(counts, 5).splitlines()[1:]
    assert line.split()[1:4] == ["so3kReadOne", "read", "4"]
    assert bank_conflicts.line_table(counts[1:], 5) == "no conflicts"


@pytest.mark.long
def test_kernels_have_few_conflicts(monkeypatch):
    """General kernels in single precision, and everything around them."""
    monkeypatch.setenv("SO3KRATES_TENSOR_CORES", "0")
    counts = bank_conflicts.count_evaluation("single", "water", "so3lr")
    kernels = {c.kernel for c in counts}
    assert {"so3kAttentionForward", "so3kAttentionBackward", "so3kAtomForward", "so3kAtomBackward"} <= kernels
    for kernel in kernels:
        total = bank_conflicts.added([c for c in counts if c.kernel == kernel], kernel)
        assert total.excess <= 0.05 * total.ideal, kernel
