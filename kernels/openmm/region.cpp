#include "region.h"

#include <numeric>

#include "openmm/OpenMMException.h"
#include "pool_team.h"
#include "units.h"

using OpenMM::OpenMMException;
using OpenMM::Vec3;

namespace SO3kratesPlugin {

so3krates::Options engineOptions(const SO3kratesForce &force, bool doubleByDefault) {
    using Precision = SO3kratesForce::Precision;
    const bool inDouble =
        force.getPrecision() == Precision::Automatic ? doubleByDefault : force.getPrecision() == Precision::Double;
    so3krates::Options options;
    options.precision = inDouble ? so3krates::Precision::Double : so3krates::Precision::Single;
    options.lrCutoff = force.getLRCutoff() * ANGSTROM_PER_NM;
    options.dispersionSwitchWidth = force.getDispersionSwitchWidth() * ANGSTROM_PER_NM;
    options.allowUntrainedElements = force.getAllowUntrainedElements();
    return options;
}

std::unique_ptr<so3krates::Potential> createPotential(const SO3kratesForce &force, bool doubleByDefault) {
    try {
        return so3krates::Potential::create(force.getModelPointer(), engineOptions(force, doubleByDefault));
    } catch (const std::exception &error) {
        throw OpenMMException(std::string("SO3kratesForce: ") + error.what());
    }
}

Region::Region(const OpenMM::System &system, const SO3kratesForce &force)
    : periodic(force.usesPeriodicBoundaryConditions()), wholeSystem(force.getParticles().empty()),
      indices(force.getParticles()), atomicNumbers(force.getAtomicNumbers()), images(system, force) {
    if (wholeSystem) {
        indices.resize(system.getNumParticles());
        std::iota(indices.begin(), indices.end(), 0);
    }
    positions.resize(3 * indices.size());
    takeParameters(force);
}

void Region::takeParameters(const SO3kratesForce &force) {
    charge = force.getCharge();
    spin = force.getSpin();
}

void Region::takePositions(const std::vector<Vec3> &all) {
    for (size_t atom = 0; atom < indices.size(); atom++)
        for (int k = 0; k < 3; k++)
            positions[3 * atom + k] = all[indices[atom]][k] * ANGSTROM_PER_NM;
}

void Region::takeBox(const Vec3 *vectors) {
    for (int row = 0; row < 3; row++)
        for (int k = 0; k < 3; k++)
            cell[3 * row + k] = vectors[row][k] * ANGSTROM_PER_NM;
}

so3krates::System Region::system() const {
    so3krates::System system;
    system.numAtoms = size();
    system.atomicNumbers = atomicNumbers.data();
    system.positions = positions.data();
    system.charges = &charge;
    system.spins = &spin;
    system.cells = periodic ? cell : nullptr;
    return system;
}

void Region::fail(const std::exception &error) const {
    throw OpenMMException(std::string("SO3kratesForce: ") + error.what() +
                          (wholeSystem ? "" : " (atoms are counted in the order of the force's atoms)"));
}

bool Region::imagesMatter() const {
    try {
        return images.isNeeded(cell);
    } catch (const std::exception &error) {
        fail(error);
    }
}

void Region::checkImages() const {
    try {
        images.check(positions, cell);
    } catch (const std::exception &error) {
        fail(error);
    }
}

void Region::compute(so3krates::Potential &potential, const so3krates::Results &results,
                     OpenMM::ThreadPool &pool) const {
    if (imagesMatter())
        checkImages();
    PoolTeam team(pool);
    try {
        potential.compute(system(), results, team);
    } catch (const std::exception &error) {
        fail(error);
    }
}

SO3kratesPrediction Region::predict(so3krates::Potential &potential, OpenMM::ThreadPool &pool) const {
    SO3kratesPrediction prediction;
    prediction.partialCharges.resize(size());
    prediction.hirshfeldRatios.resize(size());
    so3krates::Energies energies;
    double dipole[3];
    so3krates::Results results;
    results.energies = &energies;
    results.partialCharges = prediction.partialCharges.data();
    results.hirshfeldRatios = prediction.hirshfeldRatios.data();
    results.dipoles = dipole;
    compute(potential, results, pool);
    prediction.network = energies.network * KJ_PER_MOL_PER_EV;
    prediction.zbl = energies.zbl * KJ_PER_MOL_PER_EV;
    prediction.electrostatics = energies.electrostatics * KJ_PER_MOL_PER_EV;
    prediction.dispersion = energies.dispersion * KJ_PER_MOL_PER_EV;
    for (int k = 0; k < 3; k++)
        prediction.dipole[k] = dipole[k] / ANGSTROM_PER_NM;
    return prediction;
}

} // namespace SO3kratesPlugin
