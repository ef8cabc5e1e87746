// Thread and feature: where in the x attention (m = 0, one block of features per head) and in the ev attention (m = 1,
// one block per degree) a thread of the attention kernels stands, and sums over the features of a block, for all edges
// of a group at once and always in the same order.
#pragma once

#include "cuda/device/edge_group.cuh"

namespace so3krates {
namespace cuda {

constexpr int blockThreads = attentionThreads(numFeatures, numHeads, numDegrees);
// Blocks that a multiprocessor is to hold at least: leaves 160 registers per thread, enough to spill none.
constexpr int processorBlocks = blockThreads < 384 ? 384 / blockThreads : 1;

template <int m> struct BlockLayout {
    static constexpr int count = m == 0 ? numHeads : numDegrees, width = numFeatures / count;
    static constexpr int stride = laneStride(width);
    static constexpr int segment = stride < 32 ? stride : 32; // threads that sum by shuffles
    static constexpr int parts = stride / segment;
};

struct Place {
    int block, feature; // valid numbers in idle threads, too
    bool active;
};

template <int m> __device__ inline Place placeOf(int thread) {
    using Layout = BlockLayout<m>;
    const int block = thread / Layout::stride, within = thread % Layout::stride;
    Place place;
    place.active = block < Layout::count && within < Layout::width;
    place.block = place.active ? block : 0;
    place.feature = place.active ? block * Layout::width + within : 0;
    return place;
}

// Sums of `values` over the lanes of each segment of 2 * offset threads, by exchange: while a lane has several edges it
// gives half of them away and takes the partner's share of the others, so that all edges cost little more shuffles than
// two. Afterwards values[0 .. max(1, groupEdges / segment)) are sums of the edges from `edge` on; equal in the lanes
// that differ in bits of `spare`.
template <int offset, int edges = groupEdges>
__device__ inline void sumLanes(Real (&values)[groupEdges], int &edge, int &spare) {
    if constexpr (offset > 0) {
        if constexpr (edges > 1) {
            const bool upper = threadIdx.x & offset;
#pragma unroll
            for (int e = 0; e < edges / 2; e++) {
                const Real given = upper ? values[e] : values[e + edges / 2];
                const Real kept = upper ? values[e + edges / 2] : values[e];
                values[e] = kept + __shfl_xor_sync(0xffffffffu, given, offset);
            }
            edge += upper ? edges / 2 : 0;
            sumLanes<offset / 2, edges / 2>(values, edge, spare);
        } else {
            values[0] += __shfl_xor_sync(0xffffffffu, values[0], offset);
            spare |= offset;
            sumLanes<offset / 2, 1>(values, edge, spare);
        }
    }
}

// Sums over segments of threads, in shared memory.
template <int segment> struct SegmentSums {
    alignas(16) Real part[blockThreads / segment][groupEdges];

    // By whole warps; complete after a barrier. Spoils values.
    __device__ void store(Real (&values)[groupEdges]) {
        int edge = 0, spare = 0;
        sumLanes<segment / 2>(values, edge, spare);
        if ((threadIdx.x & spare) == 0) {
#pragma unroll
            for (int e = 0; e < (groupEdges > segment ? groupEdges / segment : 1); e++)
                part[threadIdx.x / segment][edge + e] = values[e];
        }
    }
    __device__ Real sum(int first, int count, int e) const {
        Real sum = part[first][e];
        for (int k = 1; k < count; k++)
            sum += part[first + k][e];
        return sum;
    }
};

template <int m> struct BlockSums : SegmentSums<BlockLayout<m>::segment> {
    __device__ Real of(int block, int e) const {
        return this->sum(block * BlockLayout<m>::parts, BlockLayout<m>::parts, e);
    }
};

} // namespace cuda
} // namespace so3krates
