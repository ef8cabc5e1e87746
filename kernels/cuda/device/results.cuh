// One molecule's results in the caller's arrays.
#pragma once

#include "cuda/device/math.cuh"
#include "cuda/device/results_arguments.h"

namespace so3krates {
namespace cuda {

__device__ inline void writeResult(void *array, long long place, double value, int isSingle) {
    if (isSingle)
        ((float *)array)[place] = float(value);
    else
        ((double *)array)[place] = value;
}

// Where the energy is no number, nothing is: the host may not be looking. One thread per component of the forces, and
// nine at least.
extern "C" __global__ void so3kWriteResults(ResultsArguments a) {
    const long long number = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    double energy = 0;
    for (int part = 0; part < a.numParts; part++)
        energy += a.parts[part];
    const bool usable = fabs(energy) < 1e300; // false for NaN
    if (number == 0)
        *a.energy = usable ? energy : notANumber();
    if (number < 3LL * a.numAtoms)
        writeResult(a.outForces, number, usable ? a.forces[number] : notANumber(), a.isSingle);
    if (number < a.numAtoms)
        writeResult(a.outCharges, number, usable ? a.charges[number] : notANumber(), a.isSingle);
    if (number < 9 && a.outVirial) {
        const int place[9] = {0, 5, 4, 5, 1, 3, 4, 3, 2};
        writeResult(a.outVirial, number, usable ? -a.strain[place[number]] : notANumber(), a.isSingle);
    }
}

} // namespace cuda
} // namespace so3krates
