#include "cuda/tile_weights.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "cuda/device/tile_layout.h"
#include "cuda/half.h"

namespace so3krates::cuda {

static_assert(JointRadialBasis::size == jointFunctions && jointFunctions % tileDepth == 0, "");

namespace {

// A fragment of A (device/half_tensor.cuh): entry(row, summed), scaled.
template <class Entry> void putFragment(std::vector<unsigned> &out, Entry entry) {
    std::vector<unsigned> small;
    for (int lane = 0; lane < 32; lane++) {
        const int g = lane / 4, t = lane % 4;
        for (int q = 0; q < 4; q++) {
            unsigned big = 0, rest = 0;
            for (int k = 0; k < 2; k++) {
                const double x = entry(g + q % 2 * 8, 4 * t + q / 2 * 2 + k);
                const unsigned bits = halfBits(float(x));
                big |= bits << 16 * k;
                rest |= unsigned(halfBits(float(x - halfValue(std::uint16_t(bits))))) << 16 * k;
            }
            out.push_back(big);
            small.push_back(rest);
        }
    }
    out.insert(out.end(), small.begin(), small.end());
}

double largest(const std::vector<double> &values) {
    double size = 0;
    for (double value : values)
        size = std::max(size, std::abs(value));
    return size;
}

// Of the joint functions and of their derivatives by the position in an interval.
double largestFunction(const JointRadialBasis &joint) {
    const size_t interval = size_t(RadialTable::order) * JointRadialBasis::size;
    double size = 0;
    for (size_t first = 0; first < joint.pieces.size(); first += interval)
        for (int f = 0; f < JointRadialBasis::size; f++) {
            double value = 0, slope = 0;
            for (int power = 0; power < RadialTable::order; power++) {
                const double c = std::abs(joint.pieces[first + size_t(power) * JointRadialBasis::size + f]);
                value += c;
                slope += power * c;
            }
            size = std::max({size, value, slope});
        }
    return size;
}

// Largest error of the functions from jointSplit on, rounded to FP16, on the grid.
double roundingError(const JointRadialBasis &joint, double scale) {
    auto rounded = [](double x, double scale) { return halfValue(halfBits(float(x * scale))) / scale; };
    const size_t interval = size_t(RadialTable::order) * JointRadialBasis::size;
    double error = 0;
    for (size_t first = 0; first < joint.pieces.size(); first += interval)
        for (const std::vector<double> &weights : joint.weights)
            for (size_t row = 0; row < weights.size(); row += JointRadialBasis::size) {
                double sum = 0;
                for (int k = jointSplit; k < JointRadialBasis::size; k++) {
                    const double function = joint.pieces[first + k], weight = weights[row + k];
                    sum += rounded(function, 1024) * rounded(weight, scale) - function * weight;
                }
                error = std::max(error, std::abs(sum));
            }
    return error;
}

} // namespace

bool haveTiles(const Hyperparameters &hyper, const RadialTable *table) {
    return table && table->grid.intervals &&
           tiledShape(hyper.numFeatures, hyper.numHeads, hyper.numDegrees(), hyper.numEuclidean(),
                      hyper.numSphericalHidden());
}

TileWeights::TileWeights(const Model &model, int layer, const JointRadialBasis &joint, bool spherical) {
    const Hyperparameters &h = model.hyperparameters();
    const int F = h.numFeatures, D = h.numDegrees(), S = h.numSphericalHidden();
    rows.assign(1 + D, 0.0);
    rows[0] = std::max(largestFunction(joint), 1.0);
    const std::vector<double> *weights[2] = {};
    double size = std::max(largest(joint.weights[0]), largest(joint.weights[1]));
    for (int filter = 0; filter < 2 && spherical; filter++) {
        const std::string name =
            "layers." + std::to_string(layer) + ".attention.filter_" + (filter == 0 ? "x" : "ev") + ".spherical.";
        weights[filter] = &model.tensor(name + "1.weight").data; // [F][S]
        size = std::max(size, largest(*weights[filter]));
        // No activation function is larger than its argument by more than log 2.
        rows[0] = std::max(rows[0], largest(model.tensor(name + "0.bias").data) + 0.7);
        const std::vector<double> &first = model.tensor(name + "0.weight").data; // [S][D]
        for (int d = 0; d < D; d++)
            for (int k = 0; k < S; k++)
                rows[1 + d] =
                    std::max(rows[1 + d], std::abs(first[size_t(k) * D + d]) / std::sqrt(2.0 * h.degrees[d] + 1));
    }
    const double scale = size > 0 ? std::exp2(std::floor(std::log2(largestHalf / size))) : 1;
    unscale = 1 / scale;
    error = joint.error + (joint.rms > 0 ? roundingError(joint, scale) / joint.rms : 0);
    for (int filter = 0; filter < 2; filter++)
        for (int first = 0; first < F; first += tileWidth) {
            for (int step = 0; step < forwardSteps(S); step++)
                for (int tile = 0; tile < 2; tile++)
                    putFragment(forward[filter], [&](int row, int k) {
                        const int f = first + tileFeature(tile, row), z = tileDepth * step + k;
                        if (z < jointFunctions)
                            return scale * joint.weights[filter][size_t(f) * jointFunctions + z];
                        return spherical ? scale * (*weights[filter])[size_t(f) * S + z - jointFunctions] : 0.0;
                    });
            for (int tile = 0; spherical && tile < S / 16; tile++)
                for (int step = 0; step < backSteps; step++)
                    putFragment(back[filter], [&](int row, int k) {
                        return scale * (*weights[filter])[size_t(first + tileDepth * step + k) * S + 16 * tile + row];
                    });
        }
}

} // namespace so3krates::cuda
