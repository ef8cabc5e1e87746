// How dense.cuh has weights of its products where it computes them on tensor cores: as lanes read them, four numbers
// at once, and neighboring lanes side by side. Plain functions, for the host (dense_weights.h) and the device.
#pragma once

namespace so3krates {
namespace cuda {

// A few columns too many (the degrees of the exchange) would cost a tile of 16: they are left to lanes.
constexpr int denseRest(int outs) { return outs % 16 <= 4 ? outs % 16 : 0; }
constexpr int denseTiles(int outs) { return (outs - denseRest(outs) + 15) / 16; }
constexpr int denseSteps(int ins) { return (ins + 7) / 8; } // of 8 rows of weights
// Numbers of one matrix [ins][outs]: fragments [tile][step][lane][4], which are the A of multiplyTile() (tensor.cuh),
// its rows the tile's columns; then the rest's columns [rest][ins], and zeros up to whole fours.
constexpr int denseNumbers(int ins, int outs) {
    return denseTiles(outs) * denseSteps(ins) * 128 + (denseRest(outs) * ins + 3) / 4 * 4;
}
// Row and column of number q of a lane's four, from the fragment's first.
constexpr int denseRow(int lane, int q) { return lane % 4 + q / 2 * 4; }
constexpr int denseColumn(int lane, int q) { return lane / 4 + q % 2 * 8; }

} // namespace cuda
} // namespace so3krates
