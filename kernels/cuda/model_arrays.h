#pragma once
// A model's weights in device memory, in the layouts of device/arguments.h and device/atom_arguments.h.

#include <memory>
#include <vector>

#include "cuda/buffer.h"
#include "cuda/device/atom_arguments.h"
#include "model/model.h"
#include "radial/radial_table.h"

namespace so3krates::cuda {

template <class T> class ModelArrays {
public:
    // table: null, or the splines to use in place of the radial networks (single precision).
    ModelArrays(const Model &model, const RadialTable *table, std::shared_ptr<Device> device,
                FirstLayer first = FirstLayer::ByModel);

    std::vector<LayerWeights<T>> layers;
    HeadWeights<T> heads;
    const double *basisParameters = nullptr; // as in device/radial_basis.cuh
    SplineGrid grid = {};                    // of the radial table, if there is one
    int elementRows = 0;                     // rows of the shortest element table

private:
    const T *put(const std::vector<double> &values);
    const double *putDoubles(const std::vector<double> &values);
    const unsigned *putWords(const std::vector<unsigned> &words);
    const T *tensor(const Model &model, const std::string &name);
    // For dense() of device/dense.cuh: weight [blocks][ins][outs].
    const T *denseMatrix(const std::vector<double> &weight, int blocks, int ins, int outs);
    // Of a tensor [out][in], and of its transpose for the way back.
    void addDense(const Tensor &tensor, const T *&weight, const T *&back);
    const T *transposed(const Tensor &tensor);
    const T *perElement(const Model &model, const std::string &name);
    void addLayer(const Model &model, const RadialTable *table, int layer);
    void addTiles(const Model &model, const RadialTable *table, int layer, LayerWeights<T> &weights);
    void addFilter(const Model &model, const RadialTable *table, int layer, int filter, LayerWeights<T> &weights);
    void addHeads(const Model &model);

    std::shared_ptr<Device> device;
    FirstLayer first;
    bool tensorProducts; // the per-atom parts' are on tensor cores, as dense.cuh has it
    std::vector<Buffer<T>> buffers;
    std::vector<Buffer<double>> doubleBuffers;
    std::vector<Buffer<unsigned>> wordBuffers;
};

} // namespace so3krates::cuda
