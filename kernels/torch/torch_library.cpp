// The operators so3krates::energy_forces and so3krates::evaluate, which are one and the same, but
// openmm_so3krates.torch teaches the first to differentiate, in Python; the second never enters Python: it may be
// called from any thread of another library, such as OpenMM's, whoever holds Python's lock.
//
// Loading this library registers them: torch.ops.load_library in Python, dlopen in a C++ program.

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <iostream>
#include <numeric>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/driver/graph.h"
#include "cuda/driver/nvrtc.h"
#include "torch/potential_cache.h"
#include "torch/stable_abi.h"
#include "torch/tensor.h"

namespace so3krates::torch {

namespace {

const std::string SIGNATURE =
    "(Tensor positions, Tensor atomic_numbers, Tensor? cell, float charge, float spin, Tensor model, "
    "Tensor? model_file, bool virial) -> (Tensor energy, Tensor forces, Tensor partial_charges, Tensor virial)";
const std::string NAMES[] = {"energy_forces", "evaluate"};
enum Argument { Positions, AtomicNumbers, Cell, Charge, Spin, ModelText, ModelFile, WantVirial, NumArguments };
enum Result { Energy, Forces, PartialCharges, Virial, NumResults };

Tensor takeTensor(StableIValue value) { return Tensor(reinterpret_cast<AtenTensorHandle>(value)); }

std::optional<Tensor> takeOptional(StableIValue value) {
    std::unique_ptr<StableIValue> held(reinterpret_cast<StableIValue *>(value));
    if (!held)
        return std::nullopt;
    return takeTensor(*held);
}

double takeDouble(StableIValue value) {
    double number;
    std::memcpy(&number, &value, sizeof number);
    return number;
}

bool takeBool(StableIValue value) {
    bool flag;
    std::memcpy(&flag, &value, sizeof flag);
    return flag;
}

StableIValue give(Tensor tensor) { return reinterpret_cast<StableIValue>(tensor.release()); }

void requireShape(const Tensor &tensor, const std::vector<int64_t> &wanted, const std::string &name) {
    if (tensor.shape() != wanted)
        throw InputError(name + " must have shape " + shapeText(wanted) + ", not " + shapeText(tensor.shape()));
}

// torch's current stream on a GPU, by a function of libtorch_cuda.so, which a torch without CUDA has not got.
void *currentStream(int gpu) {
    using Function = AOTITorchError (*)(int32_t, void **);
    static const auto function = [] {
        void *library = dlopen("libtorch_cuda.so", RTLD_NOLOAD | RTLD_LAZY);
        return library ? reinterpret_cast<Function>(dlsym(library, "aoti_torch_get_current_cuda_stream")) : nullptr;
    }();
    void *stream = nullptr;
    if (!function || function(gpu, &stream) != 0)
        throw std::runtime_error("so3krates: torch does not tell its current CUDA stream");
    return stream;
}

// What an operator is given, taken off the stack.
struct Inputs {
    // Throws InputError.
    explicit Inputs(const StableIValue *stack)
        : positions(takeTensor(stack[Positions])), atomicNumberTensor(takeTensor(stack[AtomicNumbers])),
          cellTensor(takeOptional(stack[Cell])), charge(takeDouble(stack[Charge])), spin(takeDouble(stack[Spin])),
          modelText(takeTensor(stack[ModelText])), modelFile(takeOptional(stack[ModelFile])),
          wantVirial(takeBool(stack[WantVirial])) {
        const std::vector<int64_t> shape = positions.shape();
        if (shape.size() != 2 || shape[1] != 3)
            throw InputError("positions must have shape (N, 3), not " + shapeText(shape));
        numAtoms = shape[0];
        dtype = positions.dtype();
        isDouble = dtype == aoti_torch_dtype_float64();
        if (!isDouble && dtype != aoti_torch_dtype_float32())
            throw InputError("positions must be float32 or float64: positions.to(torch.float32)");
        if (const std::optional<int> gpu = positions.gpu()) {
            stream = currentStream(*gpu);
            recording = cuda::recordingOn(stream);
        }
        if (recording && (atomicNumberTensor.gpu() || modelText.gpu() || (modelFile && modelFile->gpu())))
            throw InputError("a CUDA graph is recorded, which cannot read from the GPU: give atomic_numbers, model and "
                             "model_file on the CPU");
        requireShape(atomicNumberTensor, {numAtoms}, "atomic_numbers");
        atomicNumbers = atomicNumberTensor.integers("atomic_numbers");
        if (cellTensor) {
            requireShape(*cellTensor, {3, 3}, "cell");
            const int32_t type = cellTensor->dtype();
            if (type != aoti_torch_dtype_float64() && type != aoti_torch_dtype_float32())
                throw InputError("cell must be float32 or float64: cell.to(torch.float32)");
            if (cellTensor->gpu() && positions.gpu() && *cellTensor->gpu() != *positions.gpu())
                throw InputError("cell is on cuda:" + std::to_string(*cellTensor->gpu()) +
                                 " and the positions are on cuda:" + std::to_string(*positions.gpu()) +
                                 ": give the cell on their GPU, or on the CPU");
            if (!recording || !cellTensor->gpu())
                cell = cellTensor->reals("cell");
        }
    }
    Inputs(const Inputs &) = delete;

