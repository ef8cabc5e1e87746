#include "cuda/neighbor_lists.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

namespace so3krates::cuda {

namespace {

constexpr unsigned threads = 128;
constexpr int mostInOneBlock = 1024; // threads, on every GPU
constexpr int largestRange = 250;    // packImage

unsigned blocksFor(size_t numThreads) { return unsigned((numThreads + threads - 1) / threads); }

// Box vectors to the images that a sender can have, wrapped positions being less than one apart.
double rangeOf(double reach) { return std::floor(reach + 1e-6) + 1; }

// A little tolerance keeps pairs whose distance rounding takes to the other side of a bound.
SearchBox searchBox(const Box &box, double cutoff, bool useCells, int firstImage, double headroom) {
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
        const double range = rangeOf(search.reach[k]);
        if (range > largestRange)
            throw InputError("the box is too small for the cutoff: it would be seen " + std::to_string(largestRange) +
                             " times and more. Use several copies of the box, or a shorter cutoff");
        search.range[k] = int(range);
        search.cells[k] = std::max(1, int(std::min(height / search.cellSize, 1e6)));
        search.cellReach[k] = int(cutoff / (height / search.cells[k]) + 1e-6) + 1;
    }
    double ranges[3], images = 1;
    for (int k = 0; k < 3; k++) {
        ranges[k] = rangeOf(search.reach[k] * (1 + headroom));
        images *= 2 * ranges[k] + 1;
    }
    if (box.periodic && images < 1e5) // a box with more of them is small beyond use: no headroom for it
        for (int k = 0; k < 3; k++)
            search.range[k] = int(ranges[k]);
    return search;
}

} // namespace

DeviceNeighborLists::DeviceNeighborLists(std::shared_ptr<Device> device)
    : DeviceNeighborLists(std::move(device), Settings()) {}

DeviceNeighborLists::DeviceNeighborLists(std::shared_ptr<Device> device, const Settings &settings)
    : device(device), settings(settings), positionsGiven(device), wrapped(device), shifts(device), oldPositions(device),
      givenVectors(device), firstImage(device), imageAtRest(device), wrapCounts(device), oldWraps(device),
      stale(device), deviceBoxes(device), deviceStatus(device), notice(device->notice(sizeof(ListStatus))),
      edgeRows(device), farRows(device), candidates(device), unsorted(device), cells(device) {
    edgeRows.capacity = farRows.capacity = candidates.capacity = std::max(1, settings.firstCapacity);
    arguments.status = deviceStatus.ensure(1);
    device->clear(arguments.status, sizeof(ListStatus));
}

NeighborMatrix DeviceNeighborLists::Matrix::ensure(int numAtoms) {
    const size_t entries = size_t(numAtoms) * capacity;
    NeighborMatrix matrix = NeighborMatrix(); // padding included
    matrix.count = count.ensure(numAtoms);
    matrix.senders = senders.ensure(entries);
    matrix.images = images.ensure(entries);
    matrix.capacity = capacity;
    return matrix;
}

bool DeviceNeighborLists::Matrix::grow(int needed, double headroom) {
    if (needed <= reported(headroom))
        return false;
    if (needed > 1 << 28)
        throw InputError("an atom has more than 2^28 neighbors: the box is too small for the cutoff");
    capacity = int((needed + needed / 8 + 4) * (1 + headroom));
    return true;
}

