#include "cpu/embedding.h"

#include <cmath>
#include <map>

#include "radial/activation.h"

namespace so3krates::cpu {

namespace {

double softplus(double x) { return activate(Activation::Softplus, x); }
double silu(double x) { return activate(Activation::Silu, x); }

std::vector<double> times(const Tensor &weight, const std::vector<double> &x) {
    std::vector<double> y(weight.shape[0], 0.0);
    for (size_t o = 0; o < y.size(); o++)
        for (size_t i = 0; i < x.size(); i++)
            y[o] += weight.data[o * x.size() + i] * x[i];
    return y;
}

// Adds the embedding of psi (total charge or number of unpaired electrons) of one molecule: the molecule's psi is
// shared out over its atoms by an attention over elements, and each share passes a small network.
void addGlobalEmbedding(const Model &model, const std::string &name, double psi, const int *atomicNumbers, int begin,
                        int end, std::vector<double> &x) {
    if (psi == 0)
        return;
    const int F = model.hyperparameters().numFeatures, row = psi >= 0 ? 0 : 1;
    const Tensor &query = model.tensor(name + ".query.weight");
    const double *key = model.tensor(name + ".key.weight").data.data() + size_t(row) * F;
    const double *value = model.tensor(name + ".value.weight").data.data() + size_t(row) * F;
    std::map<int, double> weightOf;
    double sum = 0;
    for (int i = begin; i < end; i++) {
        auto inserted = weightOf.insert({atomicNumbers[i], 0.0});
        if (inserted.second) {
            double dot = 0;
            for (int f = 0; f < F; f++)
                dot += query.data[size_t(atomicNumbers[i]) * F + f] * key[f];
            inserted.first->second = softplus(dot / std::sqrt(double(F)));
        }
        sum += inserted.first->second;
    }
    std::map<int, std::vector<double>> embeddingOf;
    for (const auto &element : weightOf) {
        std::vector<double> h(F), hidden(F);
        for (int f = 0; f < F; f++) {
            h[f] = psi * element.second / sum * value[f];
            hidden[f] = silu(h[f]);
        }
        hidden = times(model.tensor(name + ".residual.0.weight"), hidden);
        for (double &y : hidden)
            y = silu(y);
        hidden = times(model.tensor(name + ".residual.1.weight"), hidden);
        for (int f = 0; f < F; f++)
            h[f] += hidden[f];
        embeddingOf[element.first] = h;
    }
    for (int i = begin; i < end; i++) {
        const std::vector<double> &embedding = embeddingOf[atomicNumbers[i]];
        for (int f = 0; f < F; f++)
            x[size_t(i) * F + f] += embedding[f];
    }
}

} // namespace

std::vector<double> initialFeatures(const Model &model, const System &system) {
    const Hyperparameters &h = model.hyperparameters();
    const size_t F = h.numFeatures;
    const Tensor &element = model.tensor("embedding.element.weight");
    std::vector<double> x(system.numAtoms * F);
    for (int i = 0; i < system.numAtoms; i++)
        for (size_t f = 0; f < F; f++)
            x[i * F + f] = element.data[system.atomicNumbers[i] * F + f];
    for (int m = 0; m < system.numMolecules; m++) {
        const int begin = system.offsets ? system.offsets[m] : 0;
        const int end = system.offsets ? system.offsets[m + 1] : system.numAtoms;
        if (h.useChargeEmbedding && system.charges)
            addGlobalEmbedding(model, "embedding.charge", system.charges[m], system.atomicNumbers, begin, end, x);
        if (h.useSpinEmbedding && system.spins)
            addGlobalEmbedding(model, "embedding.spin", system.spins[m], system.atomicNumbers, begin, end, x);
    }
    const double scale = 1 / std::sqrt(1.0 + h.useChargeEmbedding + h.useSpinEmbedding);
    for (double &value : x)
        value *= scale;
    return x;
}

} // namespace so3krates::cpu
