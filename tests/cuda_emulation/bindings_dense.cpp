// The kernel of dense_test.cuh from Python.

#include "bindings.h"

#include <pybind11/numpy.h>

#include "cuda/dense_weights.h"
#include "cuda/device/atom_arguments.h"
#include "dense_test_arguments.h"

namespace py = pybind11;
using namespace so3krates;
using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

namespace {

// in [N][blocks * ins], weight [blocks][ins][outs], bias [blocks * outs] or empty.
py::array_t<float> dense(emulation::EmulatedDevice &device, const Floats &in, const Floats &weight, const Floats &bias,
                         int atomsPerBlock) {
    DenseTestArguments a{};
    a.atomsPerBlock = atomsPerBlock;
    a.numAtoms = int(in.shape(0));
    a.blocks = int(weight.shape(0));
    a.ins = int(weight.shape(1));
    a.outs = int(weight.shape(2));
    auto upload = [&](const float *values, size_t size) {
        void *pointer = device.allocate(sizeof(float) * (size + 1));
        device.upload(pointer, values, sizeof(float) * size);
        return static_cast<float *>(pointer);
    };
    std::vector<float> laidOut(weight.data(), weight.data() + weight.size());
    if (SO3K_TENSOR_CORES) {
        const std::vector<double> as = cuda::denseWeights({laidOut.begin(), laidOut.end()}, a.blocks, a.ins, a.outs);
        laidOut.assign(as.begin(), as.end());
    }
    py::array_t<float> out(std::vector<py::ssize_t>{a.numAtoms, py::ssize_t(a.blocks) * a.outs});
    float *const inputs[3] = {upload(in.data(), in.size()), upload(laidOut.data(), laidOut.size()),
                              upload(bias.data(), bias.size())};
    a.in = inputs[0];
    a.weight = inputs[1];
    a.bias = bias.size() ? inputs[2] : nullptr;
    a.out = static_cast<float *>(device.allocate(sizeof(float) * out.size()));
    const int width =
        cuda::atomRowWidth(SO3K_F, SO3K_DEGREES, SO3K_ENERGY_HIDDEN, SO3K_HIRSHFELD_HIDDEN); // as the kernels have it
    device.launch("so3kDense",
                  {unsigned((a.numAtoms + atomsPerBlock - 1) / atomsPerBlock),
                   unsigned(cuda::atomThreads(atomsPerBlock)), 3 * sizeof(float) * atomsPerBlock * width},
                  &a, sizeof a);
    device.download(out.mutable_data(), a.out, sizeof(float) * out.size());
    for (float *pointer : inputs)
        device.release(pointer);
    device.release(a.out);
    return out;
}

} // namespace

void bindDense(py::module_ &m) {
    m.def("dense", &dense, py::arg("device"), py::arg("rows"), py::arg("weight"), py::arg("bias"),
          py::arg("atoms_per_block"));
}
