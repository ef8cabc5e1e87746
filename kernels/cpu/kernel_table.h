#pragma once
// The kernels as the rest of the engine calls them. kernels.cpp is compiled once per instruction set and fills one
// table each; selectKernels picks the best this processor runs.

#include <cstddef>

#include "cpu/evaluation.h"
#include "cpu/physics/long_range_terms.h"
#include "cpu/physics/parameters.h"

namespace so3krates::cpu {

// Ranges are half open, [begin, end) or [begin, begin + n) with n <= atomBlock. scratch: one per thread.
template <class T> struct KernelTable {
    const char *name; // of the instruction set
    bool oneShape;    // for SO3LR's alone
    VectorFormat format;
    size_t (*scratchSize)(const PackedModel<T> &model); // numbers of type T
    void (*pairGeometry)(const Evaluation<T> &, int begin, int end);
    void (*initialEuclidean)(const Evaluation<T> &, int begin, int end);
    void (*project)(const Evaluation<T> &, int layer, int begin, int n);
    void (*firstLayerForward)(const Evaluation<T> &, int begin, int end);
    void (*attentionForward)(const Evaluation<T> &, int layer, int begin, int end, T *scratch);
    void (*atomForward)(const Evaluation<T> &, int layer, int begin, int n, T *scratch);
    void (*headsForward)(const Evaluation<T> &, int begin, int n, T *scratch);
    void (*headsBackward)(const Evaluation<T> &, int begin, int n, T *scratch);
    void (*atomBackward)(const Evaluation<T> &, int layer, int begin, int n, T *scratch);
    void (*attentionBackward)(const Evaluation<T> &, int layer, int tile, bool atoms, T *scratch);
    void (*collectGradients)(const Evaluation<T> &, int layer, int begin, int n, T *scratch);
    void (*initialEuclideanBackward)(const Evaluation<T> &, int begin, int end);
    void (*pairGradients)(const Evaluation<T> &, int begin, int end);
    double (*zblPair)(const ZblParameters &, const double *elementCharge, CutoffFunction, int exponent, double cutoff,
                      int zi, int zj, double d, double &slope);
    void (*longRangeAtom)(const LongRangeTerms<T> &, int place, const LongRangeNeighbors<T> &, bool strain,
                          LongRangeResult &);
};

// The best for this processor and a model of this shape. For tests, the environment variables SO3KRATES_CPU_ARCH
// (baseline, avx2, avx512) and SO3KRATES_CPU_SHAPE (any) choose otherwise.
template <class T> const KernelTable<T> &selectKernels(const ShapeNumbers &shape);

} // namespace so3krates::cpu
