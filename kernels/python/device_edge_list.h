#pragma once
// An EdgeList between addresses of somebody else's arrays.

#include <pybind11/numpy.h>

#include "cuda/edge_list.h"

namespace so3krates {

class PythonEdgeList {
public:
    explicit PythonEdgeList(std::shared_ptr<cuda::Device> device) : device(device), list(device) {}

    // E; write() with addresses of int32 arrays for as many entries comes next. positions: contiguous doubles.
    int find(int numAtoms, std::uintptr_t positions, const pybind11::array_t<double> &cell, double cutoff,
             std::uintptr_t stream) {
        pybind11::gil_scoped_release release;
        device->checkAddress(reinterpret_cast<void *>(positions), "positions");
        device->follow(reinterpret_cast<void *>(stream));
        return list.find(numAtoms, reinterpret_cast<const double *>(positions), cell.size() ? cell.data() : nullptr,
                         cutoff);
    }
    void write(std::uintptr_t receivers, std::uintptr_t senders, std::uintptr_t shifts, std::uintptr_t stream) {
        pybind11::gil_scoped_release release;
        device->follow(reinterpret_cast<void *>(stream));
        list.write(reinterpret_cast<int *>(receivers), reinterpret_cast<int *>(senders),
                   reinterpret_cast<int *>(shifts));
    }
    std::shared_ptr<cuda::Device> sharedDevice() const { return device; }
    static void bind(pybind11::class_<PythonEdgeList> c) {
        c.def("find", &PythonEdgeList::find).def("write", &PythonEdgeList::write);
    }

private:
    std::shared_ptr<cuda::Device> device;
    cuda::EdgeList list;
};

} // namespace so3krates
