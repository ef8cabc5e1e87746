#pragma once
// Neighbor lists made on the host and uploaded.

#include "cuda/buffer.h"
#include "cuda/device/arguments.h"
#include "neighbors/neighbor_list.h"

namespace so3krates::cuda {

class HostLists {
public:
    explicit HostLists(std::shared_ptr<Device> device);
    // Fills in what atoms says of positions and images, and both matrices. As NeighborLists::build; longCutoff 0 or
    // infinite: longRange.count is null.
    void build(const System &system, const std::vector<Box> &boxes, double shortCutoff, double longCutoff,
               ThreadTeam &team, Atoms &atoms, NeighborMatrix &edges, NeighborMatrix &longRange);

private:
    struct Entry {
        int sender, image;
    };
    struct Matrix {
        Buffer<int> count, senders, images;
        NeighborMatrix upload(const std::vector<std::vector<Entry>> &rows);
    };
    NeighborLists lists;
    Buffer<double> positions, wrapped, shifts;
    Buffer<int> firstImage, imageAtRest;
    Matrix edgeMatrix, longRangeMatrix;
};

} // namespace so3krates::cuda