void DeviceNeighborLists::prepare(const Atoms &atoms, const std::vector<int> &offsets, const std::vector<Box> &boxes,
                                  double shortCutoff, double longCutoff) {
    ListArguments &a = arguments;
    const double farCutoff = std::isinf(longCutoff) ? 0 : longCutoff;
    std::vector<double> numbers;
    for (const Box &box : boxes)
        numbers.insert(numbers.end(), box.vectors[0], box.vectors[0] + 9);
    const bool sameAtoms = !lastOffsets.empty() && offsets == lastOffsets && shortCutoff == a.shortCutoff &&
                           farCutoff == a.farCutoff && atoms.molecule == a.atoms.molecule &&
                           atoms.offsets == a.atoms.offsets && atoms.atomicNumbers == a.atoms.atomicNumbers;
    if (sameAtoms && numbers == boxNumbers && !boxesMayChange)
        return;
    boxNumbers.clear(); // until all of it is done
    boxesMayChange = false;
    if (!sameAtoms) {
        lastOffsets.clear();
        a.atoms = atoms;
        a.shortCutoff = shortCutoff;
        a.farCutoff = farCutoff;
        // The factor: with no skin, too, a candidate is never lost to rounding.
        a.candidateCutoff = (std::max(shortCutoff, farCutoff) + settings.skin) * (1 + 1e-9);
        const double move = settings.skin / 2 * (1 - 1e-9);
        a.largestMoveSquared = settings.skin > 0 ? move * move : -1;
    }
    uploadBoxes(boxes, offsets);
    if (!sameAtoms || shifts.get() != a.atoms.shifts)
        allocate();
    if (!sameAtoms)
        device->clear(a.status, offsetof(ListStatus, builds));
    const int yes = 1;
    stale.upload(&yes, 1);
    lastOffsets = offsets;
    boxNumbers = std::move(numbers);
}

