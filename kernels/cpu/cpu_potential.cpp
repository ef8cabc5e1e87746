// The CPU backend: checks the input, builds the lists, and runs the kernels stage by stage on the caller's threads.

#include <chrono>
#include <cmath>
#include <cstring>
#include <exception>
#include <mutex>

#include "cpu/embedding.h"
#include "cpu/kernel_table.h"
#include "cpu/physics/long_range_grid.h"
#include "cpu/workspace.h"
#include "input_checks.h"
#include "neighbors/spatial_order.h"
#include "radial/first_layer_tables.h"
#include "threads/parallel.h"

namespace so3krates::cpu {

namespace {

// Smaller systems fit the caches in any order.
constexpr int atomsWorthSorting = 256;

constexpr int pairsPerTask = 4 * pairBlock; // forward stages write to their own pairs only: any cut will do

// Wall time from one stage's end to the next, for whoever asked; otherwise no clock is read.
class StageClock {
public:
    explicit StageClock(std::vector<StageTime> *times) : times(times) {
        if (times) {
            times->clear();
            last = std::chrono::steady_clock::now();
        }
    }
    void ends(const char *stage, int layer = -1) {
        if (!times)
            return;
        const auto now = std::chrono::steady_clock::now();
        times->push_back({stage, layer, std::chrono::duration<double>(now - last).count()});
        last = now;
    }

private:
    std::vector<StageTime> *times;
    std::chrono::steady_clock::time_point last;
};

// The stages of an evaluation: tasks are handed out to the threads as they come, and no thread enters a stage before
// all have left the one before. Every thread runs the same stages, each with its own Turn.
class Stages {
public:
    struct Turn {
        int thread, stage = 0, layer = -1;
    };
    Stages(int threads, int stages, StageClock &clock) : barrier(threads), next(stages), clock(clock) {}
    template <class Work> void run(Turn &turn, const char *name, int tasks, const Work &work) {
        std::atomic<int> &counter = next[turn.stage];
        try {
            for (int task = counter++; task < tasks; task = counter++)
                work(task);
        } catch (...) { // memory is short; the others are waiting at the barrier
            std::lock_guard<std::mutex> lock(mutex);
            failure = std::current_exception();
        }
        finish(turn, name);
    }
    // To be called when all threads are through.
    void rethrow() const {
        if (failure)
            std::rethrow_exception(failure);
    }
    // One thread's work while the others wait.
    template <class Work> void alone(Turn &turn, const char *name, const Work &work) {
        if (turn.thread == 0)
            work();
        finish(turn, name);
    }

private:
    void finish(Turn &turn, const char *name) {
        turn.stage++;
        barrier.wait([&] { clock.ends(name, turn.layer); }); // not later: the others may be ahead by then
    }
    Barrier barrier;
    std::vector<std::atomic<int>> next;
    StageClock &clock;
    std::mutex mutex;
    std::exception_ptr failure;
};

} // namespace

template <class T> class CpuPotential : public Potential {
public:
    CpuPotential(std::shared_ptr<const Model> model, const Options &options)
        : frozen(std::move(model)), settings(options),
          kernels(selectKernels<T>(shapeNumbers(frozen->hyperparameters()))),
          table(std::is_same<T, float>::value && options.radialTable ? sharedRadialTable(*frozen) : nullptr),
          weights(*frozen, kernels.format, table.get()), packed(weights.get()), zbl(*frozen),
          longRange(*frozen, options.lrCutoff, options.dispersionSwitchWidth),
          firstLayer(frozen, table, kernels.format.lanes, FirstLayerView<T>::mostRow), workspace(packed) {}

    void compute(const System &system, const Results &results, ThreadTeam &team) override;
    const Model &model() const override { return *frozen; }
    const Options &options() const override { return settings; }
    std::string implementation() const override {
        return std::string("CPU ") + kernels.name + (settings.precision == Precision::Double ? " double" : " single") +
               (kernels.oneShape ? ", kernels for SO3LR's shape" : "") +
               (packed.tableGrid.intervals
                    ? ", radial table of " + std::to_string(packed.tableGrid.intervals) + " intervals"
                    : ", exact radial networks");
    }

private:
    void updateComposition(const System &system);
    System placed(const System &system);
    void network(const System &system, bool gradient, bool strain, ThreadTeam &team);
    void conserveCharge(const System &system);
    void placeLongRangeAtoms(int numAtoms);
    void chargeGradients(const System &system);
    void zblAndGeometry(int begin, int end);
    void collectForces(int begin, int end, bool strain, double *forces);
    void summarize(const System &system, const Results &results);

    int atomAt(int place) const { return order.empty() ? place : order[place]; }

    std::shared_ptr<const Model> frozen;
    Options settings;
    const KernelTable<T> &kernels;
    std::shared_ptr<const RadialTable> table;
    PackedModelOwner<T> weights;
    const PackedModel<T> &packed;
    ZblParameters zbl;
    LongRangeParameters longRange;
    NeighborLists lists;
    LongRangeGrid<T> longRangeGrid;
    FirstLayerTables<T> firstLayer;
    Workspace<T> workspace;
    std::vector<Box> boxes;
    Buffer<T> scratch;
    LongRangeTerms<T> terms;
    std::vector<double> charges; // [N] after conservation
    // what the initial features and species were made for
    std::vector<int> lastNumbers, lastOffsets;
    std::vector<double> lastCharges, lastSpins;
    // Everything from the lists to the results is in spatial order: order[place] is the caller's atom; empty: as given.
    std::vector<int> order, placedNumbers, placedKind;
    std::vector<double> placedPositions;
};

template <class T> void CpuPotential<T>::updateComposition(const System &system) {
    const int N = system.numAtoms;
    std::vector<int> numbers(system.atomicNumbers, system.atomicNumbers + N), offsets{0, N};
    if (system.offsets)
        offsets.assign(system.offsets, system.offsets + system.numMolecules + 1);
    auto perMolecule = [&](const double *values) {
        return values ? std::vector<double>(values, values + system.numMolecules)
                      : std::vector<double>(system.numMolecules, 0.0);
    };
    std::vector<double> totalCharges = perMolecule(system.charges), spins = perMolecule(system.spins);
    if (numbers == lastNumbers && offsets == lastOffsets && totalCharges == lastCharges && spins == lastSpins)
        return;
    lastNumbers.clear(); // until all of it is done
    std::vector<double> x = initialFeatures(*frozen, system);
    const size_t F = packed.shape.numFeatures, stride = packed.shape.features;
    T *features = workspace.initialFeatures.ensure(N * stride);
    for (int i = 0; i < N; i++)
        for (size_t f = 0; f < F; f++)
            features[i * stride + f] = T(x[i * F + f]);

    firstLayer.prepare(x, N);

    lastNumbers = std::move(numbers);
    lastOffsets = std::move(offsets);
    lastCharges = std::move(totalCharges);
    lastSpins = std::move(spins);
}

// The system in spatial order.
template <class T> System CpuPotential<T>::placed(const System &system) {
    if (system.numAtoms < atomsWorthSorting) {
        order.clear();
        return system;
    }
    spatialOrder(system, boxes, order);
    const int N = system.numAtoms;
    placedNumbers.resize(N);
    placedPositions.resize(3L * N);
    const int *kind = firstLayer.available() ? firstLayer.kinds().data() : nullptr;
    placedKind.resize(kind ? N : 0);
    for (int k = 0; k < N; k++) {
        placedNumbers[k] = system.atomicNumbers[order[k]];
        if (kind)
            placedKind[k] = kind[order[k]];
        for (int x = 0; x < 3; x++)
            placedPositions[3L * k + x] = system.positions[3L * order[k] + x];
    }
    System result = system;
    result.atomicNumbers = placedNumbers.data();
    result.positions = placedPositions.data();
    return result;
}

// Stage: geometry of the pairs [begin, end), and ZBL into their energy and distance gradient.
template <class T> void CpuPotential<T>::zblAndGeometry(int begin, int end) {
    const Evaluation<T> &e = workspace.evaluation;
    kernels.pairGeometry(e, begin, end);
    if (!zbl.present)
        return;
    for (int p = begin; p < end; p++) {
        double slope;
        workspace.zblEnergy.get()[p] =
            kernels.zblPair(zbl, zbl.charge.data(), packed.cutoffFunction, packed.cutoffExponent, packed.cutoff,
                            e.atomicNumbers[e.pairs.i[p]], e.atomicNumbers[e.pairs.j[p]], e.distance[p], slope);
        if (e.withGradient)
            e.distanceGradient[p] = T(slope);
    }
}

// q_i = raw_i + (Q - sum raw)/N per molecule.
template <class T> void CpuPotential<T>::conserveCharge(const System &system) {
    const Evaluation<T> &e = workspace.evaluation;
    for (int m = 0; m < system.numMolecules; m++) {
        const int begin = lastOffsets[m], end = lastOffsets[m + 1];
        double sum = 0;
        if (packed.hasCharges)
            for (int i = begin; i < end; i++)
                sum += double(e.rawCharge[i]);
        const double correction = (lastCharges[m] - sum) / (end - begin);
        for (int i = begin; i < end; i++) {
            charges[i] = packed.hasCharges ? double(e.rawCharge[i]) + correction : 0;
        }
    }
}

// What the long-range terms read of the atoms, by place.
template <class T> void CpuPotential<T>::placeLongRangeAtoms(int numAtoms) {
    const Evaluation<T> &e = workspace.evaluation;
    LongRangeAtoms<T> &a = workspace.longRangeAtoms;
    for (int place = 0; place < numAtoms; place++) {
        const int i = longRangeGrid.atomAt(place), z = e.atomicNumbers[i];
        const T ratio = packed.hasHirshfeld ? e.hirshfeld[i] : T(1);
        a.charge.get()[place] = T(charges[i]);
        a.ratio.get()[place] = ratio;
        a.freePolarizability.get()[place] = T(longRange.freePolarizability(z));
        a.polarizability.get()[place] = ratio * T(longRange.freePolarizability(z));
        a.alphaSquareOverC6.get()[place] = T(longRange.alphaSquareOverC6(z));
    }
}

// dE/d(raw charge): charge conservation takes the molecule's mean away.
template <class T> void CpuPotential<T>::chargeGradients(const System &system) {
    const LongRangeResult *results = workspace.longRange.get();
    for (int m = 0; m < system.numMolecules; m++) {
        const int begin = lastOffsets[m], end = lastOffsets[m + 1];
        double mean = 0;
        for (int i = begin; i < end; i++)
            mean += results[i].chargeGradient;
        mean /= end - begin;
        for (int i = begin; i < end; i++) {
            workspace.chargeGradient.get()[i] = results[i].chargeGradient - mean;
            workspace.ratioGradient.get()[i] = results[i].ratioGradient;
        }
    }
}

template <class T> void CpuPotential<T>::collectForces(int begin, int end, bool strain, double *forces) {
    const Evaluation<T> &e = workspace.evaluation;
    for (int i = begin; i < end; i++) {
        double f[3] = {0, 0, 0};
        for (int k = e.pairs.adjacencyStart[i]; k < e.pairs.adjacencyStart[i + 1]; k++) {
            const T *g = e.pairGradient + 4L * (e.pairs.adjacency[k] >> 1);
            const double sign = e.pairs.adjacency[k] & 1 ? -1 : 1;
            for (int x = 0; x < 3; x++)
                f[x] += sign * double(g[x]);
        }
        for (int x = 0; x < 3; x++)
            forces[3L * atomAt(i) + x] = f[x] - workspace.longRange.get()[i].gradient[x];
        if (strain) {
            const int first[6] = {0, 1, 2, 1, 0, 0}, second[6] = {0, 1, 2, 2, 2, 1};
            double *s = workspace.strain.get() + 6L * i;
            for (int k = 0; k < 6; k++)
                s[k] = workspace.longRange.get()[i].strain[k];
            for (int p = lists.pairStart[i]; p < lists.pairStart[i + 1]; p++) {
                const T *g = e.pairGradient + 4L * p, *u = e.unit + 4L * p;
                for (int k = 0; k < 6; k++)
                    s[k] += 0.5 * e.distance[p] *
                            (double(g[first[k]]) * double(u[second[k]]) + double(g[second[k]]) * double(u[first[k]]));
            }
        }
    }
}

template <class T> void CpuPotential<T>::compute(const System &given, const Results &results, ThreadTeam &team) {
    StageClock clock(results.stageTimes);
    checkComposition(*frozen, packed.elementRows, settings, given);
    checkPositions(given);
    boxes.resize(given.numMolecules);
    const bool hasLongRange = longRange.electrostatics || longRange.dispersion;
    for (int m = 0; m < given.numMolecules; m++) {
        boxes[m] = Box::from(given.cells ? given.cells + 9L * m : nullptr);
        if (boxes[m].periodic && hasLongRange && std::isinf(longRange.cutoff))
            throw InputError("a periodic system needs a long-range cutoff: give lr_cutoff (Å), for example 12");
    }
    updateComposition(given);
    const System system = placed(given);
    clock.ends("checks, composition, order");
    try {
        lists.build(system, boxes, packed.cutoff, team);
    } catch (const CoincidentAtoms &pair) {
        throw CoincidentAtoms(atomAt(pair.i), atomAt(pair.j), pair.images);
    }
    if (hasLongRange)
        longRangeGrid.build(system, boxes, lists.positions.data(), longRange.cutoff, team);
    clock.ends("neighbor lists");
    const bool strain = results.virials, gradient = results.forces || strain;
    workspace.prepare(system, lists, gradient, firstLayer.available());
    const size_t scratchSize = kernels.scratchSize(packed) + 64;
    scratch.ensure(scratchSize * team.size());

    Evaluation<T> &e = workspace.evaluation;
    e.firstLayer = FirstLayerView<T>();
    if (firstLayer.available()) {
        e.firstLayer.tables = firstLayer.allTables();
        e.firstLayer.kind = order.empty() ? firstLayer.kinds().data() : placedKind.data();
        e.firstLayer.mostKinds = FirstLayerTables<T>::mostKinds;
        e.firstLayer.row = firstLayer.row();
    }
    terms = LongRangeTerms<T>();
    terms.electrostatics = longRange.electrostatics;
    terms.dispersion = longRange.dispersion;
    terms.hasCutoff = !std::isinf(longRange.cutoff);
    terms.cutoff = T(longRange.cutoff);
    terms.sigma = T(longRange.sigma);
    terms.electrostaticsOn = T(longRange.electrostaticsOn);
    terms.valueAtCutoff = T(longRange.valueAtCutoff);
    terms.slopeAtCutoff = T(longRange.slopeAtCutoff);
    terms.dispersionOn = T(longRange.dispersionOn);
    terms.gammaScale = T(longRange.gammaScale);
    if (hasLongRange)
        longRangeGrid.setCoordinates(terms);
    terms.charge = workspace.longRangeAtoms.charge.get();
    terms.ratio = workspace.longRangeAtoms.ratio.get();
    terms.freePolarizability = workspace.longRangeAtoms.freePolarizability.get();
    terms.polarizability = workspace.longRangeAtoms.polarizability.get();
    terms.alphaSquareOverC6 = workspace.longRangeAtoms.alphaSquareOverC6.get();

    const int N = system.numAtoms, layers = packed.shape.numLayers, P = e.pairs.numPairs;
    const int atomTasks = (N + atomBlock - 1) / atomBlock, pairTasks = (P + pairsPerTask - 1) / pairsPerTask;
    std::vector<double> unwantedForces(results.forces || !gradient ? 0 : 3L * N);
    double *forces = results.forces ? results.forces : unwantedForces.data();
    if (!hasLongRange)
        for (int i = 0; i < N; i++)
            workspace.longRange.get()[i] = LongRangeResult();

    charges.resize(N);
    clock.ends("tiles and work space");
    Stages stages(team.size(), 16 + 4 * layers, clock);
    team.run([&](int thread) {
        T *mine = scratch.get() + scratchSize * thread;
        Stages::Turn turn{thread};
        auto atoms = [&](const char *name, auto &&work) {
            stages.run(turn, name, atomTasks, [&](int task) {
                const int begin = task * atomBlock;
                work(begin, std::min(atomBlock, N - begin));
            });
        };
        auto pairs = [&](const char *name, auto &&work) {
            stages.run(turn, name, pairTasks, [&](int task) {
                const int begin = task * pairsPerTask;
                work(begin, std::min(begin + pairsPerTask, P));
            });
        };

        pairs("pair geometry and ZBL", [&](int begin, int end) { zblAndGeometry(begin, end); });
        atoms("first q, k, v", [&](int begin, int n) {
            const size_t stride = packed.shape.features, evStride = packed.shape.euclidean;
            for (int i = begin; i < begin + n; i++)
                std::memcpy(e.features + i * stride, e.initialFeatures + atomAt(i) * stride, sizeof(T) * stride);
            if (packed.euclideanFromNeighborhood)
                kernels.initialEuclidean(e, begin, begin + n);
            else
                std::memset(e.layer[0].evIn + begin * evStride, 0, sizeof(T) * n * evStride);
            kernels.project(e, 0, begin, n);
        });
        for (int layer = 0; layer < layers; layer++) {
            turn.layer = layer;
            pairs("attention forward", [&](int begin, int end) {
                if (layer == 0 && e.firstLayer.tables)
                    kernels.firstLayerForward(e, begin, end);
                else
                    kernels.attentionForward(e, layer, begin, end, mine);
            });
            atoms(layer == layers - 1 ? "atom forward and heads" : "atom forward", [&](int begin, int n) {
                kernels.atomForward(e, layer, begin, n, mine);
                if (layer == layers - 1)
                    kernels.headsForward(e, begin, n, mine);
            });
        }
        turn.layer = -1;
        stages.alone(turn, "charge conservation", [&] {
            conserveCharge(system);
            if (hasLongRange)
                placeLongRangeAtoms(N);
        });
        if (hasLongRange) {
            stages.run(turn, "long range", longRangeGrid.numTasks(), [&](int task) {
                longRangeGrid.forEach(task, [&](int place, const LongRangeNeighbors<T> &neighbors) {
                    kernels.longRangeAtom(terms, place, neighbors, strain,
                                          workspace.longRange.get()[longRangeGrid.atomAt(place)]);
                });
            });
            stages.alone(turn, "charge conservation", [&] {
                chargeGradients(system);
                e.chargeGradient = longRange.electrostatics ? workspace.chargeGradient.get() : nullptr;
                e.hirshfeldGradient = longRange.dispersion ? workspace.ratioGradient.get() : nullptr;
            });
        }
        if (!gradient)
            return;
        turn.layer = layers - 1;
        atoms("heads and atom backward", [&](int begin, int n) {
            kernels.headsBackward(e, begin, n, mine);
            kernels.atomBackward(e, layers - 1, begin, n, mine);
        });
        for (int layer = layers - 1; layer >= 0; layer--) {
            // The first layer's input depends on the positions only if ev comes from the neighborhood.
            const bool input = layer > 0 || packed.euclideanFromNeighborhood;
            turn.layer = layer;
            stages.run(turn, "attention backward", e.pairs.numTiles,
                       [&](int tile) { kernels.attentionBackward(e, layer, tile, input, mine); });
            if (input) {
                atoms("gradients collected, atom backward", [&](int begin, int n) {
                    kernels.collectGradients(e, layer, begin, n, mine);
                    if (layer > 0)
                        kernels.atomBackward(e, layer - 1, begin, n, mine);
                });
            }
        }
        turn.layer = -1;
        pairs("pair gradients", [&](int begin, int end) {
            if (packed.euclideanFromNeighborhood)
                kernels.initialEuclideanBackward(e, begin, end);
            kernels.pairGradients(e, begin, end);
        });
        atoms("forces", [&](int begin, int n) { collectForces(begin, begin + n, strain, forces); });
    });
    stages.rethrow();
    summarize(system, results);
    clock.ends("sums and checks");
}

template <class T> void CpuPotential<T>::summarize(const System &system, const Results &results) {
    const Evaluation<T> &e = workspace.evaluation;
    const LongRangeResult *far = workspace.longRange.get();
    for (int m = 0; m < system.numMolecules; m++) {
        const int begin = lastOffsets[m], end = lastOffsets[m + 1];
        if (results.energies) {
            Energies &sum = results.energies[m];
            sum = Energies();
            for (int i = begin; i < end; i++) {
                sum.network += e.networkEnergy[i];
                sum.electrostatics += far[i].electrostaticEnergy;
                sum.dispersion += far[i].dispersionEnergy;
            }
            if (zbl.present)
                for (int p = lists.pairStart[begin]; p < lists.pairStart[end]; p++)
                    sum.zbl += workspace.zblEnergy.get()[p];
            sum.total = sum.network + sum.zbl + sum.electrostatics + sum.dispersion;
        }
        double check = results.energies ? results.energies[m].total : 0; // not finite if anything is not
        if (results.forces)
            for (int k = 3 * begin; k < 3 * end; k++)
                check += 0 * results.forces[k];
        if (!std::isfinite(check))
            throw InputError("the energy or the forces of molecule " + std::to_string(m) +
                             " are not finite numbers: the positions, the charge or the spin are far outside what the "
                             "model describes");
        if (results.virials) {
            double s[6] = {0, 0, 0, 0, 0, 0};
            for (int i = begin; i < end; i++)
                for (int k = 0; k < 6; k++)
                    s[k] += workspace.strain.get()[6L * i + k];
            const int place[9] = {0, 5, 4, 5, 1, 3, 4, 3, 2};
            for (int k = 0; k < 9; k++)
                results.virials[9L * m + k] = -s[place[k]];
        }
        if (results.dipoles)
            for (int x = 0; x < 3; x++) {
                double sum = 0;
                for (int i = begin; i < end; i++)
                    sum += charges[i] * system.positions[3L * i + x];
                results.dipoles[3L * m + x] = sum;
            }
    }
    for (int i = 0; i < system.numAtoms; i++) {
        if (results.partialCharges)
            results.partialCharges[atomAt(i)] = charges[i];
        if (results.hirshfeldRatios)
            results.hirshfeldRatios[atomAt(i)] = packed.hasHirshfeld ? double(e.hirshfeld[i]) : 1;
    }
}

std::unique_ptr<Potential> makeCpuPotential(std::shared_ptr<const Model> model, const Options &options) {
    if (options.precision == Precision::Double)
        return std::make_unique<CpuPotential<double>>(std::move(model), options);
    return std::make_unique<CpuPotential<float>>(std::move(model), options);
}

} // namespace so3krates::cpu
