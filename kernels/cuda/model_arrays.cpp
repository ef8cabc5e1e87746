#include "cuda/model_arrays.h"

#include <algorithm>
#include <cmath>

#include "cuda/dense_weights.h"
#include "cuda/kernel_options.h"
#include "cuda/spline_grid.h"
#include "cuda/tile_weights.h"
#include "radial/activation.h"
#include "radial/radial_basis.h"

namespace so3krates::cuda {

namespace {

// Each of `blocks` matrices [rows][columns] one after the other, transposed.
std::vector<double> transposedBlocks(const std::vector<double> &data, int blocks, int rows, int columns) {
    std::vector<double> out(data.size());
    for (int b = 0; b < blocks; b++)
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < columns; c++)
                out[(size_t(b) * columns + c) * rows + r] = data[(size_t(b) * rows + r) * columns + c];
    return out;
}

} // namespace

template <class T> const T *ModelArrays<T>::put(const std::vector<double> &values) {
    buffers.emplace_back(device);
    return buffers.back().upload(std::vector<T>(values.begin(), values.end()));
}

template <class T> const double *ModelArrays<T>::putDoubles(const std::vector<double> &values) {
    doubleBuffers.emplace_back(device);
    return doubleBuffers.back().upload(values);
}

template <class T> const unsigned *ModelArrays<T>::putWords(const std::vector<unsigned> &words) {
    wordBuffers.emplace_back(device);
    return wordBuffers.back().upload(words);
}

// As it stands in the file. A weight [out][in] is then the transpose of the layout for the way forward.
template <class T> const T *ModelArrays<T>::tensor(const Model &model, const std::string &name) {
    return put(model.tensor(name).data);
}

template <class T> const T *ModelArrays<T>::transposed(const Tensor &tensor) {
    return put(transposedBlocks(tensor.data, 1, tensor.shape[0], tensor.shape[1]));
}

template <class T>
const T *ModelArrays<T>::denseMatrix(const std::vector<double> &weight, int blocks, int ins, int outs) {
    return put(tensorProducts ? denseWeights(weight, blocks, ins, outs) : weight);
}

template <class T> void ModelArrays<T>::addDense(const Tensor &t, const T *&weight, const T *&back) {
    const int outs = t.shape[0], ins = t.shape[1];
    weight = denseMatrix(transposedBlocks(t.data, 1, outs, ins), 1, ins, outs);
    back = denseMatrix(t.data, 1, outs, ins);
}

template <class T> const T *ModelArrays<T>::perElement(const Model &model, const std::string &name) {
    elementRows = std::min(elementRows, model.tensor(name).shape[0]);
    return tensor(model, name);
}

template <class T>
ModelArrays<T>::ModelArrays(const Model &model, const RadialTable *table, std::shared_ptr<Device> device,
                            FirstLayer first)
    : heads(), device(std::move(device)), first(first) {
    const Hyperparameters &h = model.hyperparameters();
    const int rowWidth =
        atomRowWidth(h.numFeatures, h.numDegrees(), h.energyHidden, h.hirshfeldRatios ? h.numFeatures / 2 : 0);
    tensorProducts = std::is_same<T, float>::value && this->device->hasTensorCores() &&
                     mostAtomsPerBlock(rowWidth, sizeof(T)) % 8 == 0;
    elementRows = model.tensor("embedding.element.weight").shape[0];
    if (table)
        grid = splineGrid(table->grid);
    basisParameters = putDoubles(RadialBasisFunctions(model).parameters());
    for (int layer = 0; layer < h.numLayers; layer++)
        addLayer(model, table, layer);
    addHeads(model);
}

