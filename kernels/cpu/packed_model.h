#pragma once
// A model's weights in the order in which the CPU kernels read them.

#include <memory>
#include <vector>

#include "aligned_array.h"
#include "cpu/shape.h"
#include "model/model.h"
#include "radial/radial_basis.h"
#include "radial/radial_table.h"

namespace so3krates::cpu {

// y = W x + b. Weights in panels of two vectors (the last may be one): [panel][in][panel width].
template <class T> struct Dense {
    const T *weight = nullptr;
    const T *bias = nullptr; // [out], or null
    int in = 0, out = 0;     // out: padded to whole vectors
};

template <class T> struct LayerWeights {
    // Edge filters, m = 0 for x and 1 for ev. radial1's bias includes the spherical filter's, and in a layer whose
    // Euclidean variables are still zero the whole (constant) spherical filter.
    Dense<T> radial0[2], radial1[2];
    const T *table[2];       // [interval][order][block total]: both radial layers as a spline, radial1's bias included
    Dense<T> spherical0;     // squared differences per degree -> both hidden rows; 1/sqrt(2l+1) folded in
    const T *spherical0Rows; // the same, [degree][2 spherical], for the way back
    Dense<T> spherical1[2], spherical1Back[2];
    bool useSpherical = false; // false: radial only, or constant and folded

    // [q_x, k_x, v_x] of each head and [q_ev, k_ev] of each degree, width -> width; weight [matrix][block]
    const T *project[5]; // q_x, k_x, q_ev, k_ev, v_x: `count` packed matrices one after the other
    const T *projectBack[5];

    const T *norm1Weight, *norm1Bias, *norm2Weight, *norm2Bias; // null: no layer norm
    Dense<T> mlp1[2], mlp1Back[2], mlp2[2], mlp2Back[2];        // weight null: no residual MLP
    // [x, C(ev)] -> [F padded | D padded] and back [F | D] -> [x, C]
    Dense<T> exchange, exchangeBack;
};

template <class T> struct PackedModel {
    Shape shape;
    Activation activation, qkActivation, energyActivation;
    const RadialBasisFunctions *radialBasis;
    RadialGrid tableGrid; // no intervals: no table, the networks themselves
    CutoffFunction cutoffFunction;
    int cutoffExponent;
    bool euclideanFromNeighborhood;
    double cutoff, messageScale[2], neighborhoodScale;
    T contractionNorm[maxDegrees]; // 1/sqrt(2l+1)
    const T *degreeMask;           // [D][M padded] 1 at the components of a degree, else 0
    const LayerWeights<T> *layers;

    Dense<T> energyHidden, energyHiddenBack; // weight null: none
    const T *energyOut;                      // [energyHidden or F padded]
    T energyOutBias;
    bool hasCharges, hasHirshfeld;
    Dense<T> chargeHidden, chargeHiddenBack;
    const T *chargeOut;
    T chargeOutBias;
    Dense<T> hirshfeldHidden, hirshfeldHiddenBack;
    Dense<T> hirshfeldOut, hirshfeldOutBack;
    int elementRows;
    // per atomic number
    const T *energyScale, *chargeShift, *hirshfeldShift;
    const T *hirshfeldQuery; // [elementRows][hirshfeldPadded], 1/sqrt(F/2) folded in
    const double *energyShift;
};

ShapeNumbers shapeNumbers(const Hyperparameters &hyperparameters);

// What the packing needs to know of the instruction set.
struct VectorFormat {
    int lanes; // numbers of type T in a vector
};

template <class T> class PackedModelOwner {
public:
    // table: null, or the radial networks' splines to use in their place.
    PackedModelOwner(const Model &model, VectorFormat format, const RadialTable *table,
                     FirstLayer first = FirstLayer::ByModel);
    PackedModelOwner(const PackedModelOwner &) = delete;
    const PackedModel<T> &get() const { return packed; }

private:
    T *newArray(size_t size);
    double *newDoubles(size_t size);
    Dense<T> dense(const std::vector<double> &outIn, int in, int out, const std::vector<double> *bias);
    std::vector<AlignedArray<T>> arrays;
    std::vector<std::unique_ptr<double[]>> doubleArrays;
    std::vector<LayerWeights<T>> layers;
    PackedModel<T> packed;
    RadialBasisFunctions basis;
    int lanes;
};

} // namespace so3krates::cpu
