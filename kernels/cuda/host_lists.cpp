#include "cuda/host_lists.h"

#include <algorithm>
#include <tuple>

namespace so3krates::cuda {

HostLists::HostLists(std::shared_ptr<Device> device)
    : positions(device), wrapped(device), shifts(device), firstImage(device), imageAtRest(device),
      edgeMatrix{Buffer<int>(device), Buffer<int>(device), Buffer<int>(device)},
      longRangeMatrix{Buffer<int>(device), Buffer<int>(device), Buffer<int>(device)} {}

NeighborMatrix HostLists::Matrix::upload(const std::vector<std::vector<Entry>> &rows) {
    size_t capacity = 1;
    for (const auto &row : rows)
        capacity = std::max(capacity, row.size());
    std::vector<int> counts, senders(rows.size() * capacity), images(rows.size() * capacity);
    for (size_t i = 0; i < rows.size(); i++) {
        counts.push_back(int(rows[i].size()));
        for (size_t k = 0; k < rows[i].size(); k++) {
            senders[i * capacity + k] = rows[i][k].sender;
            images[i * capacity + k] = rows[i][k].image;
        }
    }
    NeighborMatrix matrix;
    matrix.count = count.upload(counts);
    matrix.senders = this->senders.upload(senders);
    matrix.images = this->images.upload(images);
    matrix.capacity = int(capacity);
    return matrix;
}

void HostLists::build(const System &system, const std::vector<Box> &boxes, double shortCutoff, double longCutoff,
                      ThreadTeam &team, Atoms &atoms, NeighborMatrix &edges, NeighborMatrix &longRange) {
    lists.build(system, boxes, shortCutoff, longCutoff, team);
    atoms.positions = positions.upload(system.positions, 3 * size_t(system.numAtoms));
    atoms.wrapped = wrapped.upload(lists.positions);
    std::vector<double> allShifts;
    std::vector<int> first, atRest;
    for (const Images &images : lists.images) {
        first.push_back(int(allShifts.size() / 3));
        atRest.push_back(images.index(0, 0, 0));
        allShifts.insert(allShifts.end(), images.shifts.begin(), images.shifts.end());
    }
    atoms.shifts = shifts.upload(allShifts);
    atoms.firstImage = firstImage.upload(first);
    atoms.imageAtRest = imageAtRest.upload(atRest);

    std::vector<std::vector<Entry>> rows(system.numAtoms);
    auto sorted = [&] {
        for (auto &row : rows)
            std::sort(row.begin(), row.end(), [](const Entry &a, const Entry &b) {
                return std::tie(a.sender, a.image) < std::tie(b.sender, b.image);
            });
        return rows;
    };
    for (int m = 0; m < system.numMolecules; m++) {
        const int begin = system.offsets ? system.offsets[m] : 0;
        const int end = system.offsets ? system.offsets[m + 1] : system.numAtoms;
        for (int p = lists.pairStart[begin]; p < lists.pairStart[end]; p++) {
            const int i = lists.pairI[p], j = lists.pairJ[p], image = lists.pairImage[p];
            rows[i].push_back({j, image});
            rows[j].push_back({i, 2 * atRest[m] - image}); // images are counted symmetrically about the one at rest
        }
    }
    edges = edgeMatrix.upload(sorted());
    longRange = NeighborMatrix();
    if (lists.allLongRange || longCutoff == 0)
        return;
    for (auto &row : rows)
        row.clear();
    for (int p = 0; p < lists.numPieces; p++) {
        const LongRangePiece &piece = lists.pieces[p];
        for (size_t a = 0; a < piece.atoms.size(); a++)
            for (size_t k = piece.start[a]; k < piece.start[a + 1]; k++)
                rows[piece.atoms[a]].push_back(
                    {piece.neighbors[k], piece.images.empty() ? atRest[piece.molecule] : piece.images[k]});
    }
    longRange = longRangeMatrix.upload(sorted());
}

} // namespace so3krates::cuda
