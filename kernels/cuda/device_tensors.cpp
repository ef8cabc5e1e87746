#include "cuda/device_tensors.h"

#include <algorithm>

#include "cuda/device/positions_arguments.h"
#include "cuda/device/results_arguments.h"

namespace so3krates::cuda {

namespace {

// numbers: [rows][3]
void read(Device &device, const DeviceTensor &tensor, int rows, double *numbers) {
    PositionsArguments a{};
    a.source = static_cast<const char *>(tensor.data);
    a.strides[0] = tensor.strides[0];
    a.strides[1] = tensor.strides[1];
    a.positions = numbers;
    a.numAtoms = rows;
    a.isSingle = tensor.isSingle;
    device.launch("so3kReadPositions", {unsigned((3 * size_t(rows) + 127) / 128), 128, 0}, &a, sizeof a);
}

void readInputs(DevicePotential &potential, Device &device, const System &system, const DeviceTensors &tensors) {
    read(device, tensors.positions, system.numAtoms, potential.buffers().positions);
    if (tensors.cell.data)
        read(device, tensors.cell, 3, potential.buffers().cells);
}

void writeResults(const DevicePotential &potential, Device &device, const System &system,
                  const DeviceTensors &tensors) {
    const DeviceBuffers buffers = potential.buffers();
    ResultsArguments a{};
    a.parts = buffers.sums;
    a.numParts = DispersionEnergy + 1;
    a.strain = buffers.sums + Strain;
    a.forces = buffers.forces;
    a.charges = buffers.partialCharges;
    a.energy = tensors.energy;
    a.outForces = tensors.forces;
    a.outCharges = tensors.charges;
    a.outVirial = tensors.virial;
    a.numAtoms = system.numAtoms;
    a.isSingle = tensors.isSingle;
    const size_t numbers = std::max<size_t>(3 * size_t(system.numAtoms), 9);
    device.launch("so3kWriteResults", {unsigned((numbers + 127) / 128), 128, 0}, &a, sizeof a);
}

Enqueue how(const DeviceTensors &tensors, bool watched) {
    Enqueue how;
    how.withCells = tensors.cell.data;
    how.watched = watched;
    return how;
}

} // namespace

void compute(DevicePotential &potential, Device &device, const System &system, const DeviceTensors &tensors) {
    const void *const arrays[] = {tensors.positions.data, tensors.energy, tensors.forces, tensors.charges};
    for (const void *array : arrays)
        device.checkAddress(array, array == tensors.positions.data ? "positions" : "the array for results");
    if (tensors.cell.data)
        device.checkAddress(tensors.cell.data, "cell");
    potential.prepare(system, true, tensors.virial);
    device.follow(tensors.stream);
    readInputs(potential, device, system, tensors);
    // As in record(), so that all kernels are loaded when a graph is recorded after this.
    do
        potential.enqueue(how(tensors, true));
    while (!potential.finish());
    writeResults(potential, device, system, tensors);
    potential.download({}); // waits, and throws if the energy is no number
}

bool canRecord(const DevicePotential &potential, const System &system, const DeviceTensors &tensors) {
    System described = system;
    const double any[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    if (tensors.cell.data)
        described.cells = any;
    return potential.isPrepared(described, true, tensors.virial, tensors.cell.data);
}

void record(DevicePotential &potential, Device &device, const System &system, const DeviceTensors &tensors) {
    device.recordInto(tensors.stream, [&] {
        readInputs(potential, device, system, tensors);
        potential.enqueue(how(tensors, false));
        writeResults(potential, device, system, tensors);
    });
}

} // namespace so3krates::cuda
