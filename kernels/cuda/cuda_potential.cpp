#include "cuda/cuda_potential.h"

#include <cmath>

#include "cuda/attention.h"
#include "cuda/composition.h"
#include "cuda/device/initial_euclidean.h"
#include "cuda/model_arrays.h"
#include "cuda/neighbor_lists.h"
#include "cuda/workspace.h"
#include "input_checks.h"

namespace so3krates::cuda {

namespace {

unsigned blocksFor(size_t work, size_t perBlock) { return unsigned((work + perBlock - 1) / perBlock); }

InputError nonFinite(int molecule) {
    return InputError("the energy of molecule " + std::to_string(molecule) +
                      " is not a finite number: the positions are far outside what the model can describe");
}

} // namespace

template <class T> class CudaPotential : public DevicePotential {
public:
    CudaPotential(std::shared_ptr<const Model> model, const Options &options, std::shared_ptr<Device> device,
                  double headroom)
        : frozen(std::move(model)), settings(options), device(device), hyper(frozen->hyperparameters()),
          table(std::is_same<T, float>::value && options.radialTable ? sharedRadialTable(*frozen) : nullptr),
          arrays(*frozen, table.get(), device), zbl(*frozen),
          longRange(*frozen, options.lrCutoff, options.dispersionSwitchWidth), zblCharge(device),
          composition(frozen, table, longRange, device), lists(device, listSettings(headroom)),
          workspace(hyper, device), rowWidth(atomRowWidth(hyper.numFeatures, hyper.numDegrees(), hyper.energyHidden,
                                                          hyper.hirshfeldRatios ? hyper.numFeatures / 2 : 0)),
          processors(device->numMultiprocessors()) {
        checkAttentionShape(hyper);
        zblCharge.upload(zbl.charge);
    }

    void prepare(const System &system, bool forces, bool virials) override;
    DeviceBuffers buffers() const override;
    // Wishes that come again, with nothing moved in between, have the number they had.
    unsigned long generation() const override {
        return 4 * (generations + lists.generation() + workspace.moved()) + 2 * gradient + strain;
    }
    using DevicePotential::enqueue;
    void enqueue(const Enqueue &how) override;
    bool isPrepared(const System &system, bool forces, bool virials, bool anyBoxes) const override;
    bool finish() override;
    void download(const Results &results) override;
    void compute(const System &system, const Results &results, ThreadTeam &) override;
    const Model &model() const override { return *frozen; }
    const Options &options() const override { return settings; }
    std::string implementation() const override {
        return "CUDA " + device->name() + (settings.precision == Precision::Double ? " double" : " single") +
               (arrays.grid.intervals ? ", radial table of " + std::to_string(arrays.grid.intervals) + " intervals"
                                      : ", exact radial networks");
    }

private:
    bool hasLongRange() const { return longRange.electrostatics || longRange.dispersion; }
    bool fromNeighborhood() const { return hyper.euclideanInit == EuclideanInit::Neighborhood; }
    void takeComposition(const System &system);
    static DeviceNeighborLists::Settings listSettings(double headroom) {
        DeviceNeighborLists::Settings settings;
        settings.headroom = headroom;
        return settings;
    }
    static std::vector<Box> boxesOf(const System &system);
    void projectFirst();
    void startFeatures();
    void network();
    void physics();
    void networkBackward();
    void moleculeSums(bool watched);
    InitialEuclideanArguments<T> initialEuclideanArguments() const;
    FirstLayerArguments<T> firstLayerArguments() const;
    void chunkSums(const std::vector<const double *> &values, const std::vector<int> &strides);
    MoleculeTotal totalOf(const double *values) const;
    void conserveCharge();
    void pairTerms();
    HeadArguments<T> headArguments() const;
    AtomArguments<T> atomArguments(int layer) const;
    AttentionArguments<T> attentionArguments(int layer) const;

    template <class Arguments>
    void launch(const char *kernel, unsigned blocks, unsigned threads, size_t sharedBytes, const Arguments &arguments) {
        device->launch(kernel, {blocks, threads, sharedBytes}, &arguments, sizeof arguments);
    }
    // A kernel over blocks of atoms' rows.
    template <class Arguments> void launchRows(const char *kernel, Arguments arguments) {
        arguments.numAtoms = lists.atoms().numAtoms;
        arguments.atomsPerBlock = atomsPerBlock(arguments.numAtoms, processors, mostAtomsPerBlock(rowWidth, sizeof(T)));
        launch(kernel, blocksFor(arguments.numAtoms, arguments.atomsPerBlock), atomThreads(arguments.atomsPerBlock),
               3 * sizeof(T) * arguments.atomsPerBlock * rowWidth, arguments);
    }
    // A kernel with a block per atom.
    template <class Arguments> void launchBlocks(const char *kernel, int threads, const Arguments &arguments) {
        launch(kernel, lists.atoms().numAtoms, threads, 0, arguments);
    }
    // A kernel with a warp per atom.
    template <class Arguments> void launchWarps(const char *kernel, const Arguments &arguments) {
        launch(kernel, blocksFor(lists.atoms().numAtoms, 4), 128, 0, arguments);
    }
    void launchFirstLayer(const char *kernel) {
        launch(kernel, blocksFor(lists.atoms().numAtoms, firstLayerWarps), 32 * firstLayerWarps, 0,
               firstLayerArguments());
    }

    std::shared_ptr<const Model> frozen;
    Options settings;
    std::shared_ptr<Device> device;
    const Hyperparameters &hyper;
    std::shared_ptr<const RadialTable> table;
    ModelArrays<T> arrays;
    cpu::ZblParameters zbl;
    cpu::LongRangeParameters longRange;
    Buffer<double> zblCharge;
    Composition<T> composition;
    DeviceNeighborLists lists;
    Workspace<T> workspace;
    int rowWidth;   // numbers
    int processors; // of the GPU
    // What the last prepare() was for.
    bool gradient = false, strain = false;
    bool prepared = false;     // all of it went well, and enqueue() since then
    bool projected = false;    // the first layer's q, k, v are those of the composition
    bool finishedLast = false; // an evaluation whose energies nobody has looked at
    unsigned long generations = 0;
};

template <class T> void CudaPotential<T>::prepare(const System &system, bool forces, bool virials) {
    const bool sameAtoms = projected && composition.isOf(system);
    if (!sameAtoms)
        checkComposition(*frozen, arrays.elementRows, settings, system);
    const std::vector<Box> boxes = boxesOf(system);
    for (const Box &box : boxes)
        if (box.periodic && hasLongRange() && std::isinf(longRange.cutoff))
            throw InputError("a periodic system needs a long-range cutoff: give lr_cutoff (Å), for example 12");
    const bool sameWishes = (forces || virials) == gradient && virials == strain;
    const bool wasPrepared = prepared;
    if (!wasPrepared)
        lists.forget();
    const bool same = prepared && sameAtoms && sameWishes;
    prepared = false; // until all of it is done
    if (!sameAtoms)
        takeComposition(system);
    Atoms atoms{};
    atoms.numAtoms = system.numAtoms;
    atoms.numMolecules = system.numMolecules;
    atoms.atomicNumbers = composition.atomicNumbers.get();
    atoms.molecule = composition.molecule.get();
    atoms.offsets = composition.moleculeOffsets.get();
    lists.prepare(atoms, composition.offsets, boxes, hyper.cutoff, hasLongRange() ? longRange.cutoff : 0);
    if (!same) {
        gradient = forces || virials;
        strain = virials;
        workspace.prepare(system.numAtoms, system.numMolecules, composition.numChunks, gradient, strain);
        if (!wasPrepared || !sameAtoms)
            generations++;
    }
    if (!projected)
        projectFirst();
    prepared = true;
}

template <class T> std::vector<Box> CudaPotential<T>::boxesOf(const System &system) {
    std::vector<Box> boxes;
    for (int m = 0; m < system.numMolecules; m++)
        boxes.push_back(Box::from(system.cells ? system.cells + 9L * m : nullptr));
    return boxes;
}

template <class T>
bool CudaPotential<T>::isPrepared(const System &system, bool forces, bool virials, bool anyBoxes) const {
    return prepared && projected && composition.isOf(system) && (forces || virials) == gradient && virials == strain &&
           lists.isPrepared(boxesOf(system), anyBoxes);
}

template <class T> void CudaPotential<T>::takeComposition(const System &system) {
    projected = finishedLast = false;
    composition.update(system);
}

template <class T> DeviceBuffers CudaPotential<T>::buffers() const {
    DeviceBuffers b;
    b.positions = lists.positions();
    b.cells = lists.boxVectors();
    b.forces = workspace.forces;
    b.partialCharges = workspace.charges;
    b.hirshfeldRatios = workspace.hirshfeldRatios;
    b.sums = workspace.moleculeSums;
    return b;
}

template <class T> void CudaPotential<T>::enqueue(const Enqueue &how) {
    if (!prepared)
        throw std::logic_error("enqueue() before prepare()");
    prepared = false; // until all of it is on the stream
    lists.enqueue(how.withCells, how.watched);
    network();
    physics();
    if (gradient)
        networkBackward();
    lists.join();
    moleculeSums(how.watched);
    prepared = true;
}

template <class T> bool CudaPotential<T>::finish() {
    const bool lookBack = finishedLast;
    finishedLast = false;
    const ListStatus &status = lists.wait();
    if (lookBack && status.nonFiniteEnergy)
        throw nonFinite(lists.atoms().numMolecules - status.nonFiniteEnergy);
    try {
        return finishedLast = lists.accept();
    } catch (const DeviceError &) { // the lists could not grow
        prepared = false;
        throw;
    }
}

template <class T> void CudaPotential<T>::compute(const System &system, const Results &results, ThreadTeam &) {
    prepare(system, results.forces, results.virials);
    checkPositions(system);
    device->upload(lists.positions(), system.positions, 3 * sizeof(double) * system.numAtoms);
    do
        enqueue();
    while (!finish());
    download(results);
}

template <class T> MoleculeTotal CudaPotential<T>::totalOf(const double *values) const {
    MoleculeTotal total{};
    total.values = values;
    total.chunkSums = workspace.chunkSums;
    total.offsets = lists.atoms().offsets;
    total.moleculeChunks = composition.moleculeChunks.get();
    return total;
}

template <class T> HeadArguments<T> CudaPotential<T>::headArguments() const {
    HeadArguments<T> a{};
    a.atomicNumbers = lists.atoms().atomicNumbers;
    a.weights = arrays.heads;
    a.state = workspace.heads;
    a.networkEnergy = workspace.networkEnergy;
    a.rawCharge = workspace.rawCharge;
    a.hirshfeld = workspace.hirshfeld;
    a.molecule = lists.atoms().molecule;
    if (longRange.electrostatics)
        a.chargeGradient = totalOf(workspace.chargeGradient);
    if (longRange.dispersion)
        a.hirshfeldGradient = workspace.ratioGradient;
    return a;
}

template <class T> AtomArguments<T> CudaPotential<T>::atomArguments(int layer) const {
    AtomArguments<T> a{};
    a.last = layer + 1 == hyper.numLayers;
    a.weights = arrays.layers[layer];
    a.state = workspace.layers[layer];
    if (a.last) {
        a.heads = headArguments();
    } else {
        a.nextWeights = arrays.layers[layer + 1];
        a.next = workspace.layers[layer + 1];
    }
    a.features = workspace.features;
    a.queryXGradient = workspace.queryXGradient;
    a.keyXGradient = workspace.keyXGradient;
    a.valueXGradient = workspace.valueXGradient;
    a.queryEvGradient = workspace.queryEvGradient;
    a.keyEvGradient = workspace.keyEvGradient;
    a.evInGradient = workspace.evInGradient;
    a.featureGradient = workspace.featureGradient;
    a.evGradient = workspace.evGradient;
    if (layer == 0 && composition.firstLayer.available())
        a.firstLayer = composition.firstLayer.productArguments(workspace.layers[0].valueX);
    return a;
}

template <class T> AttentionArguments<T> CudaPotential<T>::attentionArguments(int layer) const {
    AttentionArguments<T> a{};
    a.atoms = lists.atoms();
    a.edges = lists.edges();
    a.weights = arrays.layers[layer];
    a.state = workspace.layers[layer];
    a.cutoff = hyper.cutoff;
    a.grid = arrays.grid;
    a.messageScale[0] = T(hyper.messageScale(hyper.numHeads));
    a.messageScale[1] = T(hyper.messageScale(hyper.numDegrees()));
    a.basisParameters = arrays.basisParameters;
    a.features = workspace.features;
    a.messageGradient = workspace.featureGradient;
    a.evGradient = workspace.evGradient;
    a.queryXGradient = workspace.queryXGradient;
    a.keyXGradient = workspace.keyXGradient;
    a.valueXGradient = workspace.valueXGradient;
    a.queryEvGradient = workspace.queryEvGradient;
    a.keyEvGradient = workspace.keyEvGradient;
    a.evInGradient = workspace.evInGradient;
    // The first layer's input depends on the positions only if ev comes from the neighborhood.
    a.inputMatters = layer > 0 || fromNeighborhood();
    a.forces = workspace.forces;
    a.strain = workspace.strain;
    return a;
}

template <class T> InitialEuclideanArguments<T> CudaPotential<T>::initialEuclideanArguments() const {
    InitialEuclideanArguments<T> a{};
    a.atoms = lists.atoms();
    a.edges = lists.edges();
    a.cutoff = hyper.cutoff;
    a.scale = T(1 / hyper.avgNumNeighbors);
    a.ev = workspace.layers[0].evIn;
    a.evGradient = workspace.evGradient;
    a.forces = workspace.forces;
    a.strain = workspace.strain;
    return a;
}

template <class T> FirstLayerArguments<T> CudaPotential<T>::firstLayerArguments() const {
    FirstLayerArguments<T> a = composition.firstLayer.arguments();
    a.atoms = lists.atoms();
    a.edges = lists.edges();
    a.values = workspace.layers[0].valueX;
    a.initialFeatures = composition.initialFeatures.get();
    a.features = workspace.features;
    a.evAttended = workspace.layers[0].evAttended;
    a.evGradient = workspace.evGradient;
    a.forces = workspace.forces;
    a.strain = workspace.strain;
    return a;
}

// The first layer's q, k, v: kept for as long as the composition stays the same.
template <class T> void CudaPotential<T>::projectFirst() {
    ProjectArguments<T> a{};
    a.weights = arrays.layers[0];
    a.state = workspace.layers[0];
    a.features = composition.initialFeatures.get();
    launchRows("so3kProject", a);
    projected = true;
}

// Features and ev at the first layer's input.
template <class T> void CudaPotential<T>::startFeatures() {
    StartArguments<T> a{};
    a.numAtoms = lists.atoms().numAtoms;
    a.initialFeatures = composition.initialFeatures.get();
    a.features = workspace.features;
    a.evIn = workspace.layers[0].evIn;
    launch("so3kStart", blocksFor(a.numAtoms, 4), 256, 0, a);
    if (fromNeighborhood())
        launchBlocks("so3kInitialEuclidean", 32, initialEuclideanArguments());
}

template <class T> void CudaPotential<T>::network() {
    const bool byKinds = composition.firstLayer.available();
    if (!byKinds)
        startFeatures();
    for (int layer = 0; layer < hyper.numLayers; layer++) {
        if (layer == 0 && byKinds)
            launchFirstLayer("so3kFirstLayerForward");
        else
            launchAttentionForward(*device, hyper, attentionArguments(layer));
        launchRows("so3kAtomForward", atomArguments(layer));
    }
}

template <class T> void CudaPotential<T>::networkBackward() {
    for (int layer = hyper.numLayers - 1; layer >= 0; layer--) {
        launchRows("so3kAtomBackward", atomArguments(layer));
        if (layer == 0 && composition.firstLayer.available())
            launchFirstLayer("so3kFirstLayerBackward");
        else
            launchAttentionBackward(*device, hyper, attentionArguments(layer));
    }
    if (fromNeighborhood()) {
        AddArguments<T> a{};
        a.numbers = (long long)lists.atoms().numAtoms * hyper.numEuclidean();
        a.rows = workspace.evGradient;
        a.others = workspace.evInGradient;
        launch("so3kAddEuclidean", blocksFor(a.numbers, 128), 128, 0, a);
        launchBlocks("so3kInitialEuclideanBackward", 32, initialEuclideanArguments());
    }
}

// What is summed over molecules that have several chunks: over each chunk, [chunks][columns].
template <class T>
void CudaPotential<T>::chunkSums(const std::vector<const double *> &values, const std::vector<int> &strides) {
    if (!composition.severalChunks)
        return;
    SumArguments a{};
    a.numRuns = composition.numChunks;
    a.numColumns = int(values.size());
    a.starts = composition.chunkStarts.get();
    std::copy(values.begin(), values.end(), a.values);
    std::copy(strides.begin(), strides.end(), a.stride);
    a.sums = workspace.chunkSums;
    launch("so3kSums", a.numRuns * a.numColumns, sumThreads, 0, a);
}

template <class T> void CudaPotential<T>::conserveCharge() {
    if (hyper.partialCharges)
        chunkSums({workspace.rawCharge}, {1});
    ChargeArguments<T> a{};
    a.chunkStarts = composition.chunkStarts.get();
    a.molecule = lists.atoms().molecule;
    a.rawCharge = totalOf(workspace.rawCharge);
    a.totalCharge = composition.totalCharges.get();
    a.hirshfeld = workspace.hirshfeld;
    a.species = composition.species.get();
    a.freePolarizability = composition.freePolarizability.get();
    a.positions = lists.atoms().positions;
    a.charge = workspace.charges;
    a.dipole = workspace.dipoles;
    a.chargeRounded = workspace.charge;
    a.hirshfeldRatio = workspace.hirshfeldRatios;
    a.ratio = workspace.ratio;
    a.polarizability = workspace.polarizability;
    launch("so3kConserveCharge", composition.numChunks, 512, 0, a);
}

template <class T> void CudaPotential<T>::pairTerms() {
    PairArguments<T> a{};
    a.atoms = lists.atoms();
    if (hyper.zbl) {
        a.zbl.edges = lists.edges();
        a.zbl.cutoff = hyper.cutoff;
        for (int k = 0; k < 4; k++) {
            a.zbl.amplitude[k] = zbl.amplitude[k];
            a.zbl.decay[k] = zbl.decay[k];
        }
        a.zbl.charge = zblCharge.get();
        a.zbl.energy = workspace.zblEnergy;
    }
    a.neighbors = lists.far();
    a.electrostatics = longRange.electrostatics;
    a.dispersion = longRange.dispersion;
    a.hasCutoff = !std::isinf(longRange.cutoff);
    a.cutoff = T(longRange.cutoff);
    a.sigma = T(longRange.sigma);
    a.electrostaticsOn = T(longRange.electrostaticsOn);
    a.valueAtCutoff = T(longRange.valueAtCutoff);
    a.slopeAtCutoff = T(longRange.slopeAtCutoff);
    a.dispersionOn = T(longRange.dispersionOn);
    a.gammaScale = T(longRange.gammaScale);
    a.charge = workspace.charge;
    a.ratio = workspace.ratio;
    a.polarizability = workspace.polarizability;
    a.species = composition.species.get();
    a.freePolarizability = composition.freePolarizability.get();
    a.c6 = composition.c6.get();
    a.numSpecies = composition.numSpecies;
    a.electrostaticEnergy = workspace.electrostaticEnergy;
    a.dispersionEnergy = workspace.dispersionEnergy;
    a.chargeGradient = workspace.chargeGradient;
    a.ratioGradient = workspace.ratioGradient;
    a.forces = workspace.forces;
    a.strain = workspace.strain;
    launchWarps("so3kPairTerms", a);
}

// Charge conservation and the terms between pairs, with the gradients that seed the way back, which adds to the forces.
template <class T> void CudaPotential<T>::physics() {
    conserveCharge();
    if (gradient || hyper.zbl || hasLongRange())
        pairTerms();
    if (gradient && longRange.electrostatics)
        chunkSums({workspace.chargeGradient}, {1});
}

template <class T> void CudaPotential<T>::moleculeSums(bool watched) {
    const double *strain = workspace.strain, *dipole = workspace.dipoles;
    std::vector<const double *> values = {workspace.networkEnergy, workspace.zblEnergy, workspace.electrostaticEnergy,
                                          workspace.dispersionEnergy};
    std::vector<int> strides = {1, 1, 1, 1};
    for (int k = 0; k < 6; k++) {
        values.push_back(strain ? strain + k : nullptr);
        strides.push_back(6);
    }
    for (int k = 0; k < 3; k++) {
        values.push_back(dipole + k);
        strides.push_back(3);
    }
    chunkSums(values, strides);
    MoleculeSumArguments a{};
    a.numColumns = NumMoleculeSums;
    a.numEnergies = DispersionEnergy + 1;
    std::copy(values.begin(), values.end(), a.values);
    std::copy(strides.begin(), strides.end(), a.stride);
    a.chunkSums = workspace.chunkSums;
    a.offsets = lists.atoms().offsets;
    a.moleculeChunks = composition.moleculeChunks.get();
    a.sums = workspace.moleculeSums;
    a.status = lists.lastArguments().status;
    a.candidateCapacity = lists.lastArguments().candidates.capacity;
    a.edgeCapacity = lists.edges().capacity;
    a.farCapacity = lists.far().capacity;
    a.numMolecules = lists.atoms().numMolecules;
    a.watched = watched;
    launch("so3kMoleculeSums", a.numMolecules, 32 * NumMoleculeSums, 0, a);
}

template <class T> void CudaPotential<T>::download(const Results &results) {
    const size_t N = lists.atoms().numAtoms, B = lists.atoms().numMolecules;
    finishedLast = false; // what follows looks at the energies
    std::vector<double> total(B * NumMoleculeSums);
    device->download(total.data(), workspace.moleculeSums, total.size() * sizeof(double)); // waits for the evaluation
    if (results.forces)
        device->download(results.forces, workspace.forces, 3 * N * sizeof(double));
    if (results.partialCharges)
        device->download(results.partialCharges, workspace.charges, N * sizeof(double));
    if (results.hirshfeldRatios)
        device->download(results.hirshfeldRatios, workspace.hirshfeldRatios, N * sizeof(double));
    for (size_t m = 0; m < B; m++) {
        const double *sum = &total[m * NumMoleculeSums];
        Energies e;
        e.network = sum[NetworkEnergy];
        e.zbl = sum[ZblEnergy];
        e.electrostatics = sum[ElectrostaticEnergy];
        e.dispersion = sum[DispersionEnergy];
        e.total = e.network + e.zbl + e.electrostatics + e.dispersion;
        if (!std::isfinite(e.total))
            throw nonFinite(int(m));
        if (results.energies)
            results.energies[m] = e;
        const int place[9] = {0, 5, 4, 5, 1, 3, 4, 3, 2};
        for (int k = 0; k < 9 && results.virials; k++)
            results.virials[9 * m + k] = -sum[Strain + place[k]];
        for (int k = 0; k < 3 && results.dipoles; k++)
            results.dipoles[3 * m + k] = sum[Dipole + k];
    }
}

std::unique_ptr<DevicePotential> makeCudaPotential(std::shared_ptr<const Model> model, const Options &options,
                                                   std::shared_ptr<Device> device, double headroom) {
    if (options.precision == Precision::Double)
        return std::make_unique<CudaPotential<double>>(std::move(model), options, std::move(device), headroom);
    return std::make_unique<CudaPotential<float>>(std::move(model), options, std::move(device), headroom);
}

} // namespace so3krates::cuda
