#pragma once
// The first layer's attention by kinds of atoms (device/first_layer.cuh): tables and kinds in device memory, kept for
// as long as the composition stays the same.

#include <memory>
#include <vector>

#include "cuda/buffer.h"
#include "cuda/device/atom_arguments.h"
#include "cuda/device/first_layer_arguments.h"
#include "radial/first_layer_tables.h"

namespace so3krates::cuda {

template <class T> class FirstLayerAttention {
public:
    // table: null if there is none; then, and wherever FirstLayerTables says so, the general path is to be taken.
    FirstLayerAttention(std::shared_ptr<const Model> model, std::shared_ptr<const RadialTable> table,
                        std::shared_ptr<Device> device);
    // For atoms with these initial features, [N][F].
    void update(const std::vector<double> &initialFeatures, int numAtoms);
    bool available() const { return tables.available(); }
    // Tables, kinds and products; the rest is the caller's.
    FirstLayerArguments<T> arguments() const;
    FirstLayerProducts<T> productArguments(const T *values) const;

private:
    std::shared_ptr<const Model> model;
    SplineGrid grid;
    FirstLayerTables<T> tables;
    Buffer<T> deviceTables, products;
    Buffer<int> kind, example, slot;
    int numKinds = 0, uploaded = 0; // generation of deviceTables
};

} // namespace so3krates::cuda
