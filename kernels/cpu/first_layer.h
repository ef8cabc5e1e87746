#pragma once
// The first layer's attention coefficients as functions of the distance alone. Its Euclidean variables are zero, so
// its filters depend on d only, and its q and k depend only on the atom's initial features, which atoms of one element
// (and molecule, if charged) share. For each pair of such kinds of atoms, q w k of every head and degree is a
// combination of the radial splines: a spline itself, of 2 (heads + degrees) numbers instead of 2 F.

#include <vector>

#include "cpu/packed_model.h"
#include "model/model.h"
#include "radial/radial_table.h"

namespace so3krates::cpu {

template <class T> class FirstLayerTables {
public:
    // Prepares the tables for atoms with these initial features, [N][F] unpadded. Without a radial table, with ev from
    // the neighborhood, or with more than `mostKinds` kinds of atoms there is nothing to prepare: available() is false.
    void prepare(const Model &model, const RadialTable *table, const Shape &shape, int lanes,
                 const std::vector<double> &initialFeatures, int numAtoms);
    bool available() const { return !pieces.empty(); }
    int numKinds() const { return kinds; }
    static constexpr int mostKinds = 6; // 21 tables of 98 kB for SO3LR's shape stay in the caches

    std::vector<int> kind;  // [N]
    std::vector<int> first; // [kinds][kinds] start of the table of (kind of i, kind of j)
    std::vector<T> pieces;  // [table][interval][order][row]: raw coefficients in the order of Shape::alpha, scale and
                            // parity included, cutoff function not
    int row = 0;            // alphaRow padded

private:
    int kinds = 0;
};

} // namespace so3krates::cpu
