// Neighbor lists of the device, from Python.

#include "bindings.h"

#include <pybind11/numpy.h>

#include "cuda/neighbor_lists.h"

namespace py = pybind11;
using namespace so3krates;

namespace {

using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;
using Integers = py::array_t<int, py::array::c_style | py::array::forcecast>;

class PythonLists {
public:
    PythonLists(std::shared_ptr<emulation::EmulatedDevice> device, double skin, int cellThreshold, int firstCapacity)
        : device(device), molecule(device), offsets(device), lists(device, {skin, cellThreshold, firstCapacity}) {}

    // positions (N, 3), offsets (B+1), cells (B, 3, 3): zero for none.
    py::dict build(Doubles positions, Integers moleculeOffsets, Doubles cells, double shortCutoff, double longCutoff) {
        System system;
        system.numAtoms = int(positions.shape(0));
        system.positions = positions.data();
        system.numMolecules = int(moleculeOffsets.size()) - 1;
        system.offsets = moleculeOffsets.data();
        system.cells = cells.data();
        std::vector<Box> boxes;
        std::vector<int> owner;
        for (int m = 0; m < system.numMolecules; m++) {
            boxes.push_back(Box::from(system.cells + 9L * m));
            owner.resize(system.offsets[m + 1], m);
        }
        cuda::Atoms atoms{};
        atoms.numAtoms = system.numAtoms;
        atoms.numMolecules = system.numMolecules;
        atoms.molecule = molecule.upload(owner);
        atoms.offsets = offsets.upload(system.offsets, size_t(system.numMolecules) + 1);
        lists.prepare(atoms, {system.offsets, system.offsets + system.numMolecules + 1}, boxes, shortCutoff,
                      longCutoff);
        lists.build(system.positions);
        atoms = lists.atoms();
        const cuda::NeighborMatrix edges = lists.edges(), far = lists.far();

        int numShifts = 0;
        Integers ranges(std::vector<py::ssize_t>{system.numMolecules, 3});
        for (int m = 0; m < system.numMolecules; m++) {
            const cuda::SearchBox &box = lists.searchBoxes()[m];
            int images = 1;
            for (int k = 0; k < 3; k++) {
                ranges.mutable_at(m, k) = box.range[k];
                images *= 2 * box.range[k] + 1;
            }
            numShifts += images;
        }
        py::dict out;
        out["wrapped"] = download<double>(atoms.wrapped, {system.numAtoms, 3});
        out["wraps"] = download<int>(lists.wraps(), {system.numAtoms, 3});
        out["shifts"] = download<double>(atoms.shifts, {numShifts, 3});
        out["first_image"] = download<int>(atoms.firstImage, {system.numMolecules});
        out["image_at_rest"] = download<int>(atoms.imageAtRest, {system.numMolecules});
        out["ranges"] = ranges;
        out["edges"] = matrix(edges, system.numAtoms);
        out["far"] = far.count ? matrix(far, system.numAtoms) : py::none();
        out["rebuilt"] = lists.rebuilt();
        out["repeats"] = lists.repeats();
        return out;
    }

private:
    template <class T> py::array_t<T> download(const T *from, std::vector<py::ssize_t> shape) {
        py::array_t<T> array(shape);
        device->download(array.mutable_data(), from, sizeof(T) * array.size());
        return array;
    }
    // counts (N), senders (N, capacity), images (N, capacity)
    py::object matrix(const cuda::NeighborMatrix &list, int numAtoms) {
        return py::make_tuple(download<int>(list.count, {numAtoms}),
                              download<int>(list.senders, {numAtoms, list.capacity}),
                              download<int>(list.images, {numAtoms, list.capacity}));
    }
    std::shared_ptr<emulation::EmulatedDevice> device;
    cuda::Buffer<int> molecule, offsets;
    cuda::DeviceNeighborLists lists;
};

} // namespace

void bindNeighbors(py::module_ &m) {
    py::class_<PythonLists>(m, "NeighborLists", py::module_local())
        .def(py::init<std::shared_ptr<emulation::EmulatedDevice>, double, int, int>(), py::arg("device"),
             py::arg("skin") = 0.0, py::arg("cell_threshold") = 2048, py::arg("first_capacity") = 64)
        .def("build", &PythonLists::build, py::arg("positions"), py::arg("offsets"), py::arg("cells"),
             py::arg("short_cutoff"), py::arg("long_cutoff") = 0.0);
}
