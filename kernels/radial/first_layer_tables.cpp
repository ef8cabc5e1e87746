#include "radial/first_layer_tables.h"

#include <string>

#include "radial/activation.h"

namespace so3krates {

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
FirstLayerTables<T>::FirstLayerTables(std::shared_ptr<const Model> model, std::shared_ptr<const RadialTable> table,
                                      int padding, int mostRow)
    : model(std::move(model)), radial(std::move(table)) {
    const int row = 2 * (blocks(0) + blocks(1));
    rowWidth = (row + padding - 1) / padding * padding;
    possible = radial && radial->grid.intervals &&
               this->model->hyperparameters().euclideanInit == EuclideanInit::Zero && rowWidth <= mostRow;
    if (!possible)
        return;
    constant[0] = constantFilter(*this->model, "layers.0.attention.filter_x.");
    constant[1] = constantFilter(*this->model, "layers.0.attention.filter_ev.");
}

template <class T> int FirstLayerTables<T>::blocks(int m) const {
    const Hyperparameters &h = model->hyperparameters();
    return m == 0 ? h.numHeads : h.numDegrees();
}

// [x i<-j | x j<-i | ev i<-j | ev j<-i]
template <class T> int FirstLayerTables<T>::place(int m, int direction) const {
    return m == 0 ? direction * blocks(0) : 2 * blocks(0) + direction * blocks(1);
}

template <class T> size_t FirstLayerTables<T>::tableSize() const {
    return possible ? size_t(radial->grid.intervals) * RadialTable::order * rowWidth : 0;
}

template <class T> void FirstLayerTables<T>::prepare(const std::vector<double> &initialFeatures, int numAtoms) {
    ready = false;
    if (!possible)
        return;
    const int F = model->hyperparameters().numFeatures;
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
    if (int(known.size()) + missing > mostKinds) {
        kindOf.clear();
        known.clear();
        memory.clear();
    }
    std::vector<int> number(present.size());
    try {
        for (auto &entry : present) {
            if (!kindOf.count(entry.first))
                addKind(entry.first);
            number[entry.second] = kindOf[entry.first];
        }
    } catch (...) { // out of memory: no kind without all of its tables
        kindOf.clear();
        known.clear();
        memory.clear();
        throw;
    }
    for (int &k : kind)
        k = number[k];
    ready = true;
}

template <class T> void FirstLayerTables<T>::addKind(const std::vector<double> &features) {
    const int added = int(known.size());
    const Activation activation = model->hyperparameters().qkActivation;
    known.emplace_back();
    made++;
    const char *suffix[2] = {"x", "ev"};
    for (int m = 0; m < 2; m++) {
        const std::string prefix = "layers.0.attention.";
        known[added].query[m] = project(model->tensor(prefix + "query_" + suffix[m]), activation, features.data());
        known[added].key[m] = project(model->tensor(prefix + "key_" + suffix[m]), activation, features.data());
    }
    kindOf[features] = added;
    auto newTable = [&](int a, int b) {
        memory.emplace_back(tableSize());
        tables[a * mostKinds + b] = memory.back().get();
    };
    for (int other = 0; other <= added; other++) {
        newTable(added, other);
        if (other != added)
            newTable(other, added);
    }
    for (int other = 0; other <= added; other++) {
        fill(added, other);
        if (other != added)
            fill(other, added);
    }
}

// q of the receiver with k of the sender: i<-j in the table (receiver, sender), j<-i in (sender, receiver).
template <class T> void FirstLayerTables<T>::fill(int receiver, int sender) {
    const Hyperparameters &h = model->hyperparameters();
    const int F = h.numFeatures;
    constexpr int order = RadialTable::order;
    std::vector<double> product(F);
    for (int m = 0; m < 2; m++) {
        for (int f = 0; f < F; f++)
            product[f] = known[receiver].query[m][f] * known[sender].key[m][f];
        const int width = F / blocks(m);
        const double scale = h.messageScale(blocks(m));
        for (int block = 0; block < blocks(m); block++) {
            const int begin = block * width;
            const double parity = m == 1 && h.degrees[block] % 2 ? -1 : 1;
            T *forward = tables[receiver * mostKinds + sender] + place(m, 0) + block;
            T *backward = tables[sender * mostKinds + receiver] + place(m, 1) + block;
            for (int interval = 0; interval < radial->grid.intervals; interval++)
                for (int k = 0; k < order; k++) {
                    const float *c = radial->piece(0, m, interval) + size_t(k) * F + begin;
                    const double sum =
                        dot(product.data() + begin, c, k == 0 ? constant[m].data() + begin : nullptr, width);
                    forward[(size_t(interval) * order + k) * rowWidth] = T(scale * sum);
                    backward[(size_t(interval) * order + k) * rowWidth] = T(scale * parity * sum);
                }
        }
    }
}

template class FirstLayerTables<float>;
template class FirstLayerTables<double>;

} // namespace so3krates
