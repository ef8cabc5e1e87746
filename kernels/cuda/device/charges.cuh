// Charge conservation, and what the long range wants to know of each atom.
#pragma once

#include "cuda/device/atom_arguments.h"
#include "cuda/device/math.cuh"
#include "cuda/device/shape.cuh"

namespace so3krates {
namespace cuda {

// q = raw + (Q - sum raw)/N per molecule; dipole q x; ratio and polarizability. A thread per atom, any launch size.
extern "C" __global__ void so3kConserveCharge(ChargeArguments<Real> a) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < a.numAtoms; i += gridDim.x * blockDim.x) {
        double charge = 0;
        if (a.rawCharge) {
            const int m = a.molecule[i];
            charge = a.rawCharge[i] + (a.totalCharge[m] - a.rawChargeSums[m]) / (a.offsets[m + 1] - a.offsets[m]);
        }
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
