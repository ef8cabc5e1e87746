#include "radial/radial_network.h"

#include <string>

#include "radial/activation.h"

namespace so3krates {

RadialNetwork::RadialNetwork(const Model &model, int layer, int filter)
    : basis(model), activation(model.hyperparameters().activation), F(model.hyperparameters().numFeatures) {
    const std::string prefix =
        "layers." + std::to_string(layer) + ".attention.filter_" + (filter == 0 ? "x" : "ev") + ".radial.";
    first = &model.tensor(prefix + "0.weight");
    firstBias = &model.tensor(prefix + "0.bias");
    second = &model.tensor(prefix + "1.weight");
    secondBias = &model.tensor(prefix + "1.bias");
}

void RadialNetwork::evaluate(double d, int orders, double *out) const {
    const int K = basis.size();
    std::vector<double> b(3 * size_t(K)), hidden(3 * size_t(F));
    basis.evaluate(d, &b[0], &b[K], &b[2 * K]);
    for (int f = 0; f < F; f++) {
        const double *w = first->data.data() + size_t(f) * K;
        double x[3] = {firstBias->data[f], 0, 0}, slope, curvature;
        for (int k = 0; k < K; k++)
            for (int o = 0; o < 3; o++)
                x[o] += w[k] * b[o * K + k];
        hidden[f] = activate(activation, x[0], &slope, &curvature);
        hidden[F + f] = slope * x[1];
        hidden[2 * F + f] = curvature * x[1] * x[1] + slope * x[2];
    }
    for (int o = 0; o < orders; o++)
        for (int f = 0; f < F; f++) {
            const double *w = second->data.data() + size_t(f) * F, *h = &hidden[size_t(o) * F];
            double sum[4] = {o == 0 ? secondBias->data[f] : 0, 0, 0, 0}; // four chains: additions overlap
            int k = 0;
            for (; k + 4 <= F; k += 4)
                for (int c = 0; c < 4; c++)
                    sum[c] += w[k + c] * h[k + c];
            for (; k < F; k++)
                sum[0] += w[k] * h[k];
            out[size_t(o) * F + f] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        }
}

} // namespace so3krates
