#include "cpu/workspace.h"

#include <algorithm>
#include <cstdlib>

namespace so3krates::cpu {

namespace {
// Pairs per tile: large tiles touch fewer distinct atoms per pair, small ones leave work for every thread. The number
// depends on the system alone, never on the threads: sums must not.
int pairsPerTile(int numPairs) { return std::min(std::max(numPairs / 32, 48), 1024); }

// The edge filters of all pairs are kept for the way back if they fit in here, which saves a tenth of the time;
// otherwise they are computed twice. For tests, the environment variable SO3KRATES_CPU_FILTER_BYTES says otherwise.
size_t filterBytes() {
    const char *wanted = std::getenv("SO3KRATES_CPU_FILTER_BYTES");
    return wanted ? std::strtoull(wanted, nullptr, 10) : size_t(96) << 20;
}

} // namespace

template <class T> Workspace<T>::Workspace(const PackedModel<T> &model) : model(model), mostFilterBytes(filterBytes()) {
    layers.resize(model.shape.numLayers);
    states.resize(model.shape.numLayers);
}

// Tiles of whole atoms (as i), one slot row per atom a tile touches, and for each atom its pairs and slot rows.
template <class T> void Workspace<T>::buildTiles(int numAtoms, const NeighborLists &lists) {
    const int numPairs = int(lists.pairI.size()), target = pairsPerTile(numPairs);
    tilePair.assign(1, 0);
    for (int i = 0; i < numAtoms; i++)
        if (lists.pairStart[i + 1] - tilePair.back() >= target || (i == numAtoms - 1 && numPairs > tilePair.back()))
            tilePair.push_back(lists.pairStart[i + 1]);
    const int numTiles = int(tilePair.size()) - 1;
    slotI.resize(numPairs);
    slotJ.resize(numPairs);
    tileSlot.assign(1, 0);
    slotAtom.clear();
    localSlot.assign(numAtoms, -1);
    for (int tile = 0; tile < numTiles; tile++) {
        auto slotOf = [&](int atom) {
            if (localSlot[atom] < 0) {
                localSlot[atom] = int(slotAtom.size());
                slotAtom.push_back(atom);
            }
            return localSlot[atom];
        };
        for (int p = tilePair[tile]; p < tilePair[tile + 1]; p++) {
            slotI[p] = slotOf(lists.pairI[p]);
            slotJ[p] = slotOf(lists.pairJ[p]);
        }
        for (size_t s = tileSlot.back(); s < slotAtom.size(); s++)
            localSlot[slotAtom[s]] = -1;
        tileSlot.push_back(int(slotAtom.size()));
    }
    slotStart.assign(numAtoms + 1, 0);
    adjacencyStart.assign(numAtoms + 1, 0);
    for (int atom : slotAtom)
        slotStart[atom + 1]++;
    for (int p = 0; p < numPairs; p++) {
        adjacencyStart[lists.pairI[p] + 1]++;
        adjacencyStart[lists.pairJ[p] + 1]++;
    }
    for (int i = 0; i < numAtoms; i++) {
        slotStart[i + 1] += slotStart[i];
        adjacencyStart[i + 1] += adjacencyStart[i];
    }
    slots.resize(slotAtom.size());
    adjacency.resize(2 * size_t(numPairs));
    std::vector<int> &next = localSlot;
    std::copy(slotStart.begin(), slotStart.end() - 1, next.begin());
    for (size_t s = 0; s < slotAtom.size(); s++)
        slots[next[slotAtom[s]]++] = int(s);
    std::copy(adjacencyStart.begin(), adjacencyStart.end() - 1, next.begin());
    for (int p = 0; p < numPairs; p++) {
        adjacency[next[lists.pairI[p]]++] = 2 * p;
        adjacency[next[lists.pairJ[p]]++] = 2 * p + 1;
    }
}

template <class T>
void Workspace<T>::prepare(const System &system, const NeighborLists &lists, bool withGradient,
                           bool firstLayerFromTables) {
    const Shape &s = model.shape;
    const size_t N = system.numAtoms, P = lists.pairI.size(), F = s.features;
    buildTiles(system.numAtoms, lists);
    double *shift = pairShift.ensure(3 * P);
    for (int m = 0; m < system.numMolecules; m++) {
        const int begin = system.offsets ? system.offsets[m] : 0, end = system.offsets ? system.offsets[m + 1] : int(N);
        for (int p = lists.pairStart[begin]; p < lists.pairStart[end]; p++)
            for (int k = 0; k < 3; k++)
                shift[3L * p + k] = lists.shift(m, lists.pairImage[p])[k];
    }
    Evaluation<T> &e = evaluation;
    e.model = &model;
    e.numAtoms = system.numAtoms;
    e.withGradient = withGradient;
    e.atomicNumbers = system.atomicNumbers;
    e.positions = lists.positions.data();
    e.initialFeatures = initialFeatures.get();
    e.pairs.numPairs = int(P);
    e.pairs.i = lists.pairI.data();
    e.pairs.j = lists.pairJ.data();
    e.pairs.shift = shift;
    e.pairs.slotI = slotI.data();
    e.pairs.slotJ = slotJ.data();
    e.pairs.numTiles = int(tilePair.size()) - 1;
    e.pairs.tilePair = tilePair.data();
    e.pairs.tileSlot = tileSlot.data();
    e.pairs.adjacencyStart = adjacencyStart.data();
    e.pairs.adjacency = adjacency.data();
    e.pairs.slotStart = slotStart.data();
    e.pairs.slots = slots.data();

    const size_t ifGradient = withGradient ? 1 : 0;
    const size_t filterRow = s.block[0].total() + s.block[1].total() + 2 * s.spherical;
    const size_t filterLayers = s.numLayers - (firstLayerFromTables ? 1 : 0);
    const bool keepFilters = withGradient && filterLayers * P * filterRow * sizeof(T) <= mostFilterBytes;
    e.distance = distance.ensure(P);
    e.unit = unit.ensure(4 * P);
    e.cutoff = cutoff.ensure(2 * P);
    e.harmonics = harmonics.ensure(P * s.euclidean);
    e.harmonicsGradient = harmonicsGradient.ensure(ifGradient * P * s.euclidean);
    e.distanceGradient = distanceGradient.ensure(ifGradient * P);
    e.pairGradient = pairGradient.ensure(ifGradient * 4 * P);
    e.features = features.ensure(N * F);
    e.featureGradient = featureGradient.ensure(ifGradient * N * F);
    e.messageGradient = messageGradient.ensure(ifGradient * N * s.block[0].total());
    e.evGradient = evGradient.ensure(ifGradient * N * s.euclidean);
    e.slotGradients = slotGradients.ensure(ifGradient * slotAtom.size() * s.gradientRow());
    for (int k = 0; k < s.numLayers; k++) {
        LayerBuffers<T> &b = layers[k];
        LayerState<T> &state = states[k];
        const LayerWeights<T> &w = model.layers[k];
        state.attention = b.attention.ensure(N * s.attentionRow());
        state.qkSlope = model.qkActivation == Activation::Identity ? nullptr : b.qkSlope.ensure(N * s.attentionRow());
        const bool keepsFilter = keepFilters && !(k == 0 && firstLayerFromTables);
        for (int m = 0; m < 2; m++)
            state.filter[m] = keepsFilter ? b.filter[m].ensure(P * s.block[m].total()) : nullptr;
        state.filterHiddenSlope = keepsFilter ? b.filterHiddenSlope.ensure(P * 2 * s.spherical) : nullptr;
        state.alpha = b.alpha.ensure(P * s.alphaRow());
        state.alphaSlope = b.alphaSlope.ensure(ifGradient * P * s.alphaRow());
        state.evIn = b.evIn.ensure(N * s.euclidean);
        state.evAttended = b.evAttended.ensure(N * s.euclidean);
        state.exchange = b.exchange.ensure(N * s.numDegrees);
        state.norm1 = b.norm1.ensure(w.norm1Weight ? N * F : 0);
        state.norm2 = b.norm2.ensure(w.norm2Weight ? N * F : 0);
        state.norm1InverseStd = b.norm1InverseStd.ensure(N);
        state.norm2InverseStd = b.norm2InverseStd.ensure(N);
        state.mlp1Slope = b.mlp1Slope.ensure(w.mlp1[0].weight ? N * F : 0);
        state.mlp1HiddenSlope = b.mlp1HiddenSlope.ensure(w.mlp1[0].weight ? N * F : 0);
        state.mlp2Slope = b.mlp2Slope.ensure(w.mlp2[0].weight ? N * F : 0);
        state.mlp2HiddenSlope = b.mlp2HiddenSlope.ensure(w.mlp2[0].weight ? N * F : 0);
    }
    e.layer = states.data();
    e.networkEnergy = networkEnergy.ensure(N);
    e.energySeed = energySeed.ensure(N * F);
    e.rawCharge = rawCharge.ensure(N);
    e.hirshfeld = hirshfeld.ensure(N);
    e.chargeSlope = chargeSlope.ensure(model.hasCharges ? N * F : 0);
    e.hirshfeldSlope = hirshfeldSlope.ensure(N * s.hirshfeldPadded);
    e.hirshfeldSign = hirshfeldSign.ensure(N);
    e.chargeGradient = nullptr;
    e.hirshfeldGradient = nullptr;
    chargeGradient.ensure(N);
    ratioGradient.ensure(N);
    zblEnergy.ensure(P);
    longRange.ensure(N);
    LongRangeAtoms<T> &far = longRangeAtoms;
    for (Buffer<T> *row :
         {&far.charge, &far.ratio, &far.freePolarizability, &far.polarizability, &far.alphaSquareOverC6})
        row->ensure(N + longRangeSlack);
    strain.ensure(6 * N);
}

template class Workspace<float>;
template class Workspace<double>;

} // namespace so3krates::cpu
