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
        // By which share rows may grow, and boxes shrink, after accept() before an evaluation fails that nobody
        // watches.
        double headroom = 0;
    };
    explicit DeviceNeighborLists(std::shared_ptr<Device> device);
    DeviceNeighborLists(std::shared_ptr<Device> device, const Settings &settings);

    // Room for lists of neighbors closer than shortCutoff (edges) and longCutoff (far; 0 or infinite: far.count is
    // null, in the latter case all atoms of a molecule are neighbors). Cutoffs in Å, the short one finite. `atoms`
    // comes with numAtoms, numMolecules, atomicNumbers, molecule and offsets. offsets: [molecules+1], on the host.
    // Uploads what depends on the boxes if they changed. Throws InputError: a box too small for the cutoff.
    void prepare(const Atoms &atoms, const std::vector<int> &offsets, const std::vector<Box> &boxes, double shortCutoff,
                 double longCutoff);
    // [N][3] Å in device memory, to be written before enqueue().
    double *positions() const { return positionsGiven.get(); }
    // Whether prepare() for the atoms of the last one would have nothing to do; anyNumbers: except for boxes' new
    // numbers.
    bool isPrepared(const std::vector<Box> &boxes, bool anyNumbers) const;
    // [molecules][3][3] Å in device memory, to be written before enqueue() that takes boxes from there.
    double *boxVectors() const { return givenVectors.get(); }
    // Puts a build on the stream; neither allocates nor waits. withCells: periodic molecules have the boxes in
    // boxVectors() and not those of prepare(). watched: wait() and accept() will be called.
    void enqueue(bool withCells = false, bool watched = true);
    // What is put on the stream from now on may write to the status, as the next build does. After each enqueue().
    void join();
    // Waits for the last build, not for what was put on the stream after it. Once for each watched enqueue() that was
    // executed, by itself or in a replay. Throws DeviceError: the GPU tells nothing of it.
    const ListStatus &wait();
    // Builds that nobody has waited for are over and done with. Waits for the stream.
    void forget();
    // What it came to. False: rows did not fit and have been given more room; enqueue again. Throws InputError:
    // positions that are not finite numbers below 1e8 Å, coincident atoms (closer than 1e-4 Å).
    bool accept();
    // All of it with positions from the host, until everything fits.
    void build(const double *positionsOnHost);

    // Where the lists are: valid, as is a recorded enqueue(), until the generation changes.
    unsigned long generation() const { return generations; }
    const Atoms &atoms() const { return arguments.atoms; }
    const NeighborMatrix &edges() const { return arguments.edges; }
    const NeighborMatrix &far() const { return arguments.far; }
    const int *wraps() const { return arguments.wraps; }       // [N][3]: box vectors added to the positions given
    const SearchBox *boxes() const { return arguments.boxes; } // [molecules]
    const std::vector<SearchBox> &searchBoxes() const { return searchBoxesOnHost; }
    // What the kernels get: status and capacities.
    const ListArguments &lastArguments() const { return arguments; }
    // Of build().
    bool rebuilt() const { return anyRebuilt; } // the candidates were made anew
    int repeats() const { return repeated; }    // because rows did not fit

private:
    struct Matrix {
        explicit Matrix(const std::shared_ptr<Device> &device) : count(device), senders(device), images(device) {}
        NeighborMatrix ensure(int numAtoms);
        int reported(double headroom) const { return int(capacity / (1 + headroom)); } // longest row with headroom
        bool grow(int needed, double headroom);                                        // false if it is large enough
        Buffer<int> count, senders, images;
        int capacity = 0;
    };
    struct Cells {
        explicit Cells(const std::shared_ptr<Device> &device)
            : cell(device), starts(device), cursor(device), atoms(device) {}
        Buffer<int> cell, starts, cursor, atoms;
    };
    void uploadBoxes(const std::vector<Box> &boxes, const std::vector<int> &offsets);
    void allocate();
    void checkPositions() const;

    std::shared_ptr<Device> device;
    Settings settings;
    Buffer<double> positionsGiven, wrapped, shifts, oldPositions, givenVectors;
    Buffer<int> firstImage, imageAtRest, wrapCounts, oldWraps, stale;
    Buffer<SearchBox> deviceBoxes;
    Buffer<ListStatus> deviceStatus;
    std::unique_ptr<Notice> notice; // of the status
    bool isPosted = false;          // and not joined
    Matrix edgeRows, farRows, candidates, unsorted;
    Cells cells;
    ListArguments arguments{};
    ListStatus lastStatus{};
    std::vector<SearchBox> searchBoxesOnHost;
    // What everything was prepared for; no offsets: for nothing.
    std::vector<double> boxNumbers;
    bool boxesMayChange = false; // a recorded build takes them from device memory whenever it is replayed
    std::vector<int> lastOffsets;
    bool useCells = false; // for any molecule
    unsigned long generations = 0;
    bool anyRebuilt = false;
    int repeated = 0;
};

} // namespace so3krates::cuda
