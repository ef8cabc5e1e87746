#include "cuda/cuda_attention.h"

#include <algorithm>

#include "cuda/attention.h"
#include "cuda/device/attention_results.h"
#include "cuda/model_arrays.h"
#include "cuda/neighbor_lists.h"
#include "potential.h"

namespace so3krates::cuda {

template <class T> class CudaAttention : public AttentionOperator<T> {
public:
    CudaAttention(std::shared_ptr<const Model> model, std::shared_ptr<Device> device)
        : frozen(std::move(model)), device(device), hyper(frozen->hyperparameters()),
          arrays(*frozen, nullptr, device, FirstLayer::AsTheOthers), lists(device), molecule(device), offsets(device),
          evAttended(device), forces(device) {
        checkAttentionShape(hyper);
    }
    void compute(const AttentionInput<T> &input, const AttentionOutput<T> &output) override;

private:
    void makeLists(const AttentionInput<T> &input);
    AttentionArguments<T> arguments(const AttentionInput<T> &input, const AttentionOutput<T> &output);

    std::shared_ptr<const Model> frozen;
    std::shared_ptr<Device> device;
    const Hyperparameters &hyper;
    ModelArrays<T> arrays;
    DeviceNeighborLists lists;
    Buffer<int> molecule, offsets;
    int numAtoms = 0; // that molecule and offsets are for
    Buffer<T> evAttended;
    Buffer<double> forces; // [N][3]
};

template <class T> void CudaAttention<T>::makeLists(const AttentionInput<T> &input) {
    const int N = input.numAtoms;
    if (N != numAtoms) {
        numAtoms = 0;
        molecule.upload(std::vector<int>(N, 0));
        offsets.upload(std::vector<int>{0, N});
        numAtoms = N;
    }
    Atoms atoms{};
    atoms.numAtoms = N;
    atoms.numMolecules = 1;
    atoms.molecule = molecule.get();
    atoms.offsets = offsets.get();
    lists.prepare(atoms, {0, N}, {Box::from(input.cell)}, hyper.cutoff, 0);
    device->copy(lists.positions(), input.positions, 3 * sizeof(double) * N);
    do {
        lists.enqueue();
        lists.join();
        lists.wait();
    } while (!lists.accept());
}

template <class T>
AttentionArguments<T> CudaAttention<T>::arguments(const AttentionInput<T> &input, const AttentionOutput<T> &output) {
    const size_t N = input.numAtoms;
    AttentionArguments<T> a{};
    a.atoms = lists.atoms();
    a.edges = lists.edges();
    a.weights = arrays.layers[input.layer];
    auto read = [](const T *pointer) { return const_cast<T *>(pointer); }; // the state is only read, but for evAttended
    a.state.queryX = read(input.queryX);
    a.state.keyX = read(input.keyX);
    a.state.valueX = read(input.valueX);
    a.state.queryEv = read(input.queryEv);
    a.state.keyEv = read(input.keyEv);
    a.state.evIn = read(input.ev);
    a.state.evAttended = evAttended.ensure(N * hyper.numEuclidean());
    a.cutoff = hyper.cutoff;
    a.messageScale[0] = T(hyper.messageScale(hyper.numHeads));
    a.messageScale[1] = T(hyper.messageScale(hyper.numDegrees()));
    a.basisParameters = arrays.basisParameters;
    a.features = output.message;
    if (!input.messageGradient)
        return a;
    a.messageGradient = input.messageGradient;
    a.evGradient = input.evGradient;
    a.queryXGradient = output.queryX;
    a.keyXGradient = output.keyX;
    a.valueXGradient = output.valueX;
    a.queryEvGradient = output.queryEv;
    a.keyEvGradient = output.keyEv;
    a.evInGradient = output.ev;
    a.inputMatters = 1;
    a.forces = forces.ensure(3 * N);
    return a;
}

template <class T> void CudaAttention<T>::compute(const AttentionInput<T> &input, const AttentionOutput<T> &output) {
    if (input.layer < 0 || input.layer >= hyper.numLayers)
        throw InputError("the model has layers 0 to " + std::to_string(hyper.numLayers - 1) + ", not " +
                         std::to_string(input.layer));
    const size_t N = input.numAtoms;
    const bool gradient = input.messageGradient;
    makeLists(input);
    const AttentionArguments<T> a = arguments(input, output);
    device->clear(output.message, sizeof(T) * N * hyper.numFeatures);
    launchAttentionForward(*device, hyper, a);
    if (gradient) {
        device->clear(a.forces, 3 * sizeof(double) * N);
        launchAttentionBackward(*device, hyper, a);
    }
    AttentionResultArguments<T> r{};
    r.numEv = int(N) * hyper.numEuclidean();
    r.numCoordinates = gradient ? 3 * int(N) : 0;
    r.evIn = input.ev;
    r.evAttended = a.state.evAttended;
    r.evMessage = output.evMessage;
    r.forces = a.forces;
    r.gradient = output.positions;
    const unsigned numbers = unsigned(std::max(r.numEv, r.numCoordinates));
    device->launch("so3kAttentionResults", {(numbers + 127) / 128, 128, 0}, &r, sizeof r);
    device->synchronize();
}

template <class T>
std::unique_ptr<AttentionOperator<T>> makeAttentionOperator(std::shared_ptr<const Model> model,
                                                            std::shared_ptr<Device> device) {
    return std::make_unique<CudaAttention<T>>(std::move(model), std::move(device));
}

template std::unique_ptr<AttentionOperator<float>> makeAttentionOperator(std::shared_ptr<const Model>,
                                                                         std::shared_ptr<Device>);
template std::unique_ptr<AttentionOperator<double>> makeAttentionOperator(std::shared_ptr<const Model>,
                                                                          std::shared_ptr<Device>);

} // namespace so3krates::cuda
