#pragma once
// Neighbor lists made on the device (device/neighbors.cuh), with a skin: pairs closer than cutoff + skin are kept until
// an atom has moved half the skin or a box changes. The lists do not depend on when that was.

#include <vector>

#include "cuda/buffer.h"
#include "cuda/device/neighbor_arguments.h"
#include "neighbors/box.h"
#include "potential.h"

namespace so3krates::cuda {

class DeviceNeighborLists {
public:
    struct Settings {
        double skin = 1;          // Å; 0: everything anew at every build
        int cellThreshold = 2048; // molecules with more atoms are searched by cells
        int firstCapacity = 64;   // entries per atom to begin with
    };
    explicit DeviceNeighborLists(std::shared_ptr<Device> device);
    DeviceNeighborLists(std::shared_ptr<Device> device, const Settings &settings);

    // Lists of neighbors closer than shortCutoff (edges) and longCutoff (far; 0 or infinite: far.count is null, in the
    // latter case all atoms of a molecule are neighbors). Cutoffs in Å, the short one finite. `atoms` comes with
    // numAtoms, numMolecules, molecule and offsets, and leaves with positions, wrapped, shifts, firstImage and
    // imageAtRest. Valid until the next build. Waits for the device once, or more often if rows turned out longer than
    // before. Throws InputError: positions that are not finite numbers below 1e8 Å, coincident atoms (closer than 1e-4
    // Å), a box too small for the cutoff.
    void build(const System &system, const std::vector<Box> &boxes, double shortCutoff, double longCutoff, Atoms &atoms,
               NeighborMatrix &edges, NeighborMatrix &far);

    // Of the last build.
    bool rebuilt() const { return anyRebuilt; } // the candidates were made anew
    int repeats() const { return repeated; }    // because rows did not fit
    const int *wraps() const {
        return arguments.wraps;
    } // on the device, [N][3]: box vectors added to the positions given
    const std::vector<SearchBox> &searchBoxes() const { return searchBoxesOnHost; }

private:
    struct Matrix {
        explicit Matrix(const std::shared_ptr<Device> &device) : count(device), senders(device), images(device) {}
        NeighborMatrix ensure(int numAtoms);
        bool grow(int needed); // false if it was large enough
        Buffer<int> count, senders, images;
        int capacity = 0;
    };
    struct Cells {
        explicit Cells(const std::shared_ptr<Device> &device)
            : cell(device), starts(device), cursor(device), atoms(device) {}
        Buffer<int> cell, starts, cursor, atoms;
    };
    // Whether boxes, molecules and cutoffs are those of the last build.
    bool sameSearch(const System &system, const std::vector<Box> &boxes, double shortCutoff, double longCutoff);
    void prepareBoxes(const std::vector<Box> &boxes, double cutoff);
    void allocate(const System &system);
    void enqueue();
    bool grow();
    void checkPositions() const;

    std::shared_ptr<Device> device;
    Settings settings;
    Buffer<double> positions, wrapped, shifts, oldPositions;
    Buffer<int> firstImage, imageAtRest, wrapCounts, oldWraps;
    Buffer<SearchBox> deviceBoxes;
    Buffer<ListStatus> deviceStatus;
    Matrix edges, far, candidates, unsorted;
    Cells cells;
    ListArguments arguments{};
    ListStatus status{};
    std::vector<SearchBox> searchBoxesOnHost;
    std::vector<double> lastSearch; // boxes and cutoffs the candidates were made for
    std::vector<int> lastOffsets;
    bool useCells = false; // for any molecule
    bool good = false;     // there are candidates, made for lastSearch and lastOffsets
    bool anyRebuilt = false;
    int repeated = 0;
};

} // namespace so3krates::cuda