template <class T>
void ModelArrays<T>::addFilter(const Model &model, const RadialTable *table, int layer, int filter,
                               LayerWeights<T> &w) {
    const Hyperparameters &h = model.hyperparameters();
    const int F = h.numFeatures, D = h.numDegrees(), S = h.numSphericalHidden();
    const std::string name =
        "layers." + std::to_string(layer) + (filter == 0 ? ".attention.filter_x." : ".attention.filter_ev.");
    // The first layer's ev is zero unless it starts from the neighborhood: its spherical filter is a constant.
    const bool constantSpherical = layer == 0 && h.euclideanInit == EuclideanInit::Zero && first == FirstLayer::ByModel;
    const std::vector<double> &ownBias = model.tensor(name + "radial.1.bias").data;
    std::vector<double> bias = ownBias;
    if (h.useSphericalFilter) {
        const Tensor &w0 = model.tensor(name + "spherical.0.weight"), &w1 = model.tensor(name + "spherical.1.weight");
        const std::vector<double> &b0 = model.tensor(name + "spherical.0.bias").data;
        const std::vector<double> &b1 = model.tensor(name + "spherical.1.bias").data;
        for (int f = 0; f < F; f++) {
            bias[f] += b1[f];
            for (int k = 0; k < S && constantSpherical; k++)
                bias[f] += w1.data[size_t(f) * S + k] * activate(h.activation, b0[k]);
        }
        if (!constantSpherical) {
            std::vector<double> first = transposedBlocks(w0.data, 1, S, D);
            for (int d = 0; d < D; d++)
                for (int k = 0; k < S; k++)
                    first[size_t(d) * S + k] /= std::sqrt(2.0 * h.degrees[d] + 1);
            w.spherical0[filter] = put(first);
            w.spherical0Bias[filter] = put(b0);
            w.spherical1[filter] = transposed(w1);
            w.spherical1Back[filter] = put(w1.data);
        }
    }
    w.radial0[filter] = transposed(model.tensor(name + "radial.0.weight"));
    w.radial0Bias[filter] = tensor(model, name + "radial.0.bias");
    w.radial1[filter] = transposed(model.tensor(name + "radial.1.weight"));
    w.radial1Bias[filter] = put(bias);
    if (!grid.intervals)
        return;
    constexpr int order = RadialTable::order;
    std::vector<double> pieces;
    pieces.reserve(size_t(grid.intervals) * order * F);
    for (int interval = 0; interval < grid.intervals; interval++) {
        const float *piece = table->piece(layer, filter, interval);
        for (int k = 0; k < order; k++)
            for (int f = 0; f < F; f++) // the table holds the radial bias already
                pieces.push_back(piece[k * F + f] + (k ? 0 : bias[f] - ownBias[f]));
    }
    w.table[filter] = put(pieces);
}

// The one place that decides which layers the tiled kernels compute.
template <class T>
void ModelArrays<T>::addTiles(const Model &model, const RadialTable *table, int layer, LayerWeights<T> &w) {
    const Hyperparameters &h = model.hyperparameters();
    // wantTensorCores(): the emulation has them in any case.
    if (!std::is_same<T, float>::value || !device->hasTensorCores() || !wantTensorCores() || !haveTiles(h, table))
        return;
    const JointRadialBasis joint = makeJointRadialBasis(model, layer, table->grid);
    const TileWeights tiles(model, layer, joint, w.spherical0[0]);
    if (!(tiles.error <= TileWeights::bound))
        return;
    w.jointTable = put(joint.pieces);
    w.tileRows = put(tiles.rows);
    w.tileUnscale = T(tiles.unscale);
    for (int filter = 0; filter < 2; filter++) {
        w.tileForward[filter] = putWords(tiles.forward[filter]);
        w.tileBack[filter] = putWords(tiles.back[filter]);
    }
}

