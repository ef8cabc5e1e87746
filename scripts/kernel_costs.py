"""What each CUDA kernel computes and moves per atom, counted from its formulas, and what that allows on a GPU.

Prints a table in Markdown (docs/cuda.md has it for SO3LR in water). Nothing is measured: the times are the least that
the GPU's arithmetic, its instruction issue (tiled attention alone), its L2 cache and its memory allow one after the
other, for many atoms.

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
# As in kernels/cuda/device: atoms per block (atom_arguments.h), and tile_layout.h.
BLOCK = 24
JOINT, TILE = 48, 8  # functions of the joint basis, edges per tile
# Instructions of warps per edge, by hand from the machine code of SO3LR's shape for sm_90: products and what a head
# does with them, rows of joint functions and hidden units, geometry; beside them on the way back the gradients.
TILED_FORWARD, TILED_BACKWARD = 127 + 97 + 25, 623 + 115 + 72
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
        rows("AtomForward (last layer)", 1, perceptrons + exchange, f + m, f + m + slopes),
        rows("HeadsForward", 1, heads + f * hidden, f, 2 * f + z),
        Cost("LongRange", 1, LONG_RANGE * pairs, LONG_RANGE_BYTES * pairs, 8 * pairs + 160),
        rows("HeadsBackward", 1, heads - f * hidden, 2 * f + z, f + m),
        rows("AtomBackward", layers, perceptrons + exchange, f + 2 * m + slopes, f + m),
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
        rows("ProjectBackward", middle, projections, 6 * f + m, f + m),
        Cost("FirstLayerProducts", 1, 2 * kinds * f, REAL * 2 * f, REAL * (f + kinds * h)),
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


if __name__ == "__main__":
    main()
