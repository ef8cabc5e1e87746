#include "cuda/dense_weights.h"

#include <cstddef>

#include "cuda/device/dense_layout.h"

namespace so3krates::cuda {

std::vector<double> denseWeights(const std::vector<double> &weight, int blocks, int ins, int outs) {
    const int whole = outs - denseRest(outs), size = denseNumbers(ins, outs);
    std::vector<double> packed(size_t(blocks) * size);
    for (int b = 0; b < blocks; b++) {
        const double *from = &weight[size_t(b) * ins * outs];
        double *to = &packed[size_t(b) * size];
        for (int tile = 0; tile < denseTiles(outs); tile++)
            for (int step = 0; step < denseSteps(ins); step++)
                for (int lane = 0; lane < 32; lane++)
                    for (int q = 0; q < 4; q++) {
                        const int row = 8 * step + denseRow(lane, q), column = 16 * tile + denseColumn(lane, q);
                        *to++ = row < ins && column < whole ? from[row * outs + column] : 0;
                    }
        for (int column = whole; column < outs; column++)
            for (int row = 0; row < ins; row++)
                *to++ = from[row * outs + column];
    }
    return packed;
}

} // namespace so3krates::cuda