void DeviceNeighborLists::uploadBoxes(const std::vector<Box> &boxes, const std::vector<int> &offsets) {
    std::vector<double> allShifts;
    std::vector<int> first, atRest;
    searchBoxesOnHost.clear();
    useCells = false;
    Images images;
    for (size_t m = 0; m < boxes.size(); m++) {
        const bool manyAtoms = offsets[m + 1] - offsets[m] > settings.cellThreshold;
        const SearchBox box =
            searchBox(boxes[m], arguments.candidateCutoff, manyAtoms, int(allShifts.size() / 3), settings.headroom);
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
void DeviceNeighborLists::allocate() {
    ListArguments &a = arguments;
    const int N = a.atoms.numAtoms;
    generations++;
    a.atoms.positions = positionsGiven.ensure(3 * size_t(N));
    a.atoms.wrapped = wrapped.ensure(3 * size_t(N));
    a.atoms.shifts = shifts.get();
    a.atoms.firstImage = firstImage.get();
    a.atoms.imageAtRest = imageAtRest.get();
    a.boxes = deviceBoxes.get();
    a.wraps = wrapCounts.ensure(3 * size_t(N));
    a.stale = stale.ensure(1);
    givenVectors.ensure(9 * size_t(a.atoms.numMolecules));
    a.edges = edgeRows.ensure(N);
    a.far = a.farCutoff > 0 ? farRows.ensure(N) : NeighborMatrix();
    const NeighborMatrix kept = candidates.ensure(N);
    a.candidates = Candidates();
    a.candidates.count = kept.count;
    a.candidates.senders = kept.senders;
    a.candidates.images = kept.images;
    a.candidates.capacity = kept.capacity;
    a.candidates.positions = oldPositions.ensure(3 * size_t(N));
    a.candidates.wraps = oldWraps.ensure(3 * size_t(N));
    a.reportedCandidates = candidates.reported(settings.headroom);
    a.reportedEdges = edgeRows.reported(settings.headroom);
    a.reportedFar = farRows.reported(settings.headroom);
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

bool DeviceNeighborLists::isPrepared(const std::vector<Box> &boxes, bool anyNumbers) const {
    if (lastOffsets.empty() || boxes.size() != searchBoxesOnHost.size() || boxNumbers.size() != 9 * boxes.size())
        return false;
    for (size_t m = 0; m < boxes.size(); m++)
        if (boxes[m].periodic != bool(searchBoxesOnHost[m].periodic) || (!anyNumbers && boxesMayChange) ||
            (!anyNumbers && !std::equal(boxes[m].vectors[0], boxes[m].vectors[0] + 9, &boxNumbers[9 * m])))
            return false;
    return true;
}

void DeviceNeighborLists::enqueue(bool withCells, bool watched) {
    ListArguments &a = arguments;
    const unsigned perAtom = blocksFor(a.atoms.numAtoms), perWarp = blocksFor(32 * size_t(a.atoms.numAtoms));
    a.clears = a.atoms.numAtoms <= mostInOneBlock && !withCells; // so3kTakeBoxes reports, too
    auto launch = [&](const char *kernel, unsigned blocks, unsigned size) {
        device->launch(kernel, {blocks, size, 0}, &a, sizeof a);
    };
    if (!a.clears)
        device->clear(a.status, offsetof(ListStatus, nonFiniteEnergy));
    if (withCells) {
        boxesMayChange = boxesMayChange || !watched;
        BoxArguments b{};
        b.cells = givenVectors.get();
        b.boxes = deviceBoxes.get();
        b.shifts = shifts.get();
        b.stale = a.stale;
        b.status = a.status;
        b.candidateCutoff = a.candidateCutoff;
        device->launch("so3kTakeBoxes", {unsigned(a.atoms.numMolecules), threads, 0}, &b, sizeof b);
    }
    if (a.clears)
        launch("so3kWrapAtoms", a.atoms.numAtoms > 0, perAtom * threads);
    else
        launch("so3kWrapAtoms", perAtom, threads);
    if (useCells) {
        device->clear(a.buckets.starts, sizeof(int) * (size_t(a.buckets.numBuckets) + 1));
        device->clear(a.buckets.cursor, sizeof(int) * size_t(a.buckets.numBuckets));
        launch("so3kCountCells", perAtom, threads);
        launch("so3kScanCells", 1, std::min(1024, a.buckets.numBuckets));
        launch("so3kFillCells", perAtom, threads);
    }
    launch("so3kListNeighbors", perWarp, threads);
    isPosted = watched;
    if (watched)
        notice->post(a.status);
}

void DeviceNeighborLists::join() {
    if (isPosted)
        notice->join();
    isPosted = false;
}

void DeviceNeighborLists::checkPositions() const {
    if (lastStatus.badAtom)
        throw InputError("the position of atom " + std::to_string(arguments.atoms.numAtoms - lastStatus.badAtom) +
                         " (counted from 0) is not a finite number below 1e8 Å");
    if (lastStatus.coincident) {
        const unsigned long long pair = ~lastStatus.coincident;
        const int i = int(pair >> 32), j = int(pair & 0xffffffff);
        throw InputError("atoms " + std::to_string(std::min(i, j)) + " and " + std::to_string(std::max(i, j)) +
                         " (counted from 0) are at the same place, as they are or as one another's periodic image: "
                         "their repulsion is infinite. Move one of them");
    }
}

const ListStatus &DeviceNeighborLists::wait() {
    const ListStatus *told = static_cast<const ListStatus *>(notice->wait());
    // Numbers may wrap around, and builds that nobody watched have been counted (forget()) but not told of.
    const auto isNew = [&] { return int(told->builds - lastStatus.builds) > 0; };
    if (!isNew() && arguments.atoms.numAtoms > 0) {
        device->synchronize(); // the event was that of a build before
        if (!isNew())
            throw DeviceError(
                "the GPU has told nothing of this evaluation, though all its work is done: its driver does "
                "not do what a CUDA graph holds. Set SO3KRATES_CUDA_GRAPHS=0, update the driver, and "
                "please report this");
    }
    std::memcpy(&lastStatus, told, sizeof lastStatus);
    return lastStatus;
}

void DeviceNeighborLists::forget() {
    join();
    device->download(&lastStatus, arguments.status, sizeof lastStatus);
}

bool DeviceNeighborLists::accept() {
    checkPositions();
    const double headroom = settings.headroom;
    const bool moreCandidates = candidates.grow(lastStatus.candidatesNeeded, headroom);
    const bool moreEdges = edgeRows.grow(lastStatus.edgesNeeded, headroom);
    const bool moreFar = farRows.grow(lastStatus.farNeeded, headroom);
    if (!moreCandidates && !moreEdges && !moreFar)
        return true;
    // If memory is short, prepare() must begin anew: what has been released may not be used, nor taken for large
    // enough.
    std::vector<int> offsets = std::move(lastOffsets);
    lastOffsets.clear();
    allocate();
    if (moreCandidates) {
        const int yes = 1;
        stale.upload(&yes, 1);
    }
    lastOffsets = std::move(offsets);
    return false;
}

void DeviceNeighborLists::build(const double *positionsOnHost) {
    positionsGiven.upload(positionsOnHost, 3 * size_t(arguments.atoms.numAtoms));
    repeated = 0;
    anyRebuilt = false;
    for (bool again = true; again; repeated += again) {
        enqueue();
        join();
        anyRebuilt = wait().rebuilt || anyRebuilt;
        again = !accept();
    }
}

} // namespace so3krates::cuda
