#include "cpu/packed_model.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "radial/activation.h"

namespace so3krates::cpu {

namespace {

// A matrix [rows][columns] in double while it is being put together.
struct Matrix {
    int rows, columns;
    std::vector<double> data;
    Matrix(int rows, int columns) : rows(rows), columns(columns), data(size_t(rows) * columns, 0.0) {}
    double &at(int r, int c) { return data[size_t(r) * columns + c]; }
    double at(int r, int c) const { return data[size_t(r) * columns + c]; }
};

Matrix transposed(const Matrix &m) {
    Matrix t(m.columns, m.rows);
    for (int r = 0; r < m.rows; r++)
        for (int c = 0; c < m.columns; c++)
            t.at(c, r) = m.at(r, c);
    return t;
}

// Rows of `tensor` [out][in] put at place(out) of a taller matrix.
Matrix placed(const Tensor &tensor, int rows, const std::function<int(int)> &place) {
    int out = tensor.shape[0], in = tensor.shape[1];
    Matrix m(rows, in);
    for (int o = 0; o < out; o++)
        for (int i = 0; i < in; i++)
            m.at(place(o), i) = tensor.data[size_t(o) * in + i];
    return m;
}

} // namespace

ShapeNumbers shapeNumbers(const Hyperparameters &h) {
    ShapeNumbers n = {};
    n.numFeatures = h.numFeatures;
    n.numHeads = h.numHeads;
    n.numDegrees = h.numDegrees();
    std::copy(h.degrees.begin(), h.degrees.end(), n.degree);
    n.numRadial = h.numRadialBasis;
    n.numSpherical = h.numSphericalHidden();
    n.numLayers = h.numLayers;
    n.energyHidden = h.energyHidden;
    n.hirshfeldHidden = h.hirshfeldRatios ? h.numFeatures / 2 : 0;
    return n;
}

template <class T> T *PackedModelOwner<T>::newArray(size_t size) {
    arrays.emplace_back(size + lanes); // zeros; a vector may be read at the end
    return arrays.back().get();
}

template <class T> double *PackedModelOwner<T>::newDoubles(size_t size) {
    doubleArrays.push_back(std::make_unique<double[]>(size));
    return doubleArrays.back().get();
}

// outIn [out][in], out a multiple of the lanes.
template <class T>
Dense<T> PackedModelOwner<T>::dense(const std::vector<double> &outIn, int in, int out,
                                    const std::vector<double> *bias) {
    T *weight = newArray(size_t(in) * out);
    size_t k = 0;
    for (int column = 0; column < out; column += 2 * lanes) {
        int width = std::min(2 * lanes, out - column);
        for (int i = 0; i < in; i++)
            for (int c = 0; c < width; c++)
                weight[k++] = T(outIn[size_t(column + c) * in + i]);
    }
    Dense<T> d;
    d.weight = weight;
    d.in = in;
    d.out = out;
    if (bias) {
        T *b = newArray(out);
        for (int o = 0; o < out; o++)
            b[o] = T((*bias)[o]);
        d.bias = b;
    }
    return d;
}

template <class T>
PackedModelOwner<T>::PackedModelOwner(const Model &model, VectorFormat format, const RadialTable *table,
                                      FirstLayer first)
    : packed(), basis(model), lanes(format.lanes) {
    const Hyperparameters &h = model.hyperparameters();
    packed.shape = paddedShape(shapeNumbers(h), lanes);
    const Shape &s = packed.shape;
    const auto pad = [&](int n) { return (n + lanes - 1) / lanes * lanes; };
    T *mask = newArray(size_t(s.numDegrees) * s.euclidean);
    for (int d = 0; d < s.numDegrees; d++) {
        packed.contractionNorm[d] = T(1 / std::sqrt(2.0 * h.degrees[d] + 1));
        std::fill(mask + d * s.euclidean + s.degreeStart[d], mask + d * s.euclidean + s.degreeStart[d + 1], T(1));
    }
    packed.degreeMask = mask;
    packed.activation = h.activation;
    packed.qkActivation = h.qkActivation;
    packed.energyActivation = h.energyActivation;
    packed.radialBasis = &basis;
    packed.tableGrid = table ? table->grid : RadialGrid();
    packed.cutoffFunction = h.cutoffFunction;
    packed.cutoffExponent = h.cutoffExponent;
    packed.euclideanFromNeighborhood = h.euclideanInit == EuclideanInit::Neighborhood;
    packed.cutoff = h.cutoff;
    packed.neighborhoodScale = 1 / h.avgNumNeighbors;
    for (int m = 0; m < 2; m++)
        packed.messageScale[m] = h.messageScale(s.block[m].count);

    const int F = h.numFeatures, D = s.numDegrees, S = s.numSpherical;
    auto inPlace = [](int o) { return o; };
    auto rowOf = [&](const std::string &name, int size) { // a vector padded with zeros
        const Tensor &t = model.tensor(name);
        std::vector<double> v(size, 0.0);
        std::copy(t.data.begin(), t.data.end(), v.begin());
        return v;
    };
    auto array = [&](const std::vector<double> &v) {
        T *a = newArray(v.size());
        for (size_t k = 0; k < v.size(); k++)
            a[k] = T(v[k]);
        return a;
    };
    // A dense layer as it stands in the file, and its transpose for the way back.
    auto forward = [&](const std::string &name, int out, bool hasBias = true) {
        Matrix m = placed(model.tensor(name + ".weight"), pad(out), inPlace);
        std::vector<double> bias;
        if (hasBias)
            bias = rowOf(name + ".bias", pad(out));
        return dense(m.data, m.columns, m.rows, hasBias ? &bias : nullptr);
    };
    auto backward = [&](const std::string &name, int in) {
        const Tensor &t = model.tensor(name + ".weight");
        Matrix m = transposed(placed(t, t.shape[0], inPlace));
        m.data.resize(size_t(pad(in)) * m.columns, 0.0);
        return dense(m.data, m.columns, pad(in), nullptr);
    };

    layers.resize(h.numLayers);
    for (int layer = 0; layer < h.numLayers; layer++) {
        LayerWeights<T> &w = layers[layer];
        w = LayerWeights<T>();
        const std::string prefix = "layers." + std::to_string(layer) + ".";
        const bool constantSpherical = layer == 0 && !packed.euclideanFromNeighborhood && first == FirstLayer::ByModel;
        w.useSpherical = h.useSphericalFilter && !constantSpherical;
        Matrix spherical0(2 * s.spherical, D);
        std::vector<double> spherical0Bias(2 * s.spherical, 0.0);
        for (int m = 0; m < 2; m++) {
            const BlockLayout &b = s.block[m];
            auto place = [&](int o) { return o / b.width * b.stride + o % b.width; };
            const std::string filter = prefix + (m == 0 ? "attention.filter_x." : "attention.filter_ev.");
            w.radial0[m] = forward(filter + "radial.0", F);
            std::vector<double> bias(b.total(), 0.0);
            for (int f = 0; f < F; f++)
                bias[place(f)] = model.tensor(filter + "radial.1.bias").data[f];
            if (h.useSphericalFilter) {
                const Tensor &w0 = model.tensor(filter + "spherical.0.weight");
                const Tensor &b0 = model.tensor(filter + "spherical.0.bias");
                const Tensor &w1 = model.tensor(filter + "spherical.1.weight");
                const Tensor &b1 = model.tensor(filter + "spherical.1.bias");
                for (int f = 0; f < F; f++) {
                    bias[place(f)] += b1.data[f];
                    if (constantSpherical)
                        for (int k = 0; k < S; k++)
                            bias[place(f)] += w1.data[size_t(f) * S + k] * activate(h.activation, b0.data[k]);
                }
                for (int k = 0; k < S; k++) {
                    spherical0Bias[m * s.spherical + k] = b0.data[k];
                    for (int d = 0; d < D; d++)
                        spherical0.at(m * s.spherical + k, d) =
                            w0.data[size_t(k) * D + d] / std::sqrt(2.0 * h.degrees[d] + 1);
                }
                Matrix out = placed(w1, b.total(), place);
                w.spherical1[m] = dense(out.data, S, b.total(), nullptr);
                Matrix back = transposed(out);
                back.data.resize(size_t(s.spherical) * b.total(), 0.0);
                w.spherical1Back[m] = dense(back.data, b.total(), s.spherical, nullptr);
            }
            Matrix radial1 = placed(model.tensor(filter + "radial.1.weight"), b.total(), place);
            w.radial1[m] = dense(radial1.data, F, b.total(), &bias);
            if (packed.tableGrid.intervals) {
                constexpr int order = RadialTable::order;
                T *pieces = newArray(size_t(table->grid.intervals) * order * b.total());
                const std::vector<double> &own = model.tensor(filter + "radial.1.bias").data; // already in the table
                for (int interval = 0; interval < table->grid.intervals; interval++)
                    for (int k = 0; k < order; k++)
                        for (int f = 0; f < F; f++)
                            pieces[(size_t(interval) * order + k) * b.total() + place(f)] =
                                T(table->piece(layer, m, interval)[k * F + f] + (k ? 0 : bias[place(f)] - own[f]));
                w.table[m] = pieces;
            }
        }
        w.spherical0 = dense(spherical0.data, D, 2 * s.spherical, &spherical0Bias);
        w.spherical0Rows = array(transposed(spherical0).data);

        const char *projections[5] = {"query_x", "key_x", "query_ev", "key_ev", "value_x"};
        for (int p = 0; p < 5; p++) {
            const BlockLayout &b = s.block[p == 2 || p == 3];
            const Tensor &t = model.tensor(prefix + "attention." + projections[p]);
            const size_t size = size_t(b.width) * b.stride;
            T *all = newArray(size * b.count), *allBack = newArray(size * b.count);
            for (int block = 0; block < b.count; block++) {
                Matrix m(b.stride, b.width), back(b.stride, b.width);
                for (int o = 0; o < b.width; o++)
                    for (int i = 0; i < b.width; i++)
                        m.at(o, i) = back.at(i, o) = t.data[(size_t(block) * b.width + o) * b.width + i];
                const T *one = dense(m.data, b.width, b.stride, nullptr).weight;
                std::copy(one, one + size, all + block * size);
                one = dense(back.data, b.width, b.stride, nullptr).weight;
                std::copy(one, one + size, allBack + block * size);
            }
            w.project[p] = all;
            w.projectBack[p] = allBack;
        }

        auto norm = [&](bool present, const char *name, const T *&weight, const T *&bias) {
            weight = present ? array(rowOf(prefix + name + ".weight", s.features)) : nullptr;
            bias = present ? array(rowOf(prefix + name + ".bias", s.features)) : nullptr;
        };
        norm(h.layerNorm1, "norm_1", w.norm1Weight, w.norm1Bias);
        norm(h.layerNorm2, "norm_2", w.norm2Weight, w.norm2Bias);
        for (int k = 0; k < 2; k++) {
            const std::string number = std::to_string(k);
            if (h.residualMlp1) {
                w.mlp1[k] = forward(prefix + "mlp_1." + number, F);
                w.mlp1Back[k] = backward(prefix + "mlp_1." + number, F);
            }
            if (h.residualMlp2) {
                w.mlp2[k] = forward(prefix + "mlp_2." + number, F);
                w.mlp2Back[k] = backward(prefix + "mlp_2." + number, F);
            }
        }
        auto placeExchange = [&](int o) { return o < F ? o : s.features + o - F; };
        Matrix exchange = placed(model.tensor(prefix + "exchange.weight"), s.features + pad(D), placeExchange);
        std::vector<double> exchangeBias(s.features + pad(D), 0.0);
        for (int o = 0; o < F + D; o++)
            exchangeBias[placeExchange(o)] = model.tensor(prefix + "exchange.bias").data[o];
        w.exchange = dense(exchange.data, F + D, exchange.rows, &exchangeBias);
        w.exchangeBack = backward(prefix + "exchange", F + D);
    }
    packed.layers = layers.data();

    if (h.energyHidden) {
        packed.energyHidden = forward("energy.hidden", h.energyHidden);
        packed.energyHiddenBack = backward("energy.hidden", F);
    }
    packed.energyOut = array(rowOf("energy.out.weight", h.energyHidden ? s.energyHiddenPadded : s.features));
    packed.energyOutBias = T(model.tensor("energy.out.bias").data[0]);
    packed.elementRows = model.elementRows();
    packed.energyScale = array(model.tensor("energy.scales").data);
    const std::vector<double> &shifts = model.tensor("energy.shifts").data;
    double *energyShift = newDoubles(shifts.size());
    std::copy(shifts.begin(), shifts.end(), energyShift);
    packed.energyShift = energyShift;
    packed.hasCharges = h.partialCharges;
    if (h.partialCharges) {
        packed.chargeHidden = forward("charges.hidden", F);
        packed.chargeHiddenBack = backward("charges.hidden", F);
        packed.chargeOut = array(rowOf("charges.out.weight", s.features));
        packed.chargeOutBias = T(model.tensor("charges.out.bias").data[0]);
        packed.chargeShift = array(model.tensor("charges.element").data);
    }
    packed.hasHirshfeld = h.hirshfeldRatios;
    if (h.hirshfeldRatios) {
        packed.hirshfeldHidden = forward("hirshfeld.hidden", s.hirshfeldHidden);
        packed.hirshfeldHiddenBack = backward("hirshfeld.hidden", F);
        packed.hirshfeldOut = forward("hirshfeld.out", s.hirshfeldHidden);
        packed.hirshfeldOutBack = backward("hirshfeld.out", s.hirshfeldHidden);
        packed.hirshfeldShift = array(model.tensor("hirshfeld.element_shift").data);
        const Tensor &query = model.tensor("hirshfeld.element_query");
        T *rows = newArray(size_t(query.shape[0]) * s.hirshfeldPadded);
        for (int z = 0; z < query.shape[0]; z++)
            for (int k = 0; k < s.hirshfeldHidden; k++)
                rows[size_t(z) * s.hirshfeldPadded + k] =
                    T(query.data[size_t(z) * s.hirshfeldHidden + k] / std::sqrt(double(s.hirshfeldHidden)));
        packed.hirshfeldQuery = rows;
    }
}

template class PackedModelOwner<float>;
template class PackedModelOwner<double>;

} // namespace so3krates::cpu
