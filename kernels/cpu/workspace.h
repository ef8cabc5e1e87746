#pragma once
// Memory behind an Evaluation: grows to the largest system seen and is reused from step to step.

#include <vector>

#include "cpu/buffer.h"
#include "cpu/evaluation.h"
#include "cpu/physics/long_range_terms.h"
#include "neighbors/neighbor_list.h"

namespace so3krates::cpu {

template <class T> struct LayerBuffers {
    Buffer<T> attention, qkSlope, filter[2], filterHiddenSlope, alpha, alphaSlope, evIn, evAttended, exchange, norm1,
        norm2, norm1InverseStd, norm2InverseStd, mlp1Slope, mlp1HiddenSlope, mlp2Slope, mlp2HiddenSlope;
};

// By place, see long_range_terms.h.
template <class T> struct LongRangeAtoms {
    Buffer<T> charge, ratio, freePolarizability, polarizability, alphaSquareOverC6;
};

template <class T> class Workspace {
public:
    explicit Workspace(const PackedModel<T> &model);
    // Points `evaluation` at memory for these lists, and works out tiles, slots and adjacency. firstLayerFromTables:
    // the first layer has no filters.
    void prepare(const System &system, const NeighborLists &lists, bool withGradient, bool firstLayerFromTables);
    Evaluation<T> evaluation;
    Buffer<T> initialFeatures;                               // [N][F]
    Buffer<double> chargeGradient, ratioGradient, zblEnergy; // [N], [N], [pairs]
    Buffer<LongRangeResult> longRange;                       // [N]
    LongRangeAtoms<T> longRangeAtoms;
    Buffer<double> strain; // [N][6] of the short range

private:
    void buildTiles(int numAtoms, const NeighborLists &lists);
    const PackedModel<T> &model;
    const size_t mostFilterBytes;
    std::vector<LayerBuffers<T>> layers;
    std::vector<LayerState<T>> states;
    Buffer<T> unit, cutoff, harmonics, harmonicsGradient, distanceGradient, pairGradient;
    Buffer<T> features, featureGradient, messageGradient, evGradient, slotGradients;
    Buffer<double> networkEnergy, pairShift, distance;
    Buffer<T> energySeed, rawCharge, hirshfeld, chargeSlope, hirshfeldSlope, hirshfeldSign;
    std::vector<int> slotI, slotJ, tilePair, tileSlot, adjacencyStart, adjacency, slotStart, slots, slotAtom, localSlot;
};

} // namespace so3krates::cpu
