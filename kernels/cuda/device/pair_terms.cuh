// The terms between pairs of atoms that no network computes: repulsion, electrostatics, dispersion.
#pragma once

#include "cuda/device/long_range.cuh"
#include "cuda/device/zbl.cuh"

namespace so3krates {
namespace cuda {

// Per receiver: energies (half of each pair), dE/dq, dE/dh; forces and strain (half) are written, not added to: of an
// evaluation's kernels with forces this is the first. A warp per receiver, lanes over its neighbors.
extern "C" __global__ void so3kPairTerms(PairArguments<Real> a) {
    const int lane = threadIdx.x % 32, i = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (i >= a.atoms.numAtoms)
        return;
    LongRangeSums<double> sums;
    if (a.zbl.energy) {
        const double energy = warpSum(zblOfLane(a.zbl, a.atoms, i, lane, sums.force, sums.strain));
        if (lane == 0)
            a.zbl.energy[i] = energy;
    }
    if (a.electrostatics || a.dispersion) {
        longRangeOfLane(a, i, lane, sums);
        const double electrostatics = warpSum(sums.electrostatics), dispersion = warpSum(sums.dispersion);
        const double charge = warpSum(sums.charge), ratio = warpSum(sums.ratio);
        if (lane == 0) {
            a.electrostaticEnergy[i] = electrostatics;
            a.dispersionEnergy[i] = dispersion;
            a.chargeGradient[i] = charge;
            a.ratioGradient[i] = ratio;
        }
    }
    for (int k = 0; k < 3 && a.forces; k++) {
        const double sum = warpSum(sums.force[k]);
        if (lane == 0)
            a.forces[3LL * i + k] = sum;
    }
    for (int k = 0; k < 6 && a.strain; k++) {
        const double sum = warpSum(sums.strain[k]);
        if (lane == 0)
            a.strain[6LL * i + k] = sum;
    }
}

} // namespace cuda
} // namespace so3krates
