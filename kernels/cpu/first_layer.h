#pragma once
// The first layer's attention coefficients as functions of the distance alone. Its Euclidean variables are zero, so
// its filters depend on d only, and its q and k depend only on the atom's initial features, which atoms of one element
// (and molecule, if charged) share. For each pair of such kinds of atoms, q w k of every head and degree is a
// combination of the radial splines: a spline itself, of 2 (heads + degrees) numbers instead of 2 F.

#include <map>
#include <memory>
#include <vector>

#include "cpu/evaluation.h"
#include "model/model.h"
#include "radial/radial_table.h"

namespace so3krates::cpu {

template <class T> class FirstLayerTables {
public:
    static constexpr int mostKinds = 8; // SO3LR knows 8 elements; a table of its shape has 98 kB

    // Prepares the tables for atoms with these initial features, [N][F] unpadded. Tables once made are kept: going
    // back and forth between compositions of the same elements costs nothing. Without a radial table, with ev from the
    // neighborhood, or with more than mostKinds kinds of atoms there is nothing to prepare: available() is false.
    void prepare(const Model &model, const RadialTable *table, const Shape &shape, int lanes,
                 const std::vector<double> &initialFeatures, int numAtoms);
    bool available() const { return ready; }
    FirstLayerView<T> view() const;

private:
    struct Kind {
        std::vector<double> query[2], key[2]; // [F] x, ev
    };
    void addKind(const Model &model, const RadialTable &table, const Shape &shape, const std::vector<double> &features);
    void fill(const Model &model, const RadialTable &table, const Shape &shape, int receiver, int sender);
    bool ready = false;
    int row = 0;                               // alphaRow padded
    std::map<std::vector<double>, int> kindOf; // by initial features
    std::vector<Kind> kinds;
    std::vector<int> kind; // [N]
    std::vector<std::unique_ptr<T[]>> memory;
    T *tables[mostKinds * mostKinds] = {}; // [kind of i][kind of j]
    std::vector<double> constant[2];       // what the spherical filters add while ev is zero, [F]
};

} // namespace so3krates::cpu
