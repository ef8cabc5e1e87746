#pragma once
// A region within a periodic force field: whether each pair of its atoms is computed once, in every periodic image.
//
// The force field leaves a pair of the region out by an exception, which stands for one image of the pair: the one that
// the positions are in, or the nearest one, as OpenMM rounds, if the NonbondedForce's exceptions are periodic. All its
// other images are left out too where they are within the force field's cutoff, and are in an Ewald sum beyond. The
// model computes all images within lr_cutoff if the force is periodic, else the one that the positions are in. So
// images other than the exception's must be far away.

#include <vector>

#include "neighbors/box.h"
#include "openmm/System.h"
#include "so3krates_force.h"

namespace SO3kratesPlugin {

class ImageCheck {
public:
    ImageCheck(const OpenMM::System &system, const SO3kratesForce &force);
    // Whether positions in this box can be wrong. cell: Å, as OpenMM has it; looked at only if there is a force field
    // that leaves out all pairs of the region.
    bool isNeeded(const double *cell) const;
    // positions: [atoms][3] Å. Throws so3krates::InputError. Looks at pairs only if the region is nearly as wide as the
    // box.
    void check(const std::vector<double> &positions, const double *cell) const;

private:
    bool isSafe(const std::vector<double> &positions, const so3krates::Box &box) const;
    bool isWrong(const double *displacement, const so3krates::Box &box) const;
    [[noreturn]] void fail(int i, int j, const so3krates::Box &box) const;

    enum { // what the force field leaves out, what the model computes
        Nothing,
        NearestAndAll, // wrong if the model sees another image than OpenMM's nearest
        GivenAndAll,   // the given image; wrong if the model sees another one
        NearestAndGiven,
        GivenAndGiven
    } kind = Nothing;
    double reach = 0; // Å
};

} // namespace SO3kratesPlugin
