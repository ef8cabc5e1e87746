#include "python/potential_arrays.h"

#include <vector>

namespace py = pybind11;

namespace so3krates {

py::dict computeArrays(const std::function<void(const System &, const Results &)> &compute, const Ints &atomicNumbers,
                       const Doubles *positions, const Ints &offsets, const Doubles &cells, const Doubles &charges,
                       const Doubles &spins, bool forces, bool virial) {
    const py::ssize_t n = atomicNumbers.size(), molecules = offsets.size() - 1;
    System system;
    system.numAtoms = int(n);
    system.atomicNumbers = atomicNumbers.data();
    system.positions = positions ? positions->data() : nullptr;
    system.numMolecules = int(molecules);
    system.offsets = offsets.data();
    system.charges = charges.data();
    system.spins = spins.data();
    system.cells = cells.size() ? cells.data() : nullptr;
    std::vector<Energies> energies(molecules);
    auto newArray = [](std::vector<py::ssize_t> shape) { return py::array_t<double>(shape); };
    const py::ssize_t rows = positions ? n : 0;
    py::array_t<double> charge = newArray({rows}), ratio = newArray({rows}), dipole = newArray({molecules, 3});
    py::array_t<double> force = newArray({forces ? rows : 0, 3}), stress = newArray({virial ? molecules : 0, 3, 3});
    Results results;
    results.energies = energies.data();
    results.dipoles = dipole.mutable_data();
    if (positions) {
        results.partialCharges = charge.mutable_data();
        results.hirshfeldRatios = ratio.mutable_data();
        results.forces = forces ? force.mutable_data() : nullptr;
    }
    results.virials = virial ? stress.mutable_data() : nullptr;
    {
        py::gil_scoped_release release;
        compute(system, results);
    }
    py::array_t<double> parts = newArray({molecules, 5});
    for (py::ssize_t m = 0; m < molecules; m++) {
        const Energies &sum = energies[m];
        const double row[5] = {sum.total, sum.network, sum.zbl, sum.electrostatics, sum.dispersion};
        for (int k = 0; k < 5; k++)
            parts.mutable_at(m, k) = row[k];
    }
    py::dict out;
    out["energies"] = parts;
    out["dipoles"] = dipole;
    if (positions) {
        out["partial_charges"] = charge;
        out["hirshfeld_ratios"] = ratio;
    }
    if (forces && positions)
        out["forces"] = force;
    if (virial)
        out["virials"] = stress;
    return out;
}

cuda::DeviceArrays deviceArrays(std::uintptr_t positions, const std::array<std::ptrdiff_t, 2> &strides, bool isSingle,
                                const std::array<std::uintptr_t, 3> &outputs, std::uintptr_t stream) {
    cuda::DeviceArrays arrays;
    arrays.positions = reinterpret_cast<const void *>(positions);
    arrays.strides[0] = strides[0];
    arrays.strides[1] = strides[1];
    arrays.isSingle = isSingle;
    arrays.forces = reinterpret_cast<double *>(outputs[0]);
    arrays.partialCharges = reinterpret_cast<double *>(outputs[1]);
    arrays.hirshfeldRatios = reinterpret_cast<double *>(outputs[2]);
    arrays.stream = reinterpret_cast<void *>(stream);
    return arrays;
}

} // namespace so3krates
