#pragma once
// Radial basis functions of the distance, with derivatives, in double. Formulas: docs/theory.md, "Radial basis".

#include <vector>

#include "model/model.h"

namespace so3krates {

class RadialBasisFunctions {
public:
    explicit RadialBasisFunctions(const Model &model);
    int size() const { return count; }
    // At distance d (Å): values[count] and, unless null, first and second derivatives by d.
    void evaluate(double d, double *values, double *slopes, double *curvatures = nullptr) const;
    // What the CUDA kernels know the functions by: a [count], then b [count] (cuda/device/radial_basis.cuh).
    std::vector<double> parameters() const;

private:
    RadialBasis kind;
    int count, firstBessel;
    double cutoff, gamma;
    std::vector<double> a, b; // Bernstein: binomials; Gaussian: centers and 1/(2 width^2); PhysNet: centers and beta
};

} // namespace so3krates
