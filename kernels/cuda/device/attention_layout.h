// How the attention kernels lay features on threads and how many edges they take at once. For the host (launch sizes)
// and the device.
#pragma once

namespace so3krates {
namespace cuda {

// Threads that a block of `width` features (a head of the x attention, a degree of the ev attention) occupies: a power
// of two, or whole warps, so that the block's sums never cross the border of a warp unless they fill warps.
constexpr int laneStride(int width) {
    int stride = 1;
    while (stride < width && stride < 32)
        stride *= 2;
    return width <= 32 ? stride : (width + 31) / 32 * 32;
}

// Threads per receiver: one for each feature in either layout, whole warps, at least two. A GPU allows 1024: shapes
// beyond that cannot run.
constexpr int attentionThreads(int features, int heads, int degrees) {
    const int x = heads * laneStride(features / heads), ev = degrees * laneStride(features / degrees);
    const int threads = ((x > ev ? x : ev) + 31) / 32 * 32;
    return threads < 64 ? 64 : threads;
}

// Edges handled at once: 8, or fewer if their work space would not fit in the 48 kB of shared memory that every GPU
// gives a block.
constexpr int attentionGroupEdges(int features, int heads, int degrees, int euclidean, int radial, int bytesPerNumber) {
    const int threads = attentionThreads(features, heads, degrees);
    // radial network and gradients of the filters, hidden units of the spherical filters, sums, harmonics
    const int sums = 3 * threads / laneStride(features / heads) + 2 * threads / laneStride(features / degrees);
    const int numbers = 2 * radial + 5 * features + sums + euclidean + 64;
    int edges = 8;
    while (edges > 1 && edges * numbers * bytesPerNumber > 44 * 1024)
        edges /= 2;
    return edges;
}

} // namespace cuda
} // namespace so3krates
