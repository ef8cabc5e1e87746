// The attention kernels from Python: arrays by the names of device/arguments.h in a dictionary, results in another.

#include "bindings.h"

#include <pybind11/numpy.h>

#include "cuda/attention.h"
#include "cuda/cuda_attention.h"
#include "cuda/model_arrays.h"
#include "cuda/spline_grid.h"
#include "python/device_attention.h"
#include "radial/radial_table.h"

namespace py = pybind11;
using namespace so3krates;
using namespace so3krates::cuda;

namespace {

using Real = SO3K_REAL;

// Device memory of one call.
class Arrays {
public:
    Arrays(Device &device, const py::dict &input) : device(device), input(input) {}
    ~Arrays() {
        for (void *pointer : pointers)
            device.release(pointer);
    }
    bool has(const char *name) const { return input.contains(name); }
    // A copy of input[name] as T, null if there is none.
    template <class T> T *in(const std::string &name) {
        if (!input.contains(name))
            return nullptr;
        auto values = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(input[name.c_str()]);
        if (!values)
            throw py::type_error(name + " cannot be converted");
        T *pointer = allocate<T>(values.size());
        device.upload(pointer, values.data(), sizeof(T) * values.size());
        return pointer;
    }
    template <class T> T number(const char *name) const { return input[name].cast<T>(); }
    template <class T> T *allocate(size_t n) { // contents undefined
        pointers.push_back(device.allocate(sizeof(T) * (n + !n)));
        return static_cast<T *>(pointers.back());
    }
    template <class T> void out(py::dict &result, const char *name, const T *pointer, std::vector<py::ssize_t> shape) {
        py::array_t<T> values(shape);
        device.download(values.mutable_data(), pointer, sizeof(T) * values.size());
        result[name] = values;
    }

private:
    Device &device;
    const py::dict &input;
    std::vector<void *> pointers;
};

Hyperparameters shape() {
    Hyperparameters hyper;
    hyper.numFeatures = SO3K_F;
    hyper.numHeads = SO3K_HEADS;
    hyper.degrees = {SO3K_DEGREE_LIST};
    return hyper;
}

void geometry(Arrays &arrays, Atoms &atoms, NeighborMatrix &edges) {
    atoms.numAtoms = arrays.number<int>("num_atoms");
    atoms.numMolecules = arrays.number<int>("num_molecules");
    atoms.molecule = arrays.in<int>("molecule");
    atoms.wrapped = arrays.in<double>("wrapped");
    atoms.shifts = arrays.in<double>("shifts");
    atoms.firstImage = arrays.in<int>("first_image");
    edges.count = arrays.in<int>("count");
    edges.senders = arrays.in<int>("senders");
    edges.images = arrays.in<int>("images");
    edges.capacity = arrays.number<int>("capacity");
}

// The weights of a whole model's layer, input["model"] and input["layer"], on its radial table; input["tiles"]: by the
// tiled kernels, if they can.
std::unique_ptr<ModelArrays<Real>> layerOfModel(emulation::EmulatedDevice &device, const py::dict &input,
                                                AttentionArguments<Real> &a) {
    const auto model = Model::fromBytes(input["model"].cast<py::bytes>(), "bytes");
    const RadialTable table = makeRadialTable(*model);
    device.tensorCores = input["tiles"].cast<bool>();
    auto arrays =
        std::make_unique<ModelArrays<Real>>(*model, &table, std::shared_ptr<Device>(&device, [](Device *) {}));
    a.weights = arrays->layers.at(input["layer"].cast<int>());
    a.grid = arrays->grid;
    return arrays;
}

// Forces and strain start from input["forces"] and input["strain"]; the kernels add to them.
py::dict attention(emulation::EmulatedDevice &device, const py::dict &input) {
    Arrays arrays(device, input);
    const Hyperparameters hyper = shape();
    AttentionArguments<Real> a{};
    geometry(arrays, a.atoms, a.edges);
    const py::ssize_t N = a.atoms.numAtoms, F = SO3K_F, M = SO3K_M;
    for (int m = 0; m < 2; m++) {
        const std::string suffix = m == 0 ? "_x" : "_ev";
        a.weights.radial0[m] = arrays.in<Real>("radial0" + suffix);
        a.weights.radial0Bias[m] = arrays.in<Real>("radial0_bias" + suffix);
        a.weights.radial1[m] = arrays.in<Real>("radial1" + suffix);
        a.weights.radial1Bias[m] = arrays.in<Real>("radial1_bias" + suffix);
        a.weights.table[m] = arrays.in<Real>("table" + suffix);
        a.weights.spherical0[m] = arrays.in<Real>("spherical0" + suffix);
        a.weights.spherical0Bias[m] = arrays.in<Real>("spherical0_bias" + suffix);
        a.weights.spherical1[m] = arrays.in<Real>("spherical1" + suffix);
        a.weights.spherical1Back[m] = arrays.in<Real>("spherical1_back" + suffix);
        a.messageScale[m] = arrays.number<Real>(("scale" + suffix).c_str());
    }
    a.state.queryX = arrays.in<Real>("query_x");
    a.state.keyX = arrays.in<Real>("key_x");
    a.state.valueX = arrays.in<Real>("value_x");
    a.state.queryEv = arrays.in<Real>("query_ev");
    a.state.keyEv = arrays.in<Real>("key_ev");
    a.state.evIn = arrays.in<Real>("ev");
    a.state.evAttended = arrays.allocate<Real>(N * M);
    a.features = arrays.in<Real>("features");
    a.cutoff = arrays.number<double>("cutoff");
    if (arrays.has("grid"))
        a.grid = arrays.number<SplineGrid>("grid");
    a.basisParameters = arrays.in<double>("basis_parameters");
    const auto ofModel = arrays.has("model") ? layerOfModel(device, input, a) : nullptr;

    py::dict result;
    launchAttentionForward(device, hyper, a);
    arrays.out(result, "features", a.features, {N, F});
    arrays.out(result, "ev", a.state.evAttended, {N, M});
    if (!arrays.has("message_gradient"))
        return result;

    a.messageGradient = arrays.in<Real>("message_gradient");
    a.evGradient = arrays.in<Real>("ev_gradient");
    a.forces = arrays.in<double>("forces");
    a.strain = arrays.in<double>("strain");
    a.inputMatters = arrays.number<int>("input_matters");
    Real **const gradients[5] = {&a.queryXGradient, &a.keyXGradient, &a.valueXGradient, &a.queryEvGradient,
                                 &a.keyEvGradient};
    if (a.inputMatters) {
        for (Real **gradient : gradients)
            *gradient = arrays.allocate<Real>(N * F);
        a.evInGradient = arrays.allocate<Real>(N * M);
    }
    launchAttentionBackward(device, hyper, a);
    arrays.out(result, "forces", a.forces, {N, 3});
    if (a.strain)
        arrays.out(result, "strain", a.strain, {N, 6});
    if (a.inputMatters) {
        const char *const names[5] = {"query_x", "key_x", "value_x", "query_ev", "key_ev"};
        for (int k = 0; k < 5; k++)
            arrays.out(result, (std::string(names[k]) + "_gradient").c_str(), *gradients[k], {N, F});
        arrays.out(result, "ev_in_gradient", a.evInGradient, {N, M});
    }
    return result;
}

py::dict initialEuclidean(emulation::EmulatedDevice &device, const py::dict &input) {
    Arrays arrays(device, input);
    InitialEuclideanArguments<Real> a{};
    geometry(arrays, a.atoms, a.edges);
    const py::ssize_t N = a.atoms.numAtoms, M = SO3K_M;
    a.cutoff = arrays.number<double>("cutoff");
    a.scale = arrays.number<Real>("scale");
    a.ev = arrays.allocate<Real>(N * M);
    a.evGradient = arrays.in<Real>("ev_gradient");
    a.forces = arrays.in<double>("forces");
    a.strain = arrays.in<double>("strain");
    py::dict result;
    launchInitialEuclidean(device, a);
    launchInitialEuclideanBackward(device, a);
    arrays.out(result, "ev", a.ev, {N, M});
    arrays.out(result, "forces", a.forces, {N, 3});
    arrays.out(result, "strain", a.strain, {N, 6});
    return result;
}

} // namespace

