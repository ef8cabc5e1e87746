#include "cuda/workspace.h"

namespace so3krates::cuda {

template <class T>
Workspace<T>::Workspace(const Hyperparameters &hyper, std::shared_ptr<Device> device)
    : layers(hyper.numLayers), hyper(hyper), pool(device), doubles(device) {}

template <class T>
void Workspace<T>::prepare(size_t N, size_t numMolecules, size_t numChunks, bool gradient, bool strain) {
    const size_t F = hyper.numFeatures, M = hyper.numEuclidean(), D = hyper.numDegrees();
    const size_t hirshfeldHidden = hyper.hirshfeldRatios ? F / 2 : 0;
    pool.rewind();
    doubles.rewind();
    auto backward = [&](size_t size) { return pool.take(gradient ? size : 0); };
    for (LayerState<T> &state : layers) {
        // The first layer's are kept for as long as the composition stays the same, so they must not come and go.
        T **const projections[5] = {&state.queryX, &state.keyX, &state.valueX, &state.queryEv, &state.keyEv};
        T **const slopes[4] = {&state.queryXSlope, &state.keyXSlope, &state.queryEvSlope, &state.keyEvSlope};
        for (T **projection : projections)
            *projection = pool.take(N * F);
        for (T **slope : slopes)
            *slope = pool.take(hyper.qkActivation != Activation::Identity ? N * F : 0);
        state.evIn = pool.take(N * M);
        state.evAttended = pool.take(N * M);
        state.exchange = pool.take(N * D);
        state.norm1 = backward(hyper.layerNorm1 ? N * F : 0);
        state.norm1InverseStd = backward(hyper.layerNorm1 ? N : 0);
        state.norm2 = backward(hyper.layerNorm2 ? N * F : 0);
        state.norm2InverseStd = backward(hyper.layerNorm2 ? N : 0);
        state.mlp1Slope = backward(hyper.residualMlp1 ? N * F : 0);
        state.mlp1HiddenSlope = backward(hyper.residualMlp1 ? N * F : 0);
        state.mlp2Slope = backward(hyper.residualMlp2 ? N * F : 0);
        state.mlp2HiddenSlope = backward(hyper.residualMlp2 ? N * F : 0);
    }
    heads.energySeed = backward(N * F);
    heads.chargeSlope = backward(hyper.partialCharges ? N * F : 0);
    heads.hirshfeldSlope = backward(N * hirshfeldHidden);
    heads.hirshfeldSign = backward(hirshfeldHidden ? N : 0);
    features = pool.take(N * F);
    featureGradient = backward(N * F);
    evGradient = backward(N * M);
    evInGradient = backward(N * M);
    queryXGradient = backward(N * F);
    keyXGradient = backward(N * F);
    valueXGradient = backward(N * F);
    queryEvGradient = backward(N * F);
    keyEvGradient = backward(N * F);
    hirshfeld = pool.take(hirshfeldHidden ? N : 0);
    charge = pool.take(N);
    ratio = pool.take(N);
    polarizability = pool.take(N);
    const bool longRange = hyper.electrostatics || hyper.dispersion;
    networkEnergy = doubles.take(N);
    zblEnergy = doubles.take(hyper.zbl ? N : 0);
    electrostaticEnergy = doubles.take(longRange ? N : 0);
    dispersionEnergy = doubles.take(longRange ? N : 0);
    rawCharge = doubles.take(hyper.partialCharges ? N : 0);
    charges = doubles.take(N);
    hirshfeldRatios = doubles.take(N);
    dipoles = doubles.take(3 * N);
    chargeGradient = doubles.take(longRange ? N : 0);
    ratioGradient = doubles.take(longRange ? N : 0);
    forces = doubles.take(gradient ? 3 * N : 0);
    this->strain = doubles.take(strain ? 6 * N : 0);
    chunkSums = doubles.take(numChunks * maxSumColumns);
    moleculeSums = doubles.take(numMolecules * maxSumColumns);
}

template class Workspace<float>;
template class Workspace<double>;

} // namespace so3krates::cuda
