#pragma once
// The atoms that a SO3kratesForce describes, in the engine's units, for the kernels of all platforms.

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "export.h"
#include "image_check.h"
#include "openmm/System.h"
#include "openmm/Vec3.h"
#include "openmm/internal/ThreadPool.h"
#include "potential.h"
#include "so3krates_force.h"

namespace SO3kratesPlugin {

// doubleByDefault: what SO3kratesForce::Precision::Automatic stands for.
so3krates::Options engineOptions(const SO3kratesForce &force, bool doubleByDefault);
// On the CPU. Throws OpenMM::OpenMMException.
SO3KRATES_OPENMM_EXPORT std::unique_ptr<so3krates::Potential> createPotential(const SO3kratesForce &force,
                                                                              bool doubleByDefault);

class SO3KRATES_OPENMM_EXPORT Region {
public:
    Region(const OpenMM::System &system, const SO3kratesForce &force);
    // Charge and spin.
    void takeParameters(const SO3kratesForce &force);
    // Of all the System's particles, nm, not wrapped.
    void takePositions(const std::vector<OpenMM::Vec3> &all);
    void takeBox(const OpenMM::Vec3 *vectors); // nm

    int size() const { return (int)atomicNumbers.size(); }
    bool isPeriodic() const { return periodic; }
    const std::vector<int> &particles() const { return indices; } // [atoms] in the System
    // Valid as long as this object, with the numbers it holds then.
    so3krates::System system() const;

    // Whether checkImages() can find anything in the present box. It throws OpenMM::OpenMMException where positions and
    // box have the model and a force field around it count a pair twice, or not at all.
    bool imagesMatter() const;
    void checkImages() const;

    // With checkImages(). Throws OpenMM::OpenMMException in place of the engine's exceptions.
    void compute(so3krates::Potential &potential, const so3krates::Results &results, OpenMM::ThreadPool &pool) const;
    SO3kratesPrediction predict(so3krates::Potential &potential, OpenMM::ThreadPool &pool) const;
    // The engine's exception as OpenMM's.
    [[noreturn]] void fail(const std::exception &error) const;

    std::vector<double> positions; // [atoms][3] Å

private:
    bool periodic, wholeSystem;
    double charge = 0, spin = 0, cell[9] = {};
    std::vector<int> indices, atomicNumbers;
    ImageCheck images;
};

} // namespace SO3kratesPlugin