namespace {
// ops.euclidean_attention's engine.
class EmulatedAttention {
public:
    explicit EmulatedAttention(const py::bytes &file)
        : device(std::make_shared<emulation::EmulatedDevice>()),
          operation(makeAttentionOperator<Real>(Model::fromBytes(file, "bytes"), device)) {}
    void compute(int layer, int numAtoms, std::uintptr_t positions, const py::array_t<double> &cell,
                 const std::vector<std::uintptr_t> &rows, const std::vector<std::uintptr_t> &upstream,
                 const std::vector<std::uintptr_t> &outputs, std::uintptr_t stream) {
        computeAttention(*operation, *device, mutex, layer, numAtoms, positions, cell, rows, upstream, outputs, stream);
    }
    std::shared_ptr<emulation::EmulatedDevice> device;

private:
    std::unique_ptr<AttentionOperator<Real>> operation;
    std::mutex mutex;
};
} // namespace

void bindAttention(py::module_ &m) {
    py::class_<SplineGrid>(m, "SplineGrid", py::module_local())
        .def_readonly("fine", &SplineGrid::fine)
        .def_readonly("intervals", &SplineGrid::intervals);
    py::class_<EmulatedAttention>(m, "DeviceAttention", py::module_local())
        .def(py::init<const py::bytes &>())
        .def("compute", &EmulatedAttention::compute)
        .def_readonly("device", &EmulatedAttention::device);
    m.def("attention", &attention, py::arg("device"), py::arg("input"));
    m.def("initial_euclidean", &initialEuclidean, py::arg("device"), py::arg("input"));
    m.def("basis_parameters", [](const py::bytes &file) {
        const std::vector<double> parameters = basisParameters(*Model::fromBytes(file, "bytes"));
        return py::array_t<double>(py::ssize_t(parameters.size()), parameters.data());
    });
    m.def("check_attention_shape", [](int features, int heads, int degrees) {
        Hyperparameters hyper;
        hyper.numFeatures = features;
        hyper.numHeads = heads;
        hyper.degrees.assign(degrees, 1);
        checkAttentionShape(hyper);
    });
    // [layer][filter][interval][6][F], the radial biases included, and the grid
    m.def("radial_table", [](const py::bytes &file) {
        const auto model = Model::fromBytes(file, "bytes");
        const RadialTable table = makeRadialTable(*model);
        const std::vector<py::ssize_t> shape{model->hyperparameters().numLayers, 2, table.grid.intervals,
                                             RadialTable::order, table.numFeatures};
        return py::make_tuple(py::array_t<float>(shape, table.coefficients.data()), splineGrid(table.grid));
    });
}
