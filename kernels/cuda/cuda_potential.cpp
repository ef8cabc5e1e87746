#include "cuda/cuda_potential.h"

#include <cmath>

#include "cuda/attention.h"
#include "cuda/composition.h"
#include "cuda/device/attention_layout.h"
#include "cuda/device/initial_euclidean.h"
#include "cuda/model_arrays.h"
#include "cuda/neighbor_lists.h"
#include "cuda/workspace.h"
#include "input_checks.h"

namespace so3krates::cuda {

namespace {

unsigned blocksFor(size_t work, size_t perBlock) { return unsigned((work + perBlock - 1) / perBlock); }

// What the last sums over molecules hold.
enum SumColumn { Network, Zbl, Electrostatics, Dispersion, Strain, Dipole = Strain + 6, NumSums = Dipole + 3 };

} // namespace

template <class T> class CudaPotential : public Potential {
public:
    CudaPotential(std::shared_ptr<const Model> model, const Options &options, std::shared_ptr<Device> device)
        : frozen(std::move(model)), settings(options), device(device), hyper(frozen->hyperparameters()),
          table(std::is_same<T, float>::value && options.radialTable ? sharedRadialTable(*frozen) : nullptr),
          arrays(*frozen, table.get(), device), zbl(*frozen),
          longRange(*frozen, options.lrCutoff, options.dispersionSwitchWidth), zblCharge(device),
          composition(frozen, longRange, device), lists(device), workspace(hyper, device),
          rowWidth(atomRowWidth(hyper.numFeatures, hyper.numDegrees(), hyper.energyHidden,
                                hyper.hirshfeldRatios ? hyper.numFeatures / 2 : 0)),
          attentionBlock(attentionThreads(hyper.numFeatures, hyper.numHeads, hyper.numDegrees())) {
        checkAttentionShape(hyper);
        zblCharge.upload(zbl.charge);
    }

    void compute(const System &system, const Results &results, ThreadTeam &) override;
    const Model &model() const override { return *frozen; }
    const Options &options() const override { return settings; }
    std::string implementation() const override {
        return "CUDA " + device->name() + (settings.precision == Precision::Double ? " double" : " single") +
               (arrays.tableIntervals ? ", radial table of " + std::to_string(arrays.tableIntervals) + " intervals"
                                      : ", exact radial networks");
    }

private:
    bool hasLongRange() const { return longRange.electrostatics || longRange.dispersion; }
    bool fromNeighborhood() const { return hyper.euclideanInit == EuclideanInit::Neighborhood; }
    void network();
    void physics(bool gradient);
    void networkBackward();
    void startFeatures();
    InitialEuclideanArguments<T> initialEuclideanArguments() const;
    void sums(std::initializer_list<const double *> values, std::initializer_list<int> strides, double *perMolecule);
    void zblRepulsion(bool gradient);
    void longRangeTerms(bool gradient);
    void download(const System &system, const Results &results);
    HeadArguments<T> headArguments() const;
    AtomArguments<T> atomArguments(int layer) const;
    ProjectArguments<T> projectArguments(int layer) const;
    AttentionArguments<T> attentionArguments(int layer) const;

    template <class Arguments>
    void launch(const char *kernel, unsigned blocks, unsigned threads, size_t sharedBytes, const Arguments &arguments) {
        device->launch(kernel, {blocks, threads, sharedBytes}, &arguments, sizeof arguments);
    }
    // A kernel over blocks of atoms' rows.
    template <class Arguments> void launchRows(const char *kernel, const Arguments &arguments) {
        const int atomsEach = atomsPerBlock(rowWidth, sizeof(T));
        launch(kernel, blocksFor(atoms.numAtoms, atomsEach), atomThreads, 3 * sizeof(T) * atomsEach * rowWidth,
               arguments);
    }
    // A kernel with a block per atom.
    template <class Arguments> void launchBlocks(const char *kernel, int threads, const Arguments &arguments) {
        launch(kernel, atoms.numAtoms, threads, 0, arguments);
    }
    // A kernel with a warp per atom.
    template <class Arguments> void launchWarps(const char *kernel, const Arguments &arguments) {
        launch(kernel, blocksFor(atoms.numAtoms, 4), 128, 0, arguments);
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
    int rowWidth, attentionBlock; // numbers, threads
    bool projected = false;       // the first layer's q, k, v are those of the composition
    // this evaluation's
    Atoms atoms;
    NeighborMatrix edges, farNeighbors;
};

template <class T> void CudaPotential<T>::compute(const System &system, const Results &results, ThreadTeam &) {
    checkSystem(*frozen, arrays.elementRows, settings, system);
    std::vector<Box> boxes;
    for (int m = 0; m < system.numMolecules; m++) {
        boxes.push_back(Box::from(system.cells ? system.cells + 9L * m : nullptr));
        if (boxes[m].periodic && hasLongRange() && std::isinf(longRange.cutoff))
            throw InputError("a periodic system needs a long-range cutoff: give lr_cutoff (Å), for example 12");
    }
    const bool strain = results.virials, gradient = results.forces || strain;
    if (composition.update(system))
        projected = false;
    atoms = Atoms();
    atoms.numAtoms = system.numAtoms;
    atoms.numMolecules = system.numMolecules;
    atoms.atomicNumbers = composition.atomicNumbers.get();
    atoms.molecule = composition.molecule.get();
    atoms.offsets = composition.moleculeOffsets.get();
    lists.build(system, boxes, hyper.cutoff, hasLongRange() ? longRange.cutoff : 0, atoms, edges, farNeighbors);
    workspace.prepare(system.numAtoms, system.numMolecules, composition.numChunks, gradient, strain);
    if (gradient)
        device->clear(workspace.forces, 3 * sizeof(double) * system.numAtoms);
    if (strain)
        device->clear(workspace.strain, 6 * sizeof(double) * system.numAtoms);
    network();
    physics(gradient);
    if (gradient)
        networkBackward();
    download(system, results);
}

template <class T> HeadArguments<T> CudaPotential<T>::headArguments() const {
    HeadArguments<T> a{};
    a.numAtoms = atoms.numAtoms;
    a.atomicNumbers = atoms.atomicNumbers;
    a.weights = arrays.heads;
    a.state = workspace.heads;
    a.features = workspace.features;
    a.networkEnergy = workspace.networkEnergy;
    a.rawCharge = workspace.rawCharge;
    a.hirshfeld = workspace.hirshfeld;
    a.molecule = atoms.molecule;
    a.offsets = atoms.offsets;
    if (longRange.electrostatics) {
        a.chargeGradient = workspace.chargeGradient;
        a.chargeGradientSums = workspace.moleculeChargeGradients;
    }
    if (longRange.dispersion)
        a.hirshfeldGradient = workspace.ratioGradient;
    a.featureGradient = workspace.featureGradient;
    a.evGradient = workspace.evGradient;
    return a;
}

template <class T> AtomArguments<T> CudaPotential<T>::atomArguments(int layer) const {
    AtomArguments<T> a{};
    a.numAtoms = atoms.numAtoms;
    a.last = layer + 1 == hyper.numLayers;
    a.weights = arrays.layers[layer];
    a.state = workspace.layers[layer];
    if (!a.last) {
        a.nextWeights = arrays.layers[layer + 1];
        a.next = workspace.layers[layer + 1];
    }
    a.features = workspace.features;
    a.featureGradient = workspace.featureGradient;
    a.evGradient = workspace.evGradient;
    return a;
}

template <class T> ProjectArguments<T> CudaPotential<T>::projectArguments(int layer) const {
    ProjectArguments<T> a{};
    a.numAtoms = atoms.numAtoms;
    a.weights = arrays.layers[layer];
    a.state = workspace.layers[layer];
    a.features = workspace.features;
    a.queryXGradient = workspace.queryXGradient;
    a.keyXGradient = workspace.keyXGradient;
    a.valueXGradient = workspace.valueXGradient;
    a.queryEvGradient = workspace.queryEvGradient;
    a.keyEvGradient = workspace.keyEvGradient;
    a.evInGradient = workspace.evInGradient;
    a.featureGradient = workspace.featureGradient;
    a.evGradient = workspace.evGradient;
    a.featuresMatter = layer > 0;
    return a;
}

template <class T> AttentionArguments<T> CudaPotential<T>::attentionArguments(int layer) const {
    AttentionArguments<T> a{};
    a.atoms = atoms;
    a.edges = edges;
    a.weights = arrays.layers[layer];
    a.state = workspace.layers[layer];
    a.cutoff = hyper.cutoff;
    a.tableIntervals = arrays.tableIntervals;
    a.tableInverseStep = arrays.tableInverseStep;
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
    a.atoms = atoms;
    a.edges = edges;
    a.cutoff = hyper.cutoff;
    a.scale = T(1 / hyper.avgNumNeighbors);
    a.ev = workspace.layers[0].evIn;
    a.evGradient = workspace.evGradient;
    a.forces = workspace.forces;
    a.strain = workspace.strain;
    return a;
}

// Features and ev at the first layer's input, and its q, k, v.
template <class T> void CudaPotential<T>::startFeatures() {
    StartArguments<T> a{};
    a.numAtoms = atoms.numAtoms;
    a.initialFeatures = composition.initialFeatures.get();
    a.features = workspace.features;
    a.evIn = workspace.layers[0].evIn;
    launch("so3kStart", blocksFor(atoms.numAtoms, 4), 256, 0, a);
    if (fromNeighborhood())
        launchBlocks("so3kInitialEuclidean", 32, initialEuclideanArguments());
    if (!projected)
        launchRows("so3kProject", projectArguments(0));
    projected = true;
}

template <class T> void CudaPotential<T>::network() {
    startFeatures();
    for (int layer = 0; layer < hyper.numLayers; layer++) {
        launchBlocks("so3kAttentionForward", attentionBlock, attentionArguments(layer));
        launchRows("so3kAtomForward", atomArguments(layer));
    }
    launchRows("so3kHeadsForward", headArguments());
}

template <class T> void CudaPotential<T>::networkBackward() {
    launchRows("so3kHeadsBackward", headArguments());
    for (int layer = hyper.numLayers - 1; layer >= 0; layer--) {
        launchRows("so3kAtomBackward", atomArguments(layer));
        launchBlocks("so3kAttentionBackward", attentionBlock, attentionArguments(layer));
        if (layer > 0 || fromNeighborhood())
            launchRows("so3kProjectBackward", projectArguments(layer));
    }
    if (fromNeighborhood())
        launchBlocks("so3kInitialEuclideanBackward", 32, initialEuclideanArguments());
}

// Sums of columns over each molecule, [molecules][columns].
template <class T>
void CudaPotential<T>::sums(std::initializer_list<const double *> values, std::initializer_list<int> strides,
                            double *perMolecule) {
    SumArguments a{};
    for (const double *column : values)
        a.values[a.numColumns++] = column;
    std::copy(strides.begin(), strides.end(), a.stride);
    a.numRuns = composition.numChunks;
    a.starts = composition.chunkStarts.get();
    a.sums = workspace.chunkSums;
    launch("so3kSums", a.numRuns, sumThreads, 0, a);
    for (int c = 0; c < a.numColumns; c++) {
        a.values[c] = workspace.chunkSums + c;
        a.stride[c] = a.numColumns;
    }
    a.numRuns = atoms.numMolecules;
    a.starts = composition.moleculeChunks.get();
    a.sums = perMolecule;
    launch("so3kSums", a.numRuns, sumThreads, 0, a);
}

template <class T> void CudaPotential<T>::zblRepulsion(bool gradient) {
    ZblArguments a{};
    a.atoms = atoms;
    a.edges = edges;
    a.cutoff = hyper.cutoff;
    for (int k = 0; k < 4; k++) {
        a.amplitude[k] = zbl.amplitude[k];
        a.decay[k] = zbl.decay[k];
    }
    a.charge = zblCharge.get();
    a.energy = workspace.zblEnergy;
    a.forces = gradient ? workspace.forces : nullptr;
    a.strain = workspace.strain;
    launchWarps("so3kZbl", a);
}

template <class T> void CudaPotential<T>::longRangeTerms(bool gradient) {
    LongRangeArguments<T> a{};
    a.atoms = atoms;
    a.neighbors = farNeighbors;
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
    a.forces = gradient ? workspace.forces : nullptr;
    a.strain = workspace.strain;
    launchWarps("so3kLongRange", a);
}

// ZBL, charge conservation and the long range, with the gradients that seed the way back.
template <class T> void CudaPotential<T>::physics(bool gradient) {
    if (hyper.zbl)
        zblRepulsion(gradient);
    if (hyper.partialCharges)
        sums({workspace.rawCharge}, {1}, workspace.moleculeCharges);
    ChargeArguments<T> a{};
    a.numAtoms = atoms.numAtoms;
    a.molecule = atoms.molecule;
    a.offsets = atoms.offsets;
    a.totalCharge = composition.totalCharges.get();
    a.rawCharge = workspace.rawCharge;
    a.rawChargeSums = workspace.moleculeCharges;
    a.hirshfeld = workspace.hirshfeld;
    a.species = composition.species.get();
    a.freePolarizability = composition.freePolarizability.get();
    a.positions = atoms.positions;
    a.charge = workspace.charges;
    a.dipole = workspace.dipoles;
    a.chargeRounded = workspace.charge;
    a.ratio = workspace.ratio;
    a.polarizability = workspace.polarizability;
    launch("so3kConserveCharge", blocksFor(atoms.numAtoms, 128), 128, 0, a);
    if (!hasLongRange())
        return;
    longRangeTerms(gradient);
    if (gradient && longRange.electrostatics)
        sums({workspace.chargeGradient}, {1}, workspace.moleculeChargeGradients);
}

template <class T> void CudaPotential<T>::download(const System &system, const Results &results) {
    const double *strain = workspace.strain, *dipole = workspace.dipoles;
    auto strainColumn = [&](int k) { return strain ? strain + k : nullptr; };
    sums({workspace.networkEnergy, workspace.zblEnergy, workspace.electrostaticEnergy, workspace.dispersionEnergy,
          strainColumn(0), strainColumn(1), strainColumn(2), strainColumn(3), strainColumn(4), strainColumn(5), dipole,
          dipole + 1, dipole + 2},
         {1, 1, 1, 1, 6, 6, 6, 6, 6, 6, 3, 3, 3}, workspace.moleculeSums);
    const size_t N = system.numAtoms;
    std::vector<double> total(size_t(system.numMolecules) * NumSums);
    device->download(total.data(), workspace.moleculeSums, total.size() * sizeof(double)); // waits for all of the above
    if (results.forces)
        device->download(results.forces, workspace.forces, 3 * N * sizeof(double));
    if (results.partialCharges)
        device->download(results.partialCharges, workspace.charges, N * sizeof(double));
    if (results.hirshfeldRatios) {
        std::vector<T> ratios(N);
        device->download(ratios.data(), workspace.ratio, N * sizeof(T));
        std::copy(ratios.begin(), ratios.end(), results.hirshfeldRatios);
    }
    for (int m = 0; m < system.numMolecules; m++) {
        const double *sum = &total[size_t(m) * NumSums];
        if (results.energies) {
            Energies &e = results.energies[m];
            e.network = sum[Network];
            e.zbl = sum[Zbl];
            e.electrostatics = sum[Electrostatics];
            e.dispersion = sum[Dispersion];
            e.total = e.network + e.zbl + e.electrostatics + e.dispersion;
            if (!std::isfinite(e.total))
                throw InputError("the energy of molecule " + std::to_string(m) +
                                 " is not a finite number: the positions are far outside what the model can describe");
        }
        const int place[9] = {0, 5, 4, 5, 1, 3, 4, 3, 2};
        for (int k = 0; k < 9 && results.virials; k++)
            results.virials[9L * m + k] = -sum[Strain + place[k]];
        for (int k = 0; k < 3 && results.dipoles; k++)
            results.dipoles[3L * m + k] = sum[Dipole + k];
    }
}

std::unique_ptr<Potential> makeCudaPotential(std::shared_ptr<const Model> model, const Options &options,
                                             std::shared_ptr<Device> device) {
    if (options.precision == Precision::Double)
        return std::make_unique<CudaPotential<double>>(std::move(model), options, std::move(device));
    return std::make_unique<CudaPotential<float>>(std::move(model), options, std::move(device));
}

} // namespace so3krates::cuda
