#pragma once
// Everything one evaluation writes in device memory.

#include "cuda/buffer_pool.h"
#include "cuda/device/atom_arguments.h"
#include "model/model.h"

namespace so3krates::cuda {

template <class T> class Workspace {
public:
    Workspace(const Hyperparameters &hyper, std::shared_ptr<Device> device);
    // Sizes everything for N atoms in B molecules with this many chunks of atoms. Without gradient, what only the way
    // back needs is null.
    void prepare(size_t numAtoms, size_t numMolecules, size_t numChunks, bool gradient, bool strain);
    // How often one of the arrays below has got another address than it had.
    unsigned long moved() const { return pool.moved() + doubles.moved(); }

    std::vector<LayerState<T>> layers;
    HeadState<T> heads;
    T *features, *featureGradient, *evGradient, *evInGradient;
    T *queryXGradient, *keyXGradient, *valueXGradient, *queryEvGradient, *keyEvGradient;
    T *hirshfeld, *charge, *ratio, *polarizability; // [N]
    // per atom
    double *networkEnergy, *zblEnergy, *electrostaticEnergy, *dispersionEnergy;
    double *rawCharge, *charges, *hirshfeldRatios, *dipoles, *chargeGradient, *ratioGradient;
    double *forces, *strain;          // [N][3], [N][6] or null
    double *chunkSums, *moleculeSums; // [chunks][maxSumColumns], [molecules][NumMoleculeSums]

private:
    const Hyperparameters &hyper;
    BufferPool<T> pool;
    BufferPool<double> doubles;
};

} // namespace so3krates::cuda
