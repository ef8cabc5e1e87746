#include "radial/joint_radial_basis.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "radial/radial_network.h"

namespace so3krates {

namespace {

// A function of the distance: value, slope and curvature at all grid points, per fine interval. These numbers are the
// spline, and sums of functions are sums of them.
using Nodes = std::vector<double>;

constexpr int perNode = 3;

// Of all features of a filter.
std::vector<Nodes> nodesOf(const Model &model, int layer, int filter, const RadialGrid &grid) {
    const Hyperparameters &h = model.hyperparameters();
    const int F = h.numFeatures;
    const double step = 1 / grid.inverseStep;
    const RadialNetwork network(model, layer, filter);
    const std::vector<double> &bias = network.bias();
    std::vector<Nodes> nodes(F);
    std::vector<double> at(size_t(perNode) * F);
    for (int n = 0; n <= grid.intervals; n++) {
        network.evaluate(grid.start(n), perNode, at.data());
        for (int f = 0; f < F; f++)
            nodes[f].insert(nodes[f].end(), {at[f] - bias[f], at[F + f] * step, at[2 * F + f] * step * step});
    }
    return nodes;
}

double product(const Nodes &a, const Nodes &b, const double (&weight)[perNode]) {
    double sum = 0;
    for (size_t n = 0; n < a.size(); n += perNode)
        for (int k = 0; k < perNode; k++)
            sum += weight[k] * a[n + k] * b[n + k];
    return sum;
}

void subtract(Nodes &a, double factor, const Nodes &b) {
    for (size_t n = 0; n < a.size(); n++)
        a[n] -= factor * b[n];
}

} // namespace

// Gram-Schmidt with pivots: the function that is known worst so far becomes the next of the basis. Close to the best
// basis of that size (a singular value decomposition's deviates by half as much), in a page.
JointRadialBasis makeJointRadialBasis(const Model &model, int layer, const RadialGrid &grid) {
    const int F = model.hyperparameters().numFeatures, numFunctions = 2 * F, intervals = grid.intervals;
    const double step = 1 / grid.inverseStep;
    // Values count as they are, slopes as over 0.1 Å, which makes their deviations small, too.
    double weight[perNode];
    for (int k = 0; k < perNode; k++)
        weight[k] = std::pow(0.1 / step, 2 * k);
    std::vector<Nodes> rest = nodesOf(model, layer, 0, grid), ofEv = nodesOf(model, layer, 1, grid);
    std::move(ofEv.begin(), ofEv.end(), std::back_inserter(rest));
    double squares = 0, noise = 0;
    for (const Nodes &nodes : rest)
        noise = std::max(noise, 1e-24 * product(nodes, nodes, weight));
    for (const Nodes &nodes : rest)
        for (size_t n = 0; n < nodes.size(); n += perNode)
            squares += nodes[n] * nodes[n] * grid.width(int(n / perNode));
    const double points = intervals + 1, range = grid.start(intervals) * grid.inverseStep;
    const double rms = std::sqrt(squares / (range * numFunctions)); // over distances
    JointRadialBasis basis;
    basis.rms = rms;
    for (auto &weights : basis.weights)
        weights.assign(size_t(F) * JointRadialBasis::size, 0.0);
    basis.pieces.assign(size_t(intervals) * RadialTable::order * JointRadialBasis::size, 0.0);
    std::vector<Nodes> chosen;
    for (int k = 0; k < JointRadialBasis::size; k++) {
        int worst = 0;
        double largest = 0;
        for (int f = 0; f < numFunctions; f++)
            if (const double norm = product(rest[f], rest[f], weight); norm > largest) {
                largest = norm;
                worst = f;
            }
        if (largest <= noise)
            break; // all are known as well as double precision goes
        Nodes next = rest[worst];
        for (const Nodes &other : chosen) // once more: rounding grows as the rest shrinks
            subtract(next, product(next, other, weight) / product(other, other, weight), other);
        const double scale = std::sqrt(points / product(next, next, weight)); // of the order of 1 everywhere
        for (double &number : next)
            number *= scale;
        const double norm = product(next, next, weight);
        for (int f = 0; f < numFunctions; f++) {
            const double factor = product(rest[f], next, weight) / norm;
            basis.weights[f / F][size_t(f % F) * JointRadialBasis::size + k] = factor;
            subtract(rest[f], factor, next);
        }
        for (int interval = 0; interval < intervals; interval++) {
            double ends[2][perNode], c[RadialTable::order];
            for (int end = 0; end < 2; end++)
                for (int k = 0; k < perNode; k++)
                    ends[end][k] = next[size_t(interval + end) * perNode + k] * std::pow(grid.width(interval), k);
            quintic(ends[0], ends[1], c);
            for (int power = 0; power < RadialTable::order; power++)
                basis.pieces[(size_t(interval) * RadialTable::order + power) * JointRadialBasis::size + k] = c[power];
        }
        chosen.push_back(std::move(next));
    }
    for (const Nodes &nodes : rest)
        for (size_t n = 0; n < nodes.size() && rms > 0; n += perNode)
            basis.error = std::max(basis.error, std::abs(nodes[n]) / rms);
    return basis;
}

} // namespace so3krates
