#pragma once
// The way of a region's positions and forces between OpenMM's arrays on a device, which are in OpenMM's order, units
// and precision, and plain arrays in the order of the force's atoms: [atoms][3] in Å and eV/Å.
//
// Written against OpenMM's common compute layer: OpenMM compiles one text for CUDA, HIP and OpenCL.

#include <string>
#include <vector>

#include "openmm/common/ComputeArray.h"
#include "openmm/common/ComputeContext.h"
#include "openmm/common/ComputeKernel.h"
#include "region.h"

namespace SO3kratesPlugin {

class RegionArrays {
public:
    // Refuses Contexts spread over several devices. OpenMM's context must be current, now and in all calls.
    RegionArrays(OpenMM::ComputeContext &context, const Region &region);

    // Type of the numbers in the plain arrays: 8 bytes, or 4 if the device knows no double precision.
    int numberBytes() const { return bytes; }
    // Memory: an ArrayInterface, or an address in the device's memory (CUDA, HIP).
    // The positions are of one periodic image per molecule, and of the same one for the whole region if that is not
    // periodic; not necessarily the image that a State shows.
    template <class Memory> void gather(Memory &&positions) {
        gatherKernel->setArg(gatherTarget, positions);
        gatherKernel->execute(numAtoms);
    }
    // Adds forces times factor to OpenMM's.
    template <class Memory> void scatter(Memory &&forces, double factor) {
        scatterKernel->setArg(scatterSource, forces);
        setFactor(factor);
        scatterKernel->execute(numAtoms);
    }

private:
    void setFactor(double factor);
    int numAtoms, bytes;
    int gatherTarget = 0, scatterSource = 0, scatterFactor = 0; // places of the kernels' arguments
    OpenMM::ComputeArray rowOfParticle;                         // [particles]: place in the region, or -1
    OpenMM::ComputeKernel gatherKernel, scatterKernel;
};

} // namespace SO3kratesPlugin