    std::shared_ptr<SharedPotential> potential() const {
        return findPotential(modelText.bytes("model"), isDouble ? Precision::Double : Precision::Single,
                             positions.gpu(), fileReader());
    }

    // All but the positions. Valid as long as this object.
    System system() const {
        System system;
        system.numAtoms = (int)numAtoms;
        system.atomicNumbers = atomicNumbers.data();
        system.charges = &charge;
        system.spins = &spin;
        system.cells = cell.empty() ? nullptr : cell.data();
        return system;
    }

    const Tensor positions, atomicNumberTensor;
    const std::optional<Tensor> cellTensor;
    const double charge, spin;
    const Tensor modelText;
    const std::optional<Tensor> modelFile;
    const bool wantVirial;
    int64_t numAtoms;
    int32_t dtype; // of the positions
    bool isDouble;
    std::vector<int> atomicNumbers;
    std::vector<double> cell;                        // empty: none, or one that only the GPU may read
    void *stream = nullptr;                          // torch's, on the positions' GPU
    std::optional<cuda::CallersRecording> recording; // of a graph, on that stream

private:
    // While a graph is recorded nothing can be loaded.
    std::function<std::string()> fileReader() const {
        if (recording)
            return nullptr;
        return [this] { return modelFile ? modelFile->bytes("model_file") : std::string(); };
    }
};

// A tensor on the CPU of `dtype`, which is float32 or float64.
Tensor tensorOf(const double *values, const std::vector<int64_t> &shape, int32_t dtype) {
    Tensor tensor = Tensor::empty(shape, dtype);
    const double *end = values + std::accumulate(shape.begin(), shape.end(), int64_t(1), std::multiplies<>());
    if (dtype == aoti_torch_dtype_float64())
        std::copy(values, end, static_cast<double *>(tensor.data()));
    else
        std::copy(values, end, static_cast<float *>(tensor.data()));
    return tensor;
}

// The energy stays in double precision: a float would hold SO3LR's energies to a few meV only.
Tensor energyTensor(const Energies &energies) { return tensorOf(&energies.total, {}, aoti_torch_dtype_float64()); }

void giveResults(StableIValue *stack, Tensor energy, Tensor forces, Tensor partialCharges, Tensor virial) {
    stack[Energy] = give(std::move(energy));
    stack[Forces] = give(std::move(forces));
    stack[PartialCharges] = give(std::move(partialCharges));
    stack[Virial] = give(std::move(virial));
}

// The boxed kernels: they take NumArguments off the stack, which they own, and leave NumResults.

void energyForcesOnCpu(StableIValue *stack, uint64_t, uint64_t) {
    const Inputs in(stack);
    const std::vector<double> positions = in.positions.reals("positions");
    std::vector<double> forces(3 * (size_t)in.numAtoms), partialCharges((size_t)in.numAtoms), virial(9);
    System system = in.system();
    system.positions = positions.data();
    Energies energies;
    Results results;
    results.energies = &energies;
    results.forces = forces.data();
    results.partialCharges = partialCharges.data();
    results.virials = in.wantVirial ? virial.data() : nullptr;
    in.potential()->compute(system, results);
    giveResults(stack, energyTensor(energies), tensorOf(forces.data(), {in.numAtoms, 3}, in.dtype),
                tensorOf(partialCharges.data(), {in.numAtoms}, in.dtype),
                tensorOf(virial.data(), {in.wantVirial ? 3 : 0, 3}, in.dtype));
}

cuda::DeviceTensor deviceTensor(const Tensor &tensor) {
    cuda::DeviceTensor out;
    out.data = tensor.data();
    out.isSingle = tensor.dtype() == aoti_torch_dtype_float32();
    const std::vector<int64_t> strides = tensor.strides();
    for (int k = 0; k < 2; k++)
        out.strides[k] = strides[k] * std::ptrdiff_t(out.isSingle ? sizeof(float) : sizeof(double));
    return out;
}

void energyForcesOnGpu(StableIValue *stack, uint64_t, uint64_t) {
    const Inputs in(stack);
    const std::optional<int> gpu = in.positions.gpu();
    if (!gpu)
        throw InputError("positions are on the CPU and another argument on a GPU: give all on the CPU, or the "
                         "positions on the GPU");
    Tensor energy = Tensor::empty({}, aoti_torch_dtype_float64(), gpu);
    Tensor forces = Tensor::empty({in.numAtoms, 3}, in.dtype, gpu),
           charges = Tensor::empty({in.numAtoms}, in.dtype, gpu);
    Tensor virial = Tensor::empty({in.wantVirial ? 3 : 0, 3}, in.dtype, gpu);
    cuda::DeviceTensors tensors;
    tensors.positions = deviceTensor(in.positions);
    if (in.cellTensor && in.cellTensor->gpu())
        tensors.cell = deviceTensor(*in.cellTensor);
    tensors.energy = static_cast<double *>(energy.data());
    tensors.forces = forces.data();
    tensors.charges = charges.data();
    tensors.virial = in.wantVirial ? virial.data() : nullptr;
    tensors.isSingle = !in.isDouble;
    tensors.stream = in.stream;
    const std::shared_ptr<SharedPotential> potential = in.potential();
    if (!in.recording)
        potential->compute(in.system(), tensors);
    else if (potential)
        potential->record(in.system(), tensors, *in.recording);
    else
        refuseFirstCallInGraph();
    giveResults(stack, std::move(energy), std::move(forces), std::move(charges), std::move(virial));
}

// The libraries live as long as the process: destroying one would take its operators away.
bool registerOperators() {
    TorchLibraryHandle library = nullptr, cpu = nullptr, gpu = nullptr;
    bool done = aoti_torch_library_init_fragment("so3krates", __FILE__, __LINE__, &library) == 0 &&
                aoti_torch_library_init_impl("so3krates", "CPU", __FILE__, __LINE__, &cpu) == 0 &&
                aoti_torch_library_init_impl("so3krates", "CUDA", __FILE__, __LINE__, &gpu) == 0;
    for (const std::string &name : NAMES)
        done = done && aoti_torch_library_def(library, (name + SIGNATURE).c_str()) == 0 &&
               aoti_torch_library_impl(cpu, name.c_str(), &energyForcesOnCpu) == 0 &&
               aoti_torch_library_impl(gpu, name.c_str(), &energyForcesOnGpu) == 0;
    if (!done) // An exception here would end the process.
        std::cerr << "so3krates: torch refused the operators of openmm_so3krates" << std::endl;
    return done;
}

[[maybe_unused]] const bool registered = registerOperators();

} // namespace

} // namespace so3krates::torch

// folders: those of Python's packages that may hold NVRTC, separated by colons.
extern "C" __attribute__((visibility("default"))) void so3krates_set_nvrtc_folders(const char *folders) {
    std::vector<std::string> list;
    std::istringstream text(folders);
    for (std::string folder; std::getline(text, folder, ':');)
        list.push_back(folder);
    so3krates::cuda::setNvrtcFolders(std::move(list));
}
