#include "attention_operator.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "cpu/kernel_table.h"
#include "cpu/workspace.h"
#include "input_checks.h"

namespace so3krates::cpu {

namespace {

constexpr int pairsPerTask = 4 * pairBlock, atomsPerTask = 64;

// Between rows of F features and rows cut in blocks with padding.
template <class T> void cutInBlocks(const BlockLayout &layout, const T *row, T *blocks) {
    for (int b = 0; b < layout.count; b++)
        std::copy(row + b * layout.width, row + (b + 1) * layout.width, blocks + b * layout.stride);
}

template <class T> void joinBlocks(const BlockLayout &layout, const T *blocks, T *row) {
    for (int b = 0; b < layout.count; b++)
        std::copy(blocks + b * layout.stride, blocks + b * layout.stride + layout.width, row + b * layout.width);
}

} // namespace

template <class T> class CpuAttention : public AttentionOperator<T> {
public:
    CpuAttention(std::shared_ptr<const Model> model, std::unique_ptr<ThreadTeam> team)
        : frozen(std::move(model)), team(std::move(team)),
          kernels(selectKernels<T>(shapeNumbers(frozen->hyperparameters()))),
          weights(*frozen, kernels.format, nullptr, FirstLayer::AsTheOthers), packed(weights.get()), workspace(packed) {
    }

    void compute(const AttentionInput<T> &input, const AttentionOutput<T> &output) override;

private:
    // Tasks handed out to the threads as they come; ends when all are done.
    template <class Work> void share(int numTasks, const Work &work) {
        std::atomic<int> next{0};
        team->run([&](int thread) {
            for (int task = next++; task < numTasks; task = next++)
                work(task, thread);
        });
    }
    template <class Work> void shareAtoms(int numAtoms, const Work &work) {
        share((numAtoms + atomsPerTask - 1) / atomsPerTask, [&](int task, int) {
            for (int i = task * atomsPerTask; i < std::min((task + 1) * atomsPerTask, numAtoms); i++)
                work(i);
        });
    }
    void takeAtom(const AttentionInput<T> &input, int i);
    void collectMessages(const AttentionOutput<T> &output, int layer, int i);
    void collectGradients(const AttentionOutput<T> &output, int i);
    void addStrain(double *strain) const;

    std::shared_ptr<const Model> frozen;
    std::unique_ptr<ThreadTeam> team;
    const KernelTable<T> &kernels;
    PackedModelOwner<T> weights;
    const PackedModel<T> &packed;
    NeighborLists lists;
    Workspace<T> workspace;
    Buffer<T> scratch;
};

template <class T> void CpuAttention<T>::takeAtom(const AttentionInput<T> &input, int i) {
    const Shape &s = packed.shape;
    const Evaluation<T> &e = workspace.evaluation;
    const long F = s.numFeatures, M = s.numEuclidean;
    T *row = e.layer[input.layer].attention + long(i) * s.attentionRow();
    cutInBlocks(s.block[0], input.queryX + i * F, row + s.queryX());
    cutInBlocks(s.block[0], input.keyX + i * F, row + s.keyX());
    cutInBlocks(s.block[0], input.valueX + i * F, row + s.valueX());
    cutInBlocks(s.block[1], input.queryEv + i * F, row + s.queryEv());
    cutInBlocks(s.block[1], input.keyEv + i * F, row + s.keyEv());
    std::copy_n(input.ev + i * M, M, e.layer[input.layer].evIn + long(i) * s.euclidean);
    if (input.messageGradient) {
        cutInBlocks(s.block[0], input.messageGradient + i * F, e.messageGradient + long(i) * s.block[0].total());
        std::copy_n(input.evGradient + i * M, M, e.evGradient + long(i) * s.euclidean);
    }
}

template <class T> void CpuAttention<T>::collectMessages(const AttentionOutput<T> &output, int layer, int i) {
    const Shape &s = packed.shape;
    const Evaluation<T> &e = workspace.evaluation;
    const LayerState<T> &state = e.layer[layer];
    const BlockLayout &heads = s.block[0];
    T *message = output.message + long(i) * s.numFeatures, *ev = output.evMessage + long(i) * s.numEuclidean;
    std::fill_n(message, s.numFeatures, T(0));
    std::fill_n(ev, s.numEuclidean, T(0));
    for (int k = e.pairs.adjacencyStart[i]; k < e.pairs.adjacencyStart[i + 1]; k++) {
        const int pair = e.pairs.adjacency[k] >> 1, direction = e.pairs.adjacency[k] & 1;
        const int other = direction ? e.pairs.i[pair] : e.pairs.j[pair];
        const T *alpha = state.alpha + long(pair) * s.alphaRow();
        const T *value = state.attention + long(other) * s.attentionRow() + s.valueX();
        const T *y = e.harmonics + long(pair) * s.euclidean;
        for (int h = 0; h < heads.count; h++)
            for (int c = 0; c < heads.width; c++)
                message[h * heads.width + c] += alpha[s.alpha(0, direction) + h] * value[h * heads.stride + c];
        for (int d = 0; d < s.numDegrees; d++)
            for (int m = s.degreeStart[d]; m < s.degreeStart[d + 1]; m++)
                ev[m] += alpha[s.alpha(1, direction) + d] * y[m];
    }
}

// Adds up the rows in which tiles collected an atom's gradients, and its pairs' for the position.
template <class T> void CpuAttention<T>::collectGradients(const AttentionOutput<T> &output, int i) {
    const Shape &s = packed.shape;
    const Evaluation<T> &e = workspace.evaluation;
    const long F = s.numFeatures, M = s.numEuclidean;
    std::vector<T> sum(s.gradientRow(), T(0));
    for (int k = e.pairs.slotStart[i]; k < e.pairs.slotStart[i + 1]; k++) {
        const T *slot = e.slotGradients + long(e.pairs.slots[k]) * s.gradientRow();
        for (int c = 0; c < s.gradientRow(); c++)
            sum[c] += slot[c];
    }
    joinBlocks(s.block[0], sum.data() + s.queryX(), output.queryX + i * F);
    joinBlocks(s.block[0], sum.data() + s.keyX(), output.keyX + i * F);
    joinBlocks(s.block[0], sum.data() + s.valueX(), output.valueX + i * F);
    joinBlocks(s.block[1], sum.data() + s.queryEv(), output.queryEv + i * F);
    joinBlocks(s.block[1], sum.data() + s.keyEv(), output.keyEv + i * F);
    std::copy_n(sum.data() + s.attentionRow(), M, output.ev + i * M);
    double g[3] = {0, 0, 0};
    for (int k = e.pairs.adjacencyStart[i]; k < e.pairs.adjacencyStart[i + 1]; k++) {
        const T *pair = e.pairGradient + 4L * (e.pairs.adjacency[k] >> 1);
        for (int x = 0; x < 3; x++)
            g[x] += (e.pairs.adjacency[k] & 1 ? 1 : -1) * double(pair[x]);
    }
    std::copy_n(g, 3, output.positions + 3L * i);
}

template <class T> void CpuAttention<T>::addStrain(double *strain) const {
    const Evaluation<T> &e = workspace.evaluation;
    const int first[6] = {0, 1, 2, 1, 0, 0}, second[6] = {0, 1, 2, 2, 2, 1};
    std::fill_n(strain, 6, 0.0);
    for (int p = 0; p < e.pairs.numPairs; p++) {
        const T *g = e.pairGradient + 4L * p, *u = e.unit + 4L * p;
        for (int k = 0; k < 6; k++)
            strain[k] += 0.5 * e.distance[p] *
                         (double(g[first[k]]) * double(u[second[k]]) + double(g[second[k]]) * double(u[first[k]]));
    }
}

template <class T> void CpuAttention<T>::compute(const AttentionInput<T> &input, const AttentionOutput<T> &output) {
    if (input.layer < 0 || input.layer >= packed.shape.numLayers)
        throw InputError("the model has layers 0 to " + std::to_string(packed.shape.numLayers - 1) + ", not " +
                         std::to_string(input.layer));
    System system;
    system.numAtoms = input.numAtoms;
    system.positions = input.positions;
    checkPositions(system);
    const std::vector<Box> boxes{Box::from(input.cell)};
    lists.build(system, boxes, packed.cutoff, *team);
    const bool gradient = input.messageGradient;
    workspace.prepare(system, lists, gradient, false);
    const Evaluation<T> &e = workspace.evaluation;
    const size_t scratchSize = kernels.scratchSize(packed) + 64;
    scratch.ensure(scratchSize * team->size());
    const auto pairs = [&](const auto &work) {
        share((e.pairs.numPairs + pairsPerTask - 1) / pairsPerTask, [&](int task, int thread) {
            const int begin = task * pairsPerTask;
            work(begin, std::min(begin + pairsPerTask, e.pairs.numPairs), scratch.get() + scratchSize * thread);
        });
    };
    shareAtoms(input.numAtoms, [&](int i) { takeAtom(input, i); });
    pairs([&](int begin, int end, T *mine) {
        kernels.pairGeometry(e, begin, end);
        kernels.attentionForward(e, input.layer, begin, end, mine);
    });
    shareAtoms(input.numAtoms, [&](int i) { collectMessages(output, input.layer, i); });
    if (!gradient)
        return;
    share(e.pairs.numTiles, [&](int tile, int thread) {
        kernels.attentionBackward(e, input.layer, tile, true, scratch.get() + scratchSize * thread);
    });
    pairs([&](int begin, int end, T *) { kernels.pairGradients(e, begin, end); });
    shareAtoms(input.numAtoms, [&](int i) { collectGradients(output, i); });
    addStrain(output.strain);
}

template <class T>
std::unique_ptr<AttentionOperator<T>> makeAttentionOperator(std::shared_ptr<const Model> model,
                                                            std::unique_ptr<ThreadTeam> team) {
    return std::make_unique<CpuAttention<T>>(std::move(model), std::move(team));
}

template std::unique_ptr<AttentionOperator<float>> makeAttentionOperator(std::shared_ptr<const Model>,
                                                                         std::unique_ptr<ThreadTeam>);
template std::unique_ptr<AttentionOperator<double>> makeAttentionOperator(std::shared_ptr<const Model>,
                                                                          std::unique_ptr<ThreadTeam>);

} // namespace so3krates::cpu
