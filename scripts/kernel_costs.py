"""What each CUDA kernel computes and moves per atom, counted from its formulas, and what that allows on a GPU.

Prints tables in Markdown (docs/cuda.md has them for SO3LR in water). Nothing is measured: the times of the first are
the least that the GPU's arithmetic, its instruction issue (tiled attention alone), its L2 cache and its memory allow
one after the other, for many atoms. The others are what small systems take: launches one after the other, and how long
the per-atom kernels keep a multiprocessor.

    python scripts/kernel_costs.py                                   # SO3LR in water: 38 and 720 neighbors, H200
    python scripts/kernel_costs.py run7.safetensors --edges 50 --pairs 900 --kinds 4
    python scripts/kernel_costs.py --nvrtc libnvrtc.so.13            # with the registers that this compiler gives
"""

from __future__ import annotations

import argparse
import dataclasses
import math

from compile_kernels import compile_kernels

from openmm_so3krates.hyperparameters import Hyperparameters
from openmm_so3krates.model_file import read_model_file

# NVIDIA's figures for the H200 SXM, except the bandwidth of the L2 cache, which NVIDIA does not publish: an assumption.
FP32, TF32, FP16, MEMORY, L2 = 67e12, 494e12, 989e12, 4.8e12, 5.5e12  # operations and bytes per second
ISSUE = FP32 / 2 / 32  # instructions of warps per second
REAL = 4  # bytes: single precision with the radial table
# As in kernels/cuda/device: most atoms per block (atom_arguments.h), and tile_layout.h.
BLOCK = 24
JOINT, TILE = 48, 8  # functions of the joint basis, edges per tile
# Instructions of warps per edge, by hand from the machine code of SO3LR's shape for sm_90: products and what a head
# does with them, rows of joint functions and hidden units, geometry; beside them on the way back the gradients.
TILED_FORWARD, TILED_BACKWARD = 118 + 97 + 25, 612 + 114 + 64
GEOMETRY, GEOMETRY_BYTES = 185, 32 + 12  # of an edge: operations with Y up to l = 4; position, list, kind
LONG_RANGE, LONG_RANGE_BYTES = 170, 52  # of a pair: operations (erf, exp, root as one each); position, list, atom


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one launch, per atom."""

    kernel: str
    launches: int  # per evaluation with forces
    flops: float  # multiply-add: two; without those of tensor cores
    cache_bytes: float  # through the L2 cache
    memory_bytes: float  # if every array is read or written once and weights and tables stay in the cache
    tensor_flops: float = 0  # of tensor cores, which do three TF32 products for one
    half_flops: float = 0  # likewise by FP16 products
    instructions: float = 0  # of warps; 0: not counted

    @property
    def all_flops(self) -> float:
        return self.flops + self.tensor_flops + self.half_flops

    @property
    def limits(self) -> dict[str, float]:
        """Seconds per atom and launch that each resource takes."""
        return {
            "arithmetic": self.flops / FP32,
            "tensor cores": 3 * self.tensor_flops / TF32 + 3 * self.half_flops / FP16,
            "instructions": self.instructions / ISSUE,
            "L2": self.cache_bytes / L2,
            "memory": self.memory_bytes / MEMORY,
        }

    @property
    def bound(self) -> str:
        return max(self.limits, key=self.limits.get)

    @property
    def seconds(self) -> float:
        """Of all launches."""
        return self.launches * max(self.limits.values())

    @property
    def fraction(self) -> float:
        """Of the peak arithmetic (of whichever units are busier), if the tightest limit is reached."""
        limits = self.limits
        return max(limits["arithmetic"], limits["tensor cores"]) / max(limits.values())


def costs(hp: Hyperparameters, edges: float, pairs: float, kinds: int) -> list[Cost]:
    """Single precision with the radial table, forces wanted; a first layer whose ev is zero."""
    f, h, d, s = hp.num_features, hp.num_heads, hp.num_degrees, hp.num_spherical_hidden
    m, layers = hp.num_euclidean, hp.num_layers
    spherical = bool(hp.use_spherical_filter)
    projections = 3 * f * f // h + 2 * f * f // d
    perceptrons = (hp.residual_mlp_1 + hp.residual_mlp_2) * 2 * f * f
    exchange = (f + d) ** 2
    hidden = hp.energy_hidden or 0
    z = f // 2 if hp.hirshfeld_ratios else 0
    heads = f * hidden + f * f * hp.partial_charges + (f * z + z * z if z else 0)

    def rows(name: str, launches: int, weights: float, read: float, written: float) -> Cost:
        """Per-atom parts: weights from the L2 cache once per block of atoms."""
        moved = REAL * (read + written)
        return Cost(name, launches, 0, REAL * weights / BLOCK + moved, moved, 2 * weights)

    def edge_kernel(
        name: str,
        launches: int,
        per_edge: float,
        gathered: float,
        read: float,
        written: float,
        products: float = 0,
        instructions: float = 0,
    ) -> Cost:
        """gathered, read, written: numbers; the last two per atom. products: multiply-adds of tensor cores per edge."""
        own = REAL * (read + written) + 12 * edges + 32
        return Cost(
            name,
            launches,
            edges * (per_edge + GEOMETRY),
            edges * (REAL * gathered + GEOMETRY_BYTES) + REAL * (read + written),
            own,
            half_flops=2 * products * padded,
            instructions=instructions * padded,
        )

    padded = TILE * math.ceil(edges / TILE)
    like_so3lr = f / 128  # heads and degrees have 32 features each
    table = 6 * JOINT
    # hidden units, joint functions, and per feature of both filters q w k; messages
    forward = 2 * (2 * s * d * spherical + 5 * JOINT + 2 * 2 * f + f)
    backward = 2 * (4 * s * d * spherical + 9 * JOINT + 2 * 20 * f + 2 * s * f // 32)
    filters = 2 * f * (JOINT + s * spherical)
    filters_back = 2 * f * (2 * JOINT + 2 * s * spherical)
    row = 2 * (h + d)
    first = 2 * 5 * (h + d) + kinds * h + 2 * m
    first_back = 2 * (9 + 4) * row + 8 * m + 300
    middle = layers - 1
    slopes = 3 * f  # what the perceptrons and norms keep for the way back, about
    return [
        edge_kernel("FirstLayerForward", 1, first, 6 * row, f + m, f + m),
        edge_kernel(
            "TiledAttentionForward",
            middle,
            forward,
            3 * f + 2 * m + table,
            5 * f + 2 * m,
            f + m,
            filters,
            TILED_FORWARD * like_so3lr,
        ),
        rows("AtomForward", middle, perceptrons + exchange + projections, f + m, 7 * f + 2 * m + slopes),
        rows("AtomForward (last layer)", 1, perceptrons + exchange + heads + f * hidden, f + m, 2 * f + z + slopes),
        Cost("PairTerms", 1, LONG_RANGE * pairs, LONG_RANGE_BYTES * pairs, 8 * pairs + 160),
        rows("AtomBackward (last layer)", 1, heads - f * hidden + perceptrons + exchange, 2 * f + z + slopes, f + m),
        rows("AtomBackward", middle, perceptrons + exchange + projections, 7 * f + 3 * m + slopes, f + m),
        edge_kernel(
            "TiledAttentionBackward",
            middle,
            backward,
            6 * f + 2 * m + table,
            7 * f + 2 * m,
            5 * f + m,
            filters_back,
            TILED_BACKWARD * like_so3lr,
        ),
        edge_kernel("FirstLayerBackward", 1, first_back, 6 * row + h + m, m + kinds * h, 6),
    ]


def table_of(rows: list[Cost], registers: dict[str, int]) -> str:
    lines = [
        "| kernel | launches | kFLOP/atom | L2, kB/atom | memory, kB/atom | limit | of peak | ns/atom | registers |",
        "|---|--:|--:|--:|--:|---|--:|--:|--:|",
    ]
    for c in rows:
        lines.append(
            f"| `so3k{c.kernel.split()[0]}`{c.kernel[len(c.kernel.split()[0]) :]} | {c.launches} | "
            f"{c.all_flops / 1e3:.1f} | {c.cache_bytes / 1e3:.1f} | {c.memory_bytes / 1e3:.1f} | "
            f"{c.bound} | {100 * c.fraction:.0f} % | {1e9 * c.seconds:.1f} | "
            f"{registers.get(c.kernel.split()[0], '?')} |"
        )
    total = sum(c.seconds for c in rows)
    flops = sum(c.launches * c.all_flops for c in rows)
    lines.append(f"| all | {sum(c.launches for c in rows)} | {flops / 1e3:.0f} | | | | | {1e9 * total:.0f} | |")
    return "\n".join(lines)


# Small systems. The clock is about what an H200 runs at; the waits for the L2 cache and between kernels of a graph are
# assumptions, in clocks and seconds. By atoms per block: instructions of a warp for a tile of 16 columns by 8 rows of
# weights, counted in the machine code for sm_90; steps of 8 rows of weights that are read ahead, tiles that a warp has
# at once, and threads, as in dense.cuh and atom_arguments.h.
MULTIPROCESSORS, CLOCK, WAIT, GAP = 132, 1.8e9, 300, 1.5e-6
WEIGHT_BYTES = 64  # into a multiprocessor per clock
INSTRUCTIONS = {8: 30, 16: 46, 24: 52}
READ_AHEAD = {8: 8, 16: 8, 24: 4}
TOGETHER = {8: 1, 16: 1, 24: 2}
THREADS = {8: 256, 16: 256, 24: 128}
CHUNK = 2048  # atoms, of composition.cpp


def atoms_per_block(atoms: int) -> int:
    """As atomsPerBlock() has it."""
    return 8 if atoms <= 8 * (2 * MULTIPROCESSORS // 3) else 16 if atoms <= 16 * MULTIPROCESSORS else BLOCK


@dataclasses.dataclass(frozen=True)
class Product:
    """Of atoms' rows with `blocks` matrices of weights."""

    ins: int
    outs: int
    blocks: int = 1

    def clocks(self, rows: int, resident: int) -> float:
        """What it takes on one multiprocessor for `resident` blocks of so many rows: the waits of a warp for weights,
        and all instructions, one per scheduler and clock; or the weights' bytes."""
        tiles = -(-(self.outs - (self.outs % 16 if self.outs % 16 <= 4 else 0)) // 16)
        rounds = -(-self.blocks * -(-tiles // TOGETHER[rows]) // (THREADS[rows] // 32))
        steps, waits = self.ins // 8, 0
        for deep in sorted({READ_AHEAD[rows], 4, 1}, reverse=True):
            waits, steps = waits + steps // deep, steps % deep
        waits += self.ins % 8 > 0
        instructions = self.blocks * tiles * -(-self.ins // 8) * INSTRUCTIONS[rows]
        return max(
            rounds * waits * WAIT + resident * instructions / 4,
            resident * REAL * self.blocks * self.ins * self.outs / WEIGHT_BYTES,
        )


def products(hp: Hyperparameters) -> dict[str, list[Product]]:
    """Of the launches of the per-atom kernels, by how the table calls them."""
    f, h, d, z = hp.num_features, hp.num_heads, hp.num_degrees, hp.num_features // 2
    square = Product(f, f)
    layer = [square, square] * (hp.residual_mlp_1 + hp.residual_mlp_2) + [Product(f + d, f + d)]
    project = [Product(f // blocks, f // blocks, blocks) for blocks in (h, h, h, d, d)]
    energy = [Product(f, hp.energy_hidden), Product(hp.energy_hidden, f)] if hp.energy_hidden else []
    charge = [square] * bool(hp.partial_charges)
    ratio = [Product(f, z), Product(z, z)] if hp.hirshfeld_ratios else []
    ratio_back = [Product(z, z), Product(z, f)] if hp.hirshfeld_ratios else []
    return {
        "AtomForward": layer + project,
        "AtomForward (last layer)": layer + energy + charge + ratio,
        "AtomBackward (last layer)": charge + ratio_back + layer,
        "AtomBackward": project + layer,
    }


def seconds(needed: list[Product], atoms: int, rows: int) -> float:
    """Of a launch: of the blocks that the busiest multiprocessor has, or of all blocks' weights in the L2 cache."""
    blocks = -(-atoms // rows)
    return sum(
        max(
            product.clocks(rows, -(-blocks // MULTIPROCESSORS)) / CLOCK,
            blocks * REAL * product.blocks * product.ins * product.outs / L2,
        )
        for product in needed
    )


@dataclasses.dataclass(frozen=True)
class Launch:
    """One node of the graph of an evaluation with forces."""

    kernel: str  # "": zeros
    blocks: int
    threads: int


def launches(hp: Hyperparameters, atoms: int) -> list[Launch]:
    """Of one molecule, in order, by the path of `costs`."""
    rows = atoms_per_block(atoms)
    # as many as run at once, each with several receivers: tile_layout.h
    threads = 32 * (hp.num_heads + hp.num_degrees)
    tiled = Launch("", min(atoms, MULTIPROCESSORS * max(1, 512 // threads)), threads)
    at_once = -(-atoms // 128)

    def per_rows(kernel: str) -> Launch:
        return Launch(kernel, -(-atoms // rows), THREADS[rows])

    def layers(way: str, order: list[int]) -> list[Launch]:
        out = []
        for layer in order:
            attention = Launch(f"FirstLayer{way}", -(-atoms // 2), 64)
            if layer > 0:
                attention = dataclasses.replace(tiled, kernel=f"TiledAttention{way}")
            out += [attention, per_rows(f"Atom{way}")] if way == "Forward" else [per_rows(f"Atom{way}"), attention]
        return out

    chunks, zeros = -(-atoms // CHUNK), Launch("", 0, 0)
    one = atoms <= 1024
    sums = [] if chunks == 1 else [Launch("Sums", chunks, 128)]
    cells = [Launch("CountCells", at_once, 128), Launch("ScanCells", 1, 1024), Launch("FillCells", at_once, 128)]
    return [
        *([] if one else [zeros]),
        Launch("WrapAtoms", 1 if one else at_once, 128 * at_once if one else 128),
        *([zeros, zeros, *cells] if atoms > 2048 else []),
        Launch("ListNeighbors", -(-atoms // 4), 128),
        *layers("Forward", list(range(hp.num_layers))),
        *sums,
        Launch("ConserveCharge", chunks, 512),
        Launch("PairTerms", -(-atoms // 4), 128),
        *sums,
        *layers("Backward", list(range(hp.num_layers))[::-1]),
        *[dataclasses.replace(launch, blocks=13 * chunks) for launch in sums],
        Launch("MoleculeSums", 1, 13 * 32),
    ]


SIZES = (22, 64, 1000, 1536, 10000)


def launch_table(hp: Hyperparameters) -> str:
    """Blocks and threads of each launch; launches that follow one another again in the same way have one line."""
    columns = [launches(hp, atoms) for atoms in SIZES]
    names = list(dict.fromkeys(launch.kernel for launch in columns[-1]))
    lines = ["| kernel | launches | " + " | ".join(f"{atoms:,} atoms" for atoms in SIZES) + " |"]
    lines.append("|---|--:|" + "--:|" * len(SIZES))
    for name in names:
        found = [[launch for launch in column if launch.kernel == name] for column in columns]
        counts = sorted({len(of) for of in found})
        cells = []
        for of in found:
            sizes = dict.fromkeys(f"{launch.blocks:,} × {launch.threads}" for launch in of)
            cells.append(", ".join(sizes) if name and of else "–" if not of else str(len(of)))
        label = f"`so3k{name}`" if name else "zeros"
        lines.append(f"| {label} | {' or '.join(map(str, counts))} | {' | '.join(cells)} |")
    lines.append(f"| all | | {' | '.join(str(len(column)) for column in columns)} |")
    return "\n".join(lines)


def small_table(hp: Hyperparameters) -> str:
    names = list(products(hp))
    lines = [
        "| atoms | nodes | nodes, µs | atoms per block | blocks | "
        + " | ".join(f"`so3k{name.split()[0]}`{name[len(name.split()[0]) :]}, µs" for name in names)
        + " | all of these, µs | with 24 per block |",
        "|" + "--:|" * (len(names) + 7),
    ]
    often = [1 if "last" in name else hp.num_layers - 1 for name in names]
    for atoms in SIZES:
        rows, nodes = atoms_per_block(atoms), len(launches(hp, atoms))
        each = [1e6 * seconds(needed, atoms, rows) for needed in products(hp).values()]
        most = [1e6 * seconds(needed, atoms, BLOCK) for needed in products(hp).values()]
        lines.append(
            f"| {atoms:,} | {nodes} | {1e6 * GAP * nodes:.0f} | {rows} | {-(-atoms // rows)} | "
            + " | ".join(f"{time:.1f}" for time in each)
            + f" | {sum(map(float.__mul__, each, map(float, often))):.0f}"
            + f" | {sum(map(float.__mul__, most, map(float, often))):.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="so3lr", help="name or file")
    parser.add_argument("--edges", type=float, default=38, help="neighbors inside the model's cutoff (water: 38)")
    parser.add_argument("--pairs", type=float, default=720, help="long-range neighbors (water at 12 Å: 720)")
    parser.add_argument("--kinds", type=int, default=2, help="kinds of atoms (water: 2)")
    parser.add_argument("--nvrtc", metavar="FILE", help="libnvrtc.so: adds registers for sm_90")
    args = parser.parse_args()
    hyper = read_model_file(args.model)[0]
    registers = {}
    if args.nvrtc:
        compiled = compile_kernels(args.model, "single", 90, args.nvrtc)
        registers = {kernel.name.removeprefix("so3k"): kernel.registers for kernel in compiled.kernels}
    print(table_of(costs(hyper, args.edges, args.pairs, args.kinds), registers))
    print(f"\n{launch_table(hyper)}\n\n{small_table(hyper)}")


if __name__ == "__main__":
    main()
