#include "cuda/neighbor_lists.h"

#include <algorithm>
#include <cmath>

namespace so3krates::cuda {

namespace {

constexpr unsigned threads = 128;
constexpr int largestRange = 250; // packImage

unsigned blocksFor(size_t numThreads) { return unsigned((numThreads + threads - 1) / threads); }

// A little tolerance keeps pairs whose distance rounding takes to the other side of a bound.
SearchBox searchBox(const Box &box, double cutoff, bool useCells, int firstImage) {
    SearchBox search{};
    search.periodic = box.periodic;
    search.useCells = useCells;
    search.firstImage = firstImage;
    search.cellSize = std::max(cutoff, 0.1) * (1 + 1e-5);
    for (int k = 0; k < 3; k++) {
        search.cells[k] = search.cellReach[k] = 1;
        if (!box.periodic)
            continue;
        for (int x = 0; x < 3; x++) {
            search.vectors[k][x] = box.vectors[k][x];
            search.inverse[k][x] = box.inverse[k][x];
        }
        const double height = box.heights[k];
        search.reach[k] = cutoff / height;
        // Wrapped positions are less than one box vector apart.
        const double range = std::floor(search.reach[k] + 1e-6) + 1;
        if (range > largestRange)
            throw InputError("the box is too small for the cutoff: it would be seen " + std::to_string(largestRange) +
                             " times and more. Use several copies of the box, or a shorter cutoff");
        search.range[k] = int(range);
        search.cells[k] = std::max(1, int(std::min(height / search.cellSize, 1e6)));
        search.cellReach[k] = int(cutoff / (height / search.cells[k]) + 1e-6) + 1;
    }
    return search;
}

} // namespace

DeviceNeighborLists::DeviceNeighborLists(std::shared_ptr<Device> device)
    : DeviceNeighborLists(std::move(device), Settings()) {}

DeviceNeighborLists::DeviceNeighborLists(std::shared_ptr<Device> device, const Settings &settings)
    : device(device), settings(settings), positions(device), wrapped(device), shifts(device), oldPositions(device),
      firstImage(device), imageAtRest(device), wrapCounts(device), oldWraps(device), deviceBoxes(device),
      deviceStatus(device), edges(device), far(device), candidates(device), unsorted(device), cells(device) {
    edges.capacity = far.capacity = candidates.capacity = std::max(1, settings.firstCapacity);
}

NeighborMatrix DeviceNeighborLists::Matrix::ensure(int numAtoms) {
    const size_t entries = size_t(numAtoms) * capacity;
    NeighborMatrix matrix;
    matrix.count = count.ensure(numAtoms);
    matrix.senders = senders.ensure(entries);
    matrix.images = images.ensure(entries);
    matrix.capacity = capacity;
    return matrix;
}

bool DeviceNeighborLists::Matrix::grow(int needed) {
    if (needed <= capacity)
        return false;
    if (needed > 1 << 28)
        throw InputError("an atom has more than 2^28 neighbors: the box is too small for the cutoff");
    capacity = needed + needed / 8 + 4;
    return true;
}

bool DeviceNeighborLists::sameSearch(const System &system, const std::vector<Box> &boxes, double shortCutoff,
                                     double longCutoff) {
    std::vector<double> search{shortCutoff, longCutoff};
    for (const Box &box : boxes)
        for (int k = 0; k < 9; k++)
            search.push_back(box.vectors[k / 3][k % 3]);
    std::vector<int> offsets{0, system.numAtoms};
    if (system.offsets)
        offsets.assign(system.offsets, system.offsets + system.numMolecules + 1);
    const bool same = search == lastSearch && offsets == lastOffsets;
    lastSearch = std::move(search);
    lastOffsets = std::move(offsets);
    return same;
}

void DeviceNeighborLists::prepareBoxes(const std::vector<Box> &boxes, double cutoff) {
    std::vector<double> allShifts;
    std::vector<int> first, atRest;
    searchBoxesOnHost.clear();
    useCells = false;
    Images images;
    for (size_t m = 0; m < boxes.size(); m++) {
        const bool manyAtoms = lastOffsets[m + 1] - lastOffsets[m] > settings.cellThreshold;
        const SearchBox box = searchBox(boxes[m], cutoff, manyAtoms, int(allShifts.size() / 3));
        images.set(boxes[m], box.range);
        first.push_back(box.firstImage);
        atRest.push_back(images.index(0, 0, 0));
        allShifts.insert(allShifts.end(), images.shifts.begin(), images.shifts.end());
        searchBoxesOnHost.push_back(box);
        useCells = useCells || manyAtoms;
    }
    deviceBoxes.upload(searchBoxesOnHost);
    shifts.upload(allShifts);
    firstImage.upload(first);
    imageAtRest.upload(atRest);
}

// Arrays of the present sizes and capacities, into the arguments of the kernels.
void DeviceNeighborLists::allocate(const System &system) {
    const int N = system.numAtoms;
    ListArguments &a = arguments;
    a.atoms.wrapped = wrapped.ensure(3 * size_t(N));
    a.atoms.shifts = shifts.get();
    a.atoms.firstImage = firstImage.get();
    a.atoms.imageAtRest = imageAtRest.get();
    a.boxes = deviceBoxes.get();
    a.wraps = wrapCounts.ensure(3 * size_t(N));
    a.status = deviceStatus.ensure(1);
    a.edges = edges.ensure(N);
    a.far = a.farCutoff > 0 ? far.ensure(N) : NeighborMatrix();
    const NeighborMatrix kept = candidates.ensure(N);
    a.candidates = Candidates();
    a.candidates.count = kept.count;
    a.candidates.senders = kept.senders;
    a.candidates.images = kept.images;
    a.candidates.capacity = kept.capacity;
    a.candidates.positions = oldPositions.ensure(3 * size_t(N));
    a.candidates.wraps = oldWraps.ensure(3 * size_t(N));
    a.buckets = CellBuckets();
    if (!useCells)
        return;
    unsorted.capacity = candidates.capacity;
    const NeighborMatrix found = unsorted.ensure(N);
    a.candidates.unsortedSenders = found.senders;
    a.candidates.unsortedImages = found.images;
    a.buckets.numBuckets = 32;
    while (a.buckets.numBuckets < N)
        a.buckets.numBuckets *= 2;
    a.buckets.cell = cells.cell.ensure(3 * size_t(N));
    a.buckets.starts = cells.starts.ensure(size_t(a.buckets.numBuckets) + 1);
    a.buckets.cursor = cells.cursor.ensure(a.buckets.numBuckets);
    a.buckets.atoms = cells.atoms.ensure(N);
}

void DeviceNeighborLists::enqueue() {
    const ListArguments &a = arguments;
    const unsigned perAtom = blocksFor(a.atoms.numAtoms), perWarp = blocksFor(32 * size_t(a.atoms.numAtoms));
    auto launch = [&](const char *kernel, unsigned blocks, unsigned size) {
        device->launch(kernel, {blocks, size, 0}, &a, sizeof a);
    };
    device->clear(a.status, sizeof(ListStatus));
    launch("so3kWrapAtoms", perAtom, threads);
    if (useCells) {
        device->clear(a.buckets.starts, sizeof(int) * (size_t(a.buckets.numBuckets) + 1));
        device->clear(a.buckets.cursor, sizeof(int) * size_t(a.buckets.numBuckets));
        launch("so3kCountCells", perAtom, threads);
        launch("so3kScanCells", 1, std::min(1024, a.buckets.numBuckets));
        launch("so3kFillCells", perAtom, threads);
    }
    launch("so3kFindCandidates", perWarp, threads);
    if (useCells)
        launch("so3kSortCandidates", perWarp, threads);
    launch("so3kCompact", perWarp, threads);
}

void DeviceNeighborLists::checkPositions() const {
    if (status.badAtom)
        throw InputError("the position of atom " + std::to_string(arguments.atoms.numAtoms - status.badAtom) +
                         " (counted from 0) is not a finite number below 1e8 Å");
    if (status.coincident) {
        const unsigned long long pair = ~status.coincident;
        const int i = int(pair >> 32), j = int(pair & 0xffffffff);
        throw InputError("atoms " + std::to_string(std::min(i, j)) + " and " + std::to_string(std::max(i, j)) +
                         " (counted from 0) are at the same place, as they are or as one another's periodic image: "
                         "their repulsion is infinite. Move one of them");
    }
}

bool DeviceNeighborLists::grow() {
    const bool moreCandidates = candidates.grow(status.candidatesNeeded);
    const bool moreEdges = edges.grow(status.edgesNeeded), moreFar = far.grow(status.farNeeded);
    return moreCandidates || moreEdges || moreFar;
}

void DeviceNeighborLists::build(const System &system, const std::vector<Box> &boxes, double shortCutoff,
                                double longCutoff, Atoms &atoms, NeighborMatrix &edgeList, NeighborMatrix &farList) {
    ListArguments &a = arguments;
    const bool known = sameSearch(system, boxes, shortCutoff, longCutoff) && good;
    good = false; // until all of it is done
    a.shortCutoff = shortCutoff;
    a.farCutoff = std::isinf(longCutoff) ? 0 : longCutoff;
    // The factor: with no skin, too, a candidate is never lost to rounding.
    a.candidateCutoff = (std::max(a.shortCutoff, a.farCutoff) + settings.skin) * (1 + 1e-9);
    a.largestMove = settings.skin / 2 * (1 - 1e-9);
    if (!known)
        prepareBoxes(boxes, a.candidateCutoff);
    a.atoms = atoms;
    a.atoms.positions = positions.upload(system.positions, 3 * size_t(system.numAtoms));
    a.force = !known || settings.skin <= 0;
    repeated = 0;
    anyRebuilt = false;
    for (bool again = true; again; repeated += again) {
        allocate(system);
        enqueue();
        device->download(&status, a.status, sizeof status);
        checkPositions();
        again = grow();
        a.force = a.force || status.candidatesNeeded; // they are incomplete
        anyRebuilt = anyRebuilt || status.rebuilt;
    }
    good = true;
    atoms = a.atoms;
    edgeList = a.edges;
    farList = a.far;
}

} // namespace so3krates::cuda
