#include "cuda/edge_list.h"

#include <limits>

#include "cuda/device/edge_list.h"

namespace so3krates::cuda {

EdgeList::EdgeList(std::shared_ptr<Device> device)
    : device(device), lists(device, {0, 2048, 64}), molecule(device), offsets(device), starts(device) {}

int EdgeList::find(int numAtoms, const double *positions, const double *cell, double cutoff) {
    const size_t N = numAtoms;
    Atoms atoms{};
    atoms.numAtoms = numAtoms;
    atoms.numMolecules = 1;
    atoms.molecule = molecule.upload(std::vector<int>(N, 0));
    atoms.offsets = offsets.upload(std::vector<int>{0, numAtoms});
    lists.prepare(atoms, {0, numAtoms}, {Box::from(cell)}, cutoff, 0);
    device->copy(lists.positions(), positions, 3 * sizeof(double) * N);
    do {
        lists.enqueue();
        lists.join();
        lists.wait();
    } while (!lists.accept());
    std::vector<int> first(N);
    device->download(first.data(), lists.edges().count, sizeof(int) * N);
    long long total = 0;
    for (int &count : first) {
        const int mine = count;
        count = int(total);
        total += mine;
        if (total > std::numeric_limits<int>::max() / 3)
            throw InputError("there are too many pairs: use a shorter cutoff");
    }
    starts.upload(first);
    return int(total);
}

void EdgeList::write(int *receivers, int *senders, int *shifts) {
    EdgeListArguments a{};
    a.numAtoms = lists.atoms().numAtoms;
    a.edges = lists.edges();
    a.molecule = lists.atoms().molecule;
    a.boxes = lists.boxes();
    a.wraps = lists.wraps();
    a.starts = starts.get();
    a.receivers = receivers;
    a.senders = senders;
    a.shifts = shifts;
    device->launch("so3kListEdges", {unsigned((32 * size_t(a.numAtoms) + 127) / 128), 128, 0}, &a, sizeof a);
    device->synchronize();
}

} // namespace so3krates::cuda