template <class T> void ModelArrays<T>::addLayer(const Model &model, const RadialTable *table, int layer) {
    const Hyperparameters &h = model.hyperparameters();
    const std::string prefix = "layers." + std::to_string(layer) + ".";
    layers.push_back(LayerWeights<T>());
    LayerWeights<T> &w = layers.back();
    for (int filter = 0; filter < 2; filter++)
        addFilter(model, table, layer, filter, w);
    addTiles(model, table, layer, w);
    const char *projections[5] = {"query_x", "key_x", "query_ev", "key_ev", "value_x"};
    for (int p = 0; p < 5; p++) {
        const Tensor &t = model.tensor(prefix + "attention." + projections[p]); // [block][out][in]
        const int blocks = t.shape[0], outs = t.shape[1], ins = t.shape[2];
        w.project[p] = denseMatrix(transposedBlocks(t.data, blocks, outs, ins), blocks, ins, outs);
        w.projectBack[p] = denseMatrix(t.data, blocks, outs, ins);
    }
    if (h.layerNorm1) {
        w.norm1Weight = tensor(model, prefix + "norm_1.weight");
        w.norm1Bias = tensor(model, prefix + "norm_1.bias");
    }
    if (h.layerNorm2) {
        w.norm2Weight = tensor(model, prefix + "norm_2.weight");
        w.norm2Bias = tensor(model, prefix + "norm_2.bias");
    }
    auto mlp = [&](const std::string &name, const T *weight[2], const T *bias[2], const T *back[2]) {
        for (int k = 0; k < 2; k++) {
            const std::string dense = prefix + name + "." + std::to_string(k);
            addDense(model.tensor(dense + ".weight"), weight[k], back[k]);
            bias[k] = tensor(model, dense + ".bias");
        }
    };
    if (h.residualMlp1)
        mlp("mlp_1", w.mlp1, w.mlp1Bias, w.mlp1Back);
    if (h.residualMlp2)
        mlp("mlp_2", w.mlp2, w.mlp2Bias, w.mlp2Back);
    addDense(model.tensor(prefix + "exchange.weight"), w.exchange, w.exchangeBack);
    w.exchangeBias = tensor(model, prefix + "exchange.bias");
}

template <class T> void ModelArrays<T>::addHeads(const Model &model) {
    const Hyperparameters &h = model.hyperparameters();
    auto dense = [&](const std::string &name, const T *&weight, const T *&bias, const T *&back) {
        addDense(model.tensor(name + ".weight"), weight, back);
        bias = tensor(model, name + ".bias");
    };
    if (h.energyHidden)
        dense("energy.hidden", heads.energyHidden, heads.energyHiddenBias, heads.energyHiddenBack);
    heads.energyOut = tensor(model, "energy.out.weight");
    heads.energyOutBias = T(model.tensor("energy.out.bias").data[0]);
    heads.energyScale = perElement(model, "energy.scales");
    heads.energyShift = putDoubles(model.tensor("energy.shifts").data);
    if (h.partialCharges) {
        dense("charges.hidden", heads.chargeHidden, heads.chargeHiddenBias, heads.chargeHiddenBack);
        heads.chargeOut = tensor(model, "charges.out.weight");
        heads.chargeOutBias = T(model.tensor("charges.out.bias").data[0]);
        heads.chargeShift = perElement(model, "charges.element");
    }
    if (h.hirshfeldRatios) {
        dense("hirshfeld.hidden", heads.hirshfeldHidden, heads.hirshfeldHiddenBias, heads.hirshfeldHiddenBack);
        dense("hirshfeld.out", heads.hirshfeldOut, heads.hirshfeldOutBias, heads.hirshfeldOutBack);
        heads.hirshfeldShift = perElement(model, "hirshfeld.element_shift");
        const Tensor &query = model.tensor("hirshfeld.element_query");
        elementRows = std::min(elementRows, query.shape[0]);
        std::vector<double> scaled = query.data;
        for (double &q : scaled)
            q /= std::sqrt(double(query.shape[1]));
        heads.hirshfeldQuery = put(scaled);
    }
    auto rowsOf = [&](bool present, const char *name) {
        if (present)
            elementRows = std::min(elementRows, model.tensor(name).shape[0]);
    };
    rowsOf(true, "energy.shifts");
    rowsOf(h.dispersion, "dispersion.polarizability");
    rowsOf(h.dispersion, "dispersion.c6");
    rowsOf(h.useChargeEmbedding, "embedding.charge.query.weight");
    rowsOf(h.useSpinEmbedding, "embedding.spin.query.weight");
}

template class ModelArrays<float>;
template class ModelArrays<double>;

} // namespace so3krates::cuda
