#include "cpu/first_layer.h"

#include <map>
#include <string>

#include "cpu/evaluation.h"
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
    const int F = h.numFeatures;
    pieces.clear();
    if (!table || !table->intervals || h.euclideanInit == EuclideanInit::Neighborhood ||
        shape.alphaRow() > FirstLayerView<T>::mostRow - 16)
        return;

    std::map<std::vector<double>, int> kindOf;
    kind.resize(numAtoms);
    for (int i = 0; i < numAtoms; i++) {
        const double *x = initialFeatures.data() + size_t(i) * F;
        kind[i] = kindOf.insert({std::vector<double>(x, x + F), int(kindOf.size())}).first->second;
        if (int(kindOf.size()) > mostKinds)
            return;
    }
    kinds = int(kindOf.size());
    const int numKinds = kinds;
    struct Projected {
        std::vector<double> query[2], key[2]; // x, ev
    };
    std::vector<Projected> projected(numKinds);
    const char *suffix[2] = {"x", "ev"};
    for (const auto &entry : kindOf)
        for (int m = 0; m < 2; m++) {
            const std::string prefix = "layers.0.attention.";
            Projected &p = projected[entry.second];
            p.query[m] = project(model.tensor(prefix + "query_" + suffix[m]), h.qkActivation, entry.first.data());
            p.key[m] = project(model.tensor(prefix + "key_" + suffix[m]), h.qkActivation, entry.first.data());
        }

    row = (shape.alphaRow() + lanes - 1) / lanes * lanes;
    const size_t size = size_t(table->intervals) * RadialTable::order * row;
    first.resize(size_t(numKinds) * numKinds);
    pieces.assign(size * first.size(), T(0));
    const std::vector<double> constant[2] = {constantFilter(model, "layers.0.attention.filter_x."),
                                             constantFilter(model, "layers.0.attention.filter_ev.")};
    for (int a = 0; a < numKinds * numKinds; a++)
        first[a] = int(a * size);
    std::vector<double> product(F);
    for (int receiver = 0; receiver < numKinds; receiver++)
        for (int sender = 0; sender < numKinds; sender++)
            for (int m = 0; m < 2; m++) {
                for (int f = 0; f < F; f++)
                    product[f] = projected[receiver].query[m][f] * projected[sender].key[m][f];
                for (int block = 0; block < shape.block[m].count; block++) {
                    const int width = shape.block[m].width, begin = block * width;
                    const double scale = h.messageScale(shape.block[m].count);
                    const double parity = m == 1 && shape.degree[block] % 2 ? -1 : 1;
                    // i<-j of (receiver, sender) is j<-i of (sender, receiver)
                    T *forward = pieces.data() + first[receiver * numKinds + sender] + shape.alpha(m, 0) + block;
                    T *backward = pieces.data() + first[sender * numKinds + receiver] + shape.alpha(m, 1) + block;
                    for (int interval = 0; interval < table->intervals; interval++)
                        for (int k = 0; k < RadialTable::order; k++) {
                            const float *c = table->piece(0, m, interval) + size_t(k) * F + begin;
                            const double sum =
                                dot(product.data() + begin, c, k == 0 ? constant[m].data() + begin : nullptr, width);
                            forward[(size_t(interval) * RadialTable::order + k) * row] = T(scale * sum);
                            backward[(size_t(interval) * RadialTable::order + k) * row] = T(scale * parity * sum);
                        }
                }
            }
}

template class FirstLayerTables<float>;
template class FirstLayerTables<double>;

} // namespace so3krates::cpu
