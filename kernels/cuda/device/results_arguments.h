// See results.cuh.
#pragma once

namespace so3krates {
namespace cuda {

struct ResultsArguments {
    const double *parts;                      // the molecule's energies, numParts of them, eV
    const double *strain;                     // minus the virial: xx, yy, zz, yz, xz, xy; eV
    const double *forces;                     // [N][3] eV/Å
    const double *charges;                    // [N] e
    double *energy;                           // written
    void *outForces, *outCharges, *outVirial; // [N][3], [N], [3][3] or null: written, float or double
    int numAtoms, numParts;
    int isSingle; // they are float
    int unused;   // as in NeighborMatrix
};

} // namespace cuda
} // namespace so3krates
