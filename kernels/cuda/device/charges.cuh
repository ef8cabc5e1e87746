// Charge conservation, and what the long range wants to know of each atom.
#pragma once

#include "cuda/device/math.cuh"
#include "cuda/device/molecule_total.cuh"
#include "cuda/device/shape.cuh"

namespace so3krates {
namespace cuda {

// q = raw + (Q - sum raw)/N per molecule; dipole q x; ratio and polarizability. A block of sumThreads threads or more
// per chunk of a molecule.
extern "C" __global__ void so3kConserveCharge(ChargeArguments<Real> a) {
    const int begin = a.chunkStarts[blockIdx.x], end = a.chunkStarts[blockIdx.x + 1], m = a.molecule[begin];
    double share = 0;
    if (a.rawCharge.values)
        share = (a.totalCharge[m] - moleculeTotal(a.rawCharge, m)) / moleculeSize(a.rawCharge, m);
    for (int i = begin + threadIdx.x; i < end; i += blockDim.x) {
        const double charge = a.rawCharge.values ? a.rawCharge.values[i] + share : 0;
        a.charge[i] = charge;
        a.chargeRounded[i] = Real(charge);
        for (int k = 0; k < 3; k++)
            a.dipole[3LL * i + k] = charge * a.positions[3LL * i + k];
        const Real ratio = a.hirshfeld ? a.hirshfeld[i] : Real(1);
        a.ratio[i] = ratio;
        a.hirshfeldRatio[i] = ratio;
        a.polarizability[i] = a.freePolarizability ? ratio * a.freePolarizability[a.species[i]] : Real(0);
    }
}

} // namespace cuda
} // namespace so3krates
