// The operators so3krates::energy_forces and so3krates::evaluate, which are one and the same, but
// openmm_so3krates.torch teaches the first to differentiate, in Python; the second never enters Python: it may be
// called from any thread of another library, such as OpenMM's, whoever holds Python's lock.
//
// Loading this library registers them: torch.ops.load_library in Python, dlopen in a C++ program.

#include <cstring>
#include <iostream>
#include <optional>

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

// A tensor of `dtype`, which is float32 or float64.
Tensor tensorOf(const std::vector<double> &values, const std::vector<int64_t> &shape, int32_t dtype) {
    Tensor tensor = Tensor::empty(shape, dtype);
    if (dtype == aoti_torch_dtype_float64())
        std::copy(values.begin(), values.end(), static_cast<double *>(tensor.data()));
    else
        std::copy(values.begin(), values.end(), static_cast<float *>(tensor.data()));
    return tensor;
}

void requireShape(const Tensor &tensor, const std::vector<int64_t> &wanted, const std::string &name) {
    if (tensor.shape() != wanted)
        throw InputError(name + " must have shape " + shapeText(wanted) + ", not " + shapeText(tensor.shape()));
}

// The boxed kernel: takes NumArguments off the stack, which it owns, and leaves NumResults.
void energyForcesOnCpu(StableIValue *stack, uint64_t, uint64_t) {
    const Tensor positionTensor = takeTensor(stack[Positions]), numberTensor = takeTensor(stack[AtomicNumbers]);
    const std::optional<Tensor> cellTensor = takeOptional(stack[Cell]);
    const double charge = takeDouble(stack[Charge]), spin = takeDouble(stack[Spin]);
    const Tensor modelText = takeTensor(stack[ModelText]);
    const std::optional<Tensor> modelFile = takeOptional(stack[ModelFile]);
    const bool wantVirial = takeBool(stack[WantVirial]);

    const std::vector<int64_t> shape = positionTensor.shape();
    if (shape.size() != 2 || shape[1] != 3)
        throw InputError("positions must have shape (N, 3), not " + shapeText(shape));
    const int64_t numAtoms = shape[0];
    requireShape(numberTensor, {numAtoms}, "atomic_numbers");
    const std::vector<double> positions = positionTensor.reals("positions");
    const std::vector<int> atomicNumbers = numberTensor.integers("atomic_numbers");
    std::vector<double> cell;
    if (cellTensor) {
        requireShape(*cellTensor, {3, 3}, "cell");
        cell = cellTensor->reals("cell");
    }
    const int32_t dtype = positionTensor.dtype();
    const std::shared_ptr<SharedPotential> potential = findPotential(
        modelText.bytes("model"), dtype == aoti_torch_dtype_float64() ? Precision::Double : Precision::Single,
        [&] { return modelFile ? modelFile->bytes("model_file") : std::string(); });

    System system;
    system.numAtoms = (int)numAtoms;
    system.positions = positions.data();
    system.atomicNumbers = atomicNumbers.data();
    system.charges = &charge;
    system.spins = &spin;
    system.cells = cellTensor ? cell.data() : nullptr;
    Energies energies;
    std::vector<double> forces(3 * (size_t)numAtoms), partialCharges((size_t)numAtoms), virial(wantVirial ? 9 : 0);
    Results results;
    results.energies = &energies;
    results.forces = forces.data();
    results.partialCharges = partialCharges.data();
    results.virials = wantVirial ? virial.data() : nullptr;
    potential->compute(system, results);

    // The energy stays in double precision: a float would hold SO3LR's energies to a few meV only.
    Tensor energy = tensorOf({energies.total}, {}, aoti_torch_dtype_float64());
    Tensor forceTensor = tensorOf(forces, {numAtoms, 3}, dtype);
    Tensor chargeTensor = tensorOf(partialCharges, {numAtoms}, dtype);
    Tensor virialTensor = tensorOf(virial, {wantVirial ? 3 : 0, 3}, dtype);
    stack[Energy] = give(std::move(energy));
    stack[Forces] = give(std::move(forceTensor));
    stack[PartialCharges] = give(std::move(chargeTensor));
    stack[Virial] = give(std::move(virialTensor));
}

void energyForcesOnGpu(StableIValue *stack, uint64_t, uint64_t) {
    // As above: what is on the stack is owned.
    const Tensor positions = takeTensor(stack[Positions]), numbers = takeTensor(stack[AtomicNumbers]);
    const std::optional<Tensor> cell = takeOptional(stack[Cell]), file = takeOptional(stack[ModelFile]);
    const Tensor text = takeTensor(stack[ModelText]);
    throw InputError("the torch operators of openmm_so3krates do not compute on a GPU yet: give tensors on the CPU "
                     "(positions.cpu()), or use Potential(device=\"cuda\") without torch");
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
