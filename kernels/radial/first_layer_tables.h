#pragma once
// The first layer's attention coefficients as functions of the distance alone. Its Euclidean variables are zero, so
// its filters depend on d only, and its q and k depend only on the atom's initial features, which atoms of one element
// (and molecule, if charged) share. For each pair of such kinds of atoms, q w k of every head and degree is a
// combination of the radial splines: a spline itself, of 2 (heads + degrees) numbers instead of 2 F.

#include <map>
#include <memory>
#include <vector>

#include "aligned_array.h"
#include "model/model.h"
#include "radial/radial_table.h"

namespace so3krates {

template <class T> class FirstLayerTables {
public:
    // SO3LR knows 8 elements. Tables are quadratic in the kinds: for SO3LR 49 kB each, 3 MB of 8 kinds.
    static constexpr int mostKinds = 8;

    // table: null if there is none. Rows are padded with zeros to a multiple of `padding` numbers. With rows longer
    // than mostRow numbers, nothing is ever available.
    FirstLayerTables(std::shared_ptr<const Model> model, std::shared_ptr<const RadialTable> table, int padding,
                     int mostRow);

    // Prepares the tables for atoms with these initial features, [N][F] unpadded. Tables once made are kept: going
    // back and forth between compositions of the same elements costs nothing. Without a radial table, with ev from the
    // neighborhood, or with more than mostKinds kinds of atoms there is nothing to prepare, and available() is false.
    void prepare(const std::vector<double> &initialFeatures, int numAtoms);
    bool available() const { return ready; }

    const std::vector<int> &kinds() const { return kind; } // [N] in 0..numKinds()-1
    int numKinds() const { return int(known.size()); }     // of which there are tables, here or not
    int generation() const { return made; }                // changes with the tables
    // [interval][order][row]: raw coefficients of receiver i and sender j, and of j<-i. Scale included, cutoff function
    // not; the ev coefficients of j<-i carry the parity (-1)^l of Y(-u). Null: none.
    const T *table(int receiver, int sender) const { return tables[receiver * mostKinds + sender]; }
    const T *const *allTables() const { return tables; } // [mostKinds][mostKinds]
    int row() const { return rowWidth; }                 // numbers, padded
    size_t tableSize() const;                            // numbers

private:
    struct Kind {
        std::vector<double> query[2], key[2]; // [F] x, ev
    };
    int blocks(int m) const; // heads, degrees
    int place(int m, int direction) const;
    void addKind(const std::vector<double> &features);
    void fill(int receiver, int sender);
    std::shared_ptr<const Model> model;
    std::shared_ptr<const RadialTable> radial;
    bool possible = false, ready = false;
    int rowWidth = 0, made = 0;
    std::map<std::vector<double>, int> kindOf; // by initial features
    std::vector<Kind> known;
    std::vector<int> kind; // [N]
    std::vector<AlignedArray<T>> memory;
    T *tables[mostKinds * mostKinds] = {}; // [kind of i][kind of j]
    std::vector<double> constant[2];       // what the spherical filters add while ev is zero, [F]
};

} // namespace so3krates
