#include "gpu/region_arrays.h"

#include "openmm/OpenMMException.h"
#include "openmm/common/ComputeForceInfo.h"
#include "units.h"

using OpenMM::ComputeContext;
using OpenMM::OpenMMException;

namespace SO3kratesPlugin {

namespace {

// NUMBER, NUM_ATOMS, PADDED_NUM_ATOMS, ANGSTROM_PER_NM and, in mixed precision, WITH_CORRECTION come from the host.
// OpenMM reorders its atoms now and then: atomIndex says which particle lies where. Forces are fixed-point numbers of
// 2^-32 kJ/mol/nm in three blocks. They are added atomically: OpenMM's own PME adds to the same buffer from a stream of
// its own at the same time.
const char *const kernels = R"(
KERNEL void gatherRegion(
        GLOBAL const real4* RESTRICT posq,
#ifdef WITH_CORRECTION
        GLOBAL const real4* RESTRICT posqCorrection,
#endif
        GLOBAL const int* RESTRICT atomIndex,
        GLOBAL const int* RESTRICT rowOfParticle,
        GLOBAL NUMBER* RESTRICT positions) {
    for (int i = GLOBAL_ID; i < NUM_ATOMS; i += GLOBAL_SIZE) {
        const int row = rowOfParticle[atomIndex[i]];
        if (row < 0)
            continue;
        const real4 rounded = posq[i];
        NUMBER x = rounded.x, y = rounded.y, z = rounded.z;
#ifdef WITH_CORRECTION
        const real4 rest = posqCorrection[i];
        x += rest.x;
        y += rest.y;
        z += rest.z;
#endif
        positions[3*row] = ANGSTROM_PER_NM*x;
        positions[3*row+1] = ANGSTROM_PER_NM*y;
        positions[3*row+2] = ANGSTROM_PER_NM*z;
    }
}

KERNEL void scatterRegion(
        GLOBAL mm_ulong* RESTRICT forceBuffers,
        GLOBAL const int* RESTRICT atomIndex,
        GLOBAL const int* RESTRICT rowOfParticle,
        GLOBAL const NUMBER* RESTRICT forces,
        NUMBER factor) {
    for (int i = GLOBAL_ID; i < NUM_ATOMS; i += GLOBAL_SIZE) {
        const int row = rowOfParticle[atomIndex[i]];
        if (row < 0)
            continue;
        for (int k = 0; k < 3; k++)
            ATOMIC_ADD(&forceBuffers[i+k*PADDED_NUM_ATOMS], (mm_ulong) ((mm_long) (factor*forces[3*row+k])));
    }
}
)";

// What one unit of force is in OpenMM's force buffers.
constexpr double FIXED_POINT = 4294967296.0;

// OpenMM shifts molecules into the box one by one. A region that knows no periodicity must stay in one image: it is
// declared one molecule.
class OneMolecule : public OpenMM::ComputeForceInfo {
public:
    explicit OneMolecule(const std::vector<int> &particles) : particles(particles) {}
    int getNumParticleGroups() override { return 1; }
    void getParticlesInGroup(int, std::vector<int> &group) override { group = particles; }
    bool areGroupsIdentical(int group1, int group2) override { return group1 == group2; }

private:
    std::vector<int> particles;
};

} // namespace

RegionArrays::RegionArrays(ComputeContext &context, const Region &region)
    : numAtoms(context.getNumAtoms()), bytes(context.getSupportsDoublePrecision() ? sizeof(double) : sizeof(float)) {
    if (context.getNumContexts() > 1)
        throw OpenMMException("SO3kratesForce: a Context on several devices is not supported; name one in DeviceIndex");
    std::vector<int> rows(numAtoms, -1);
    for (int row = 0; row < region.size(); row++)
        rows[region.particles()[row]] = row;
    rowOfParticle.initialize<int>(context, rows.size(), "so3kratesRowOfParticle");
    rowOfParticle.upload(rows);
    if (!region.isPeriodic())
        context.addForce(new OneMolecule(region.particles())); // the context's from now on

    std::map<std::string, std::string> defines;
    defines["NUMBER"] = bytes == sizeof(double) ? "double" : "float";
    defines["NUM_ATOMS"] = context.intToString(numAtoms);
    defines["PADDED_NUM_ATOMS"] = context.intToString(context.getPaddedNumAtoms());
    defines["ANGSTROM_PER_NM"] = context.intToString(ANGSTROM_PER_NM);
    if (context.getUseMixedPrecision())
        defines["WITH_CORRECTION"] = "1";
    OpenMM::ComputeProgram program = context.compileProgram(kernels, defines);
    gatherKernel = program->createKernel("gatherRegion");
    gatherKernel->addArg(context.getPosq());
    gatherTarget = 3;
    if (context.getUseMixedPrecision()) {
        gatherKernel->addArg(context.getPosqCorrection());
        gatherTarget++;
    }
    gatherKernel->addArg(context.getAtomIndexArray());
    gatherKernel->addArg(rowOfParticle);
    gatherKernel->addArg();
    scatterKernel = program->createKernel("scatterRegion");
    scatterKernel->addArg(context.getLongForceBuffer());
    scatterKernel->addArg(context.getAtomIndexArray());
    scatterKernel->addArg(rowOfParticle);
    scatterKernel->addArg();
    scatterKernel->addArg();
    scatterSource = 3;
    scatterFactor = 4;
}

void RegionArrays::setFactor(double factor) {
    const double unit = factor * KJ_PER_MOL_NM_PER_EV_ANGSTROM * FIXED_POINT;
    if (bytes == sizeof(double))
        scatterKernel->setArg(scatterFactor, unit);
    else
        scatterKernel->setArg(scatterFactor, (float)unit);
}

} // namespace SO3kratesPlugin
