#include "cpu/first_layer.h"

#include <string>

#include "radial/activation.h"

namespace so3krates::cpu {

namespace {

// act(W x) per block, weight [blocks][width out][width in].
std::vector<double> project(const Tensor &weight, Activation activation, const double *x) {
    const int blocks = weight.shape[0], width = weight.shape[1];
    std::vector<double> y(size_t(blocks) * width, 0.0);
    for (int b = 0; b < blocks; b++)
        for (int o = 0; o < width; o++) {
            double sum = 0;
            for (int i = 0; i < width; i++)
                sum += weight.data[(size_t(b) * width + o) * width + i] * x[b * width + i];
            y[size_t(b) * width + o] = activate(activation, sum);
        }
    return y;
}

// The constant that a spherical filter adds while ev is zero, [F].
std::vector<double> constantFilter(const Model &model, const std::string &filter) {
    const Hyperparameters &h = model.hyperparameters();
    std::vector<double> constant(h.numFeatures, 0.0);
    if (!h.useSphericalFilter)
        return constant;
    const Tensor &bias0 = model.tensor(filter + "spherical.0.bias"),
                 &weight = model.tensor(filter + "spherical.1.weight");
    const Tensor &bias1 = model.tensor(filter + "spherical.1.bias");
    const int hidden = h.numSphericalHidden();
    for (int f = 0; f < h.numFeatures; f++) {
        constant[f] = bias1.data[f];
        for (int k = 0; k < hidden; k++)
            constant[f] += weight.data[size_t(f) * hidden + k] * activate(h.activation, bias0.data[k]);
    }
    return constant;
}

// sum of a (b + c); c may be null. Four chains: the additions overlap.
double dot(const double *a, const float *b, const double *c, int n) {
    double sums[4] = {0, 0, 0, 0};
    for (int k = 0; k < n; k++)
        sums[k % 4] += a[k] * (c ? double(b[k]) + c[k] : double(b[k]));
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

} // namespace

template <class T>
void FirstLayerTables<T>::prepare(const Model &model, const RadialTable *table, const Shape &shape, int lanes,
                                  const std::vector<double> &initialFeatures, int numAtoms) {
    const Hyperparameters &h = model.hyperparameters();
    ready = false;
    if (!table || !table->intervals || h.euclideanInit == EuclideanInit::Neighborhood ||
        shape.alphaRow() + lanes > FirstLayerView<T>::mostRow)
        return;
    if (!row) {
        row = (shape.alphaRow() + lanes - 1) / lanes * lanes;
        constant[0] = constantFilter(model, "layers.0.attention.filter_x.");
        constant[1] = constantFilter(model, "layers.0.attention.filter_ev.");
    }
    const int F = h.numFeatures;
    std::map<std::vector<double>, int> present;
    kind.resize(numAtoms);
    for (int i = 0; i < numAtoms; i++) {
        const double *x = initialFeatures.data() + size_t(i) * F;
        kind[i] = present.insert({std::vector<double>(x, x + F), int(present.size())}).first->second;
        if (int(present.size()) > mostKinds)
            return;
    }
    int missing = 0;
    for (const auto &entry : present)
        missing += kindOf.count(entry.first) == 0;
    if (int(kinds.size()) + missing > mostKinds) {
        kindOf.clear();
        kinds.clear();
        memory.clear();
    }
    std::vector<int> known(present.size());
    for (auto &entry : present) {
        if (!kindOf.count(entry.first))
            addKind(model, *table, shape, entry.first);
        known[entry.second] = kindOf[entry.first];
    }
    for (int &k : kind)
        k = known[k];
    ready = true;
}

template <class T>
void FirstLayerTables<T>::addKind(const Model &model, const RadialTable &table, const Shape &shape,
                                  const std::vector<double> &features) {
    const int added = int(kinds.size());
    const Activation activation = model.hyperparameters().qkActivation;
    kinds.emplace_back();
    const char *suffix[2] = {"x", "ev"};
    for (int m = 0; m < 2; m++) {
        const std::string prefix = "layers.0.attention.";
        kinds[added].query[m] = project(model.tensor(prefix + "query_" + suffix[m]), activation, features.data());
        kinds[added].key[m] = project(model.tensor(prefix + "key_" + suffix[m]), activation, features.data());
    }
    kindOf[features] = added;
    auto newTable = [&](int a, int b) {
        memory.push_back(std::make_unique<T[]>(size_t(table.intervals) * RadialTable::order * row));
        tables[a * mostKinds + b] = memory.back().get();
    };
    for (int other = 0; other <= added; other++) {
        newTable(added, other);
        if (other != added)
            newTable(other, added);
    }
    for (int other = 0; other <= added; other++) {
        fill(model, table, shape, added, other);
        if (other != added)
            fill(model, table, shape, other, added);
    }
}

// q of the receiver with k of the sender: i<-j in the table (receiver, sender), j<-i in (sender, receiver).
template <class T>
void FirstLayerTables<T>::fill(const Model &model, const RadialTable &table, const Shape &shape, int receiver,
                               int sender) {
    const int F = model.hyperparameters().numFeatures;
    std::vector<double> product(F);
    for (int m = 0; m < 2; m++) {
        for (int f = 0; f < F; f++)
            product[f] = kinds[receiver].query[m][f] * kinds[sender].key[m][f];
        for (int block = 0; block < shape.block[m].count; block++) {
            const int width = shape.block[m].width, begin = block * width;
            const double scale = model.hyperparameters().messageScale(shape.block[m].count);
            const double parity = m == 1 && shape.degree[block] % 2 ? -1 : 1;
            T *forward = tables[receiver * mostKinds + sender] + shape.alpha(m, 0) + block;
            T *backward = tables[sender * mostKinds + receiver] + shape.alpha(m, 1) + block;
            for (int interval = 0; interval < table.intervals; interval++)
                for (int k = 0; k < RadialTable::order; k++) {
                    const float *c = table.piece(0, m, interval) + size_t(k) * F + begin;
                    const double sum =
                        dot(product.data() + begin, c, k == 0 ? constant[m].data() + begin : nullptr, width);
                    forward[(size_t(interval) * RadialTable::order + k) * row] = T(scale * sum);
                    backward[(size_t(interval) * RadialTable::order + k) * row] = T(scale * parity * sum);
                }
        }
    }
}

template <class T> FirstLayerView<T> FirstLayerTables<T>::view() const {
    FirstLayerView<T> view;
    if (ready) {
        view.tables = tables;
        view.kind = kind.data();
        view.mostKinds = mostKinds;
        view.row = row;
    }
    return view;
}

template class FirstLayerTables<float>;
template class FirstLayerTables<double>;

} // namespace so3krates::cpu
