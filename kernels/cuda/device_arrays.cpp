#include "cuda/device_arrays.h"

#include "cuda/device/positions_arguments.h"

namespace so3krates::cuda {

void compute(DevicePotential &potential, Device &device, const System &system, const DeviceArrays &arrays,
             const Results &results) {
    device.checkAddress(arrays.positions, "positions");
    for (double *output : {arrays.forces, arrays.partialCharges, arrays.hirshfeldRatios})
        if (output)
            device.checkAddress(output, "the array for results");
    potential.prepare(system, arrays.forces, results.virials);
    const DeviceBuffers buffers = potential.buffers();
    PositionsArguments a{};
    a.source = static_cast<const char *>(arrays.positions);
    a.strides[0] = arrays.strides[0];
    a.strides[1] = arrays.strides[1];
    a.positions = buffers.positions;
    a.numAtoms = system.numAtoms;
    a.isSingle = arrays.isSingle;
    device.follow(arrays.stream);
    device.launch("so3kReadPositions", {unsigned((3 * size_t(a.numAtoms) + 127) / 128), 128, 0}, &a, sizeof a);
    do
        potential.enqueue();
    while (!potential.finish());
    const size_t bytes = sizeof(double) * system.numAtoms;
    if (arrays.forces)
        device.copy(arrays.forces, buffers.forces, 3 * bytes);
    if (arrays.partialCharges)
        device.copy(arrays.partialCharges, buffers.partialCharges, bytes);
    if (arrays.hirshfeldRatios)
        device.copy(arrays.hirshfeldRatios, buffers.hirshfeldRatios, bytes);
    potential.download(results); // waits for the copies, too
}

} // namespace so3krates::cuda
