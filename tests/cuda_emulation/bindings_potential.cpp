// The whole CUDA backend on the emulated device, as `_engine.Potential` is the CPU's.

#include "bindings.h"

#include <cmath>
#include <optional>

#include <pybind11/stl.h>

#include "cuda/cuda_potential.h"
#include "input_checks.h"
#include "python/potential_arrays.h"

namespace py = pybind11;
using namespace so3krates;

namespace {

class EmulatedPotential {
public:
    EmulatedPotential(const std::string &modelFile, std::optional<double> lrCutoff, std::optional<double> width,
                      bool allowUntrainedElements, bool radialTable)
        : team(makeThreadTeam(1)), device(std::make_shared<emulation::EmulatedDevice>()) {
        Options options;
        options.precision = sizeof(SO3K_REAL) == sizeof(double) ? Precision::Double : Precision::Single;
        options.lrCutoff = lrCutoff ? *lrCutoff : INFINITY;
        if (width)
            options.dispersionSwitchWidth = *width;
        options.allowUntrainedElements = allowUntrainedElements;
        options.radialTable = radialTable;
        const auto model = Model::load(modelFile);
        potential = cuda::makeCudaPotential(model, completeOptions(*model, options), device);
    }
    py::dict compute(const Ints &atomicNumbers, const Doubles &positions, const Ints &offsets, const Doubles &cells,
                     const Doubles &charges, const Doubles &spins, bool forces, bool virial) {
        return computeArrays(*potential, *team, atomicNumbers, positions, offsets, cells, charges, spins, forces,
                             virial);
    }
    std::string implementation() const { return potential->implementation(); }
    std::shared_ptr<emulation::EmulatedDevice> emulatedDevice() const { return device; }

private:
    std::unique_ptr<ThreadTeam> team;
    std::shared_ptr<emulation::EmulatedDevice> device;
    std::unique_ptr<Potential> potential;
};

} // namespace

void bindPotential(py::module_ &m) {
    py::class_<EmulatedPotential>(m, "Potential", py::module_local())
        .def(py::init<const std::string &, std::optional<double>, std::optional<double>, bool, bool>(),
             py::arg("model_file"), py::arg("lr_cutoff"), py::arg("dispersion_switch_width") = py::none(),
             py::arg("allow_untrained_elements") = false, py::arg("radial_table") = true)
        .def("compute", &EmulatedPotential::compute)
        .def_property_readonly("implementation", &EmulatedPotential::implementation)
        .def_property_readonly("device", &EmulatedPotential::emulatedDevice);
}
