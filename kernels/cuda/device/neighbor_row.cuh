// A receiver's row of candidates: how images are packed, and how entries are counted and written.
#pragma once

#include "cuda/device/neighbor_arguments.h"

namespace so3krates {
namespace cuda {

// Box vectors n added to a sender's wrapped position, 10 bits each; the numbers have the order of (n0, n1, n2). The
// host sees to |n| < 256, so that the difference of two wraps still fits.
__device__ inline int packImage(int n0, int n1, int n2) { return ((n0 + 512) * 1024 + n1 + 512) * 1024 + n2 + 512; }

// The image of a candidate in this step's wraps, as an index into the molecule's shifts; -1 if it has none and is thus
// outside every cutoff. Wraps change by the same for all images of a sender: the order of the row stays. wraps: when
// the candidates were made.
__device__ inline int imageOfStep(const ListArguments &a, const SearchBox &box, const int *wraps, int i, int j,
                                  int packed) {
    int index = 0;
    for (int k = 0; k < 3; k++) {
        const long long atI = 3LL * i + k, atJ = 3LL * j + k;
        const int sinceI = a.wraps[atI] - wraps[atI], sinceJ = a.wraps[atJ] - wraps[atJ];
        const int n = (packed >> (20 - 10 * k) & 1023) - 512 + sinceI - sinceJ;
        if (n < -box.range[k] || n > box.range[k])
            return -1;
        index = index * (2 * box.range[k] + 1) + n + box.range[k];
    }
    return index;
}

// Whether the vector r plus n box vectors is short enough. Entries are counted and then written: both must find the
// same, so the compiler may not round it in two ways.
__device__ inline bool isCandidate(const ListArguments &a, const SearchBox &box, const double r[3], int n0, int n1,
                                   int n2) {
    const double n[3] = {double(n0), double(n1), double(n2)};
    double square = 0;
    for (int k = 0; k < 3; k++) {
        const double x = fma(n[0], box.vectors[0][k], fma(n[1], box.vectors[1][k], fma(n[2], box.vectors[2][k], r[k])));
        square = fma(x, x, square);
    }
    return square < a.candidateCutoff * a.candidateCutoff;
}

// Counts entries and writes those that fit: entry e goes to first + e if that is below end.
struct RowWriter {
    int *senders, *images;
    int first, end, count;
    __device__ void add(int sender, int image) {
        const int place = first + count++;
        if (place < end) {
            senders[place] = sender;
            images[place] = image;
        }
    }
};

} // namespace cuda
} // namespace so3krates
