#include "cpu_so3krates_kernel.h"

#include <numeric>

#include "openmm/OpenMMException.h"
#include "openmm/internal/ContextImpl.h"
#include "openmm/reference/ReferencePlatform.h"
#include "pool_team.h"
#include "units.h"

using OpenMM::OpenMMException;
using OpenMM::Vec3;
using Precision = SO3kratesPlugin::SO3kratesForce::Precision;

namespace SO3kratesPlugin {

void CpuCalcSO3kratesForceKernel::initialize(const OpenMM::System &system, const SO3kratesForce &force) {
    atomicNumbers = force.getAtomicNumbers();
    particles = force.getParticles();
    wholeSystem = particles.empty();
    if (wholeSystem) {
        particles.resize(system.getNumParticles());
        std::iota(particles.begin(), particles.end(), 0);
    }
    positions.resize(3 * particles.size());
    forces.resize(3 * particles.size());
    periodic = force.usesPeriodicBoundaryConditions();
    charge = force.getCharge();
    spin = force.getSpin();
    derivativeParameter = force.hasEnergyParameterDerivative() ? force.getScaleParameter() : "";

    const bool inDouble = force.getPrecision() == Precision::Automatic ? getPlatform().supportsDoublePrecision()
                                                                       : force.getPrecision() == Precision::Double;
    so3krates::Options options;
    options.precision = inDouble ? so3krates::Precision::Double : so3krates::Precision::Single;
    options.lrCutoff = force.getLRCutoff() * ANGSTROM_PER_NM;
    options.dispersionSwitchWidth = force.getDispersionSwitchWidth() * ANGSTROM_PER_NM;
    options.allowUntrainedElements = force.getAllowUntrainedElements();
    try {
        potential = so3krates::Potential::create(force.getModelPointer(), options);
    } catch (const std::exception &error) {
        throw OpenMMException(std::string("SO3kratesForce: ") + error.what());
    }
}

static OpenMM::ReferencePlatform::PlatformData &dataOf(OpenMM::ContextImpl &context) {
    return *static_cast<OpenMM::ReferencePlatform::PlatformData *>(context.getPlatformData());
}

// At the Context's positions.
void CpuCalcSO3kratesForceKernel::compute(OpenMM::ContextImpl &context, const so3krates::Results &results) {
    auto &data = dataOf(context);
    const std::vector<Vec3> &allPositions = *data.positions;
    for (size_t atom = 0; atom < particles.size(); atom++)
        for (int k = 0; k < 3; k++)
            positions[3 * atom + k] = allPositions[particles[atom]][k] * ANGSTROM_PER_NM;
    double cell[9];
    for (int row = 0; row < 3; row++)
        for (int k = 0; k < 3; k++)
            cell[3 * row + k] = data.periodicBoxVectors[row][k] * ANGSTROM_PER_NM;

    so3krates::System molecule;
    molecule.numAtoms = (int)particles.size();
    molecule.atomicNumbers = atomicNumbers.data();
    molecule.positions = positions.data();
    molecule.charges = &charge;
    molecule.spins = &spin;
    molecule.cells = periodic ? cell : nullptr;
    PoolTeam team(data.threads);
    try {
        potential->compute(molecule, results, team);
    } catch (const std::exception &error) {
        throw OpenMMException(std::string("SO3kratesForce: ") + error.what() +
                              (wholeSystem ? "" : " (atoms are counted in the order of the force's atoms)"));
    }
}

double CpuCalcSO3kratesForceKernel::execute(OpenMM::ContextImpl &context, bool includeForces, bool includeEnergy,
                                            const Scaling &scaling) {
    const bool withDerivative = !derivativeParameter.empty();
    so3krates::Energies energies;
    so3krates::Results results;
    results.energies = includeEnergy || withDerivative ? &energies : nullptr;
    results.forces = includeForces ? forces.data() : nullptr;
    compute(context, results);
    if (includeForces) {
        const double unit = KJ_PER_MOL_NM_PER_EV_ANGSTROM * scaling.factor;
        std::vector<Vec3> &allForces = *dataOf(context).forces;
        for (size_t atom = 0; atom < particles.size(); atom++)
            for (int k = 0; k < 3; k++)
                allForces[particles[atom]][k] += forces[3 * atom + k] * unit;
    }
    const double energy = energies.total * KJ_PER_MOL_PER_EV;
    if (withDerivative)
        (*dataOf(context).energyParameterDerivatives)[derivativeParameter] += energy * scaling.derivative;
    return includeEnergy ? energy * scaling.factor : 0;
}

SO3kratesPrediction CpuCalcSO3kratesForceKernel::predict(OpenMM::ContextImpl &context) {
    SO3kratesPrediction prediction;
    prediction.partialCharges.resize(particles.size());
    prediction.hirshfeldRatios.resize(particles.size());
    so3krates::Energies energies;
    double dipole[3];
    so3krates::Results results;
    results.energies = &energies;
    results.partialCharges = prediction.partialCharges.data();
    results.hirshfeldRatios = prediction.hirshfeldRatios.data();
    results.dipoles = dipole;
    compute(context, results);
    prediction.network = energies.network * KJ_PER_MOL_PER_EV;
    prediction.zbl = energies.zbl * KJ_PER_MOL_PER_EV;
    prediction.electrostatics = energies.electrostatics * KJ_PER_MOL_PER_EV;
    prediction.dispersion = energies.dispersion * KJ_PER_MOL_PER_EV;
    for (int k = 0; k < 3; k++)
        prediction.dipole[k] = dipole[k] / ANGSTROM_PER_NM;
    return prediction;
}

void CpuCalcSO3kratesForceKernel::copyParametersToContext(OpenMM::ContextImpl &, const SO3kratesForce &force) {
    charge = force.getCharge();
    spin = force.getSpin();
}

} // namespace SO3kratesPlugin
