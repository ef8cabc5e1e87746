#pragma once
// Neighbors of one system's atoms as a list of edges in device memory.

#include <memory>

#include "cuda/buffer.h"
#include "cuda/neighbor_lists.h"

namespace so3krates::cuda {

class EdgeList {
public:
    explicit EdgeList(std::shared_ptr<Device> device);
    // Finds all pairs closer than the cutoff (Å) and returns how many there are, both directions counted. positions:
    // [N][3] Å in device memory, contiguous; cell: on the host, nine numbers, or null. Throws InputError: as
    // DeviceNeighborLists; more edges than an int counts.
    int find(int numAtoms, const double *positions, const double *cell, double cutoff);
    // Writes what find() found into device memory, sorted by receiver, sender and shift: receivers and senders [E],
    // shifts [E][3]. Waits for the end.
    void write(int *receivers, int *senders, int *shifts);

private:
    std::shared_ptr<Device> device;
    DeviceNeighborLists lists;
    Buffer<int> molecule, offsets, starts;
};

} // namespace so3krates::cuda
