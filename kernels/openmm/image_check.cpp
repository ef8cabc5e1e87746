#include "image_check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "openmm/NonbondedForce.h"
#include "potential.h"
#include "units.h"

using OpenMM::NonbondedForce;
using so3krates::Box;

namespace SO3kratesPlugin {

// Whether every pair of the region has an exception without interaction.
static bool leavesOut(const NonbondedForce &nonbonded, const std::vector<int> &region) {
    std::vector<char> inRegion(nonbonded.getNumParticles(), 0);
    for (int particle : region)
        inRegion[particle] = 1;
    long long pairs = 0;
    for (int k = 0; k < nonbonded.getNumExceptions(); k++) {
        int first, second;
        double charges, sigma, epsilon;
        nonbonded.getExceptionParameters(k, first, second, charges, sigma, epsilon);
        pairs += inRegion[first] && inRegion[second] && charges == 0 && epsilon == 0;
    }
    const long long atoms = region.size();
    return pairs == atoms * (atoms - 1) / 2;
}

// Or may get some by a Context parameter.
static bool hasCharges(const NonbondedForce &nonbonded, const std::vector<int> &region) {
    std::vector<double> charges(nonbonded.getNumParticles());
    for (int particle : region) {
        double sigma, epsilon;
        nonbonded.getParticleParameters(particle, charges[particle], sigma, epsilon);
    }
    for (int k = 0; k < nonbonded.getNumParticleParameterOffsets(); k++) {
        std::string parameter;
        int particle;
        double scale, sigma, epsilon;
        nonbonded.getParticleParameterOffset(k, parameter, particle, scale, sigma, epsilon);
        if (scale != 0)
            charges[particle] = scale;
    }
    return std::any_of(region.begin(), region.end(), [&](int particle) { return charges[particle] != 0; });
}

ImageCheck::ImageCheck(const OpenMM::System &system, const SO3kratesForce &force) {
    const std::vector<int> &region = force.getParticles();
    for (int k = 0; k < system.getNumForces() && !region.empty() && kind == Nothing; k++) {
        const auto *nonbonded = dynamic_cast<const NonbondedForce *>(&system.getForce(k));
        if (nonbonded == nullptr || !nonbonded->usesPeriodicBoundaryConditions() || !leavesOut(*nonbonded, region))
            continue;
        const auto method = nonbonded->getNonbondedMethod();
        const bool isEwald = method == NonbondedForce::LJPME ||
                             (method != NonbondedForce::CutoffPeriodic && hasCharges(*nonbonded, region));
        const bool nearest = isEwald && nonbonded->getExceptionsUsePeriodicBoundaryConditions();
        const double lrCutoff = force.getLRCutoff(), cutoff = nonbonded->getCutoffDistance();
        if (!force.usesPeriodicBoundaryConditions()) {
            kind = nearest ? NearestAndGiven : GivenAndGiven;
            reach = cutoff * ANGSTROM_PER_NM;
        } else if (isEwald) { // a plain cutoff leaves out every image, whatever the exceptions say
            kind = nearest ? NearestAndAll : GivenAndAll;
            reach = (nearest ? lrCutoff : std::max(lrCutoff, cutoff)) * ANGSTROM_PER_NM;
        }
    }
}

static double smallestHeight(const Box &box) { return *std::min_element(box.heights, box.heights + 3); }

bool ImageCheck::isNeeded(const double *cell) const {
    // In a box twice as wide as the cutoff at most one image of a pair is within it, and OpenMM's rounding finds it.
    return kind != Nothing && (kind != NearestAndAll || smallestHeight(Box::from(cell)) < 2 * reach);
}

// Only if true there is nothing more to look at: no image but the given one is within reach, and where that one is,
// OpenMM's rounding leaves it alone.
bool ImageCheck::isSafe(const std::vector<double> &positions, const Box &box) const {
    double low[6], high[6]; // fractions of the box, then Å
    std::fill(low, low + 6, INFINITY);
    std::fill(high, high + 6, -INFINITY);
    for (size_t at = 0; at < positions.size(); at += 3)
        for (int k = 0; k < 3; k++) {
            const double *x = &positions[at];
            const double fraction = x[0] * box.inverse[0][k] + x[1] * box.inverse[1][k] + x[2] * box.inverse[2][k];
            low[k] = std::min(low[k], fraction);
            high[k] = std::max(high[k], fraction);
            low[k + 3] = std::min(low[k + 3], x[k]);
            high[k + 3] = std::max(high[k + 3], x[k]);
        }
    for (int k = 0; k < 3; k++) {
        if (!((1 - (high[k] - low[k])) * box.heights[k] >= reach))
            return false;
        if (kind == NearestAndGiven && !(high[k + 3] - low[k + 3] < box.vectors[k][k] / 2))
            return false;
    }
    return true;
}

// Whether this is the image of a pair that OpenMM takes for the nearest: it rounds along z, y and x, one after the
// other (its boxes are in reduced form). In a skewed box another image may be nearer.
static bool isOpenMMsNearest(const double *displacement, const Box &box) {
    for (int k = 0; k < 3; k++)
        if (std::floor(displacement[k] / box.vectors[k][k] + 0.5) != 0)
            return false;
    return true;
}

bool ImageCheck::isWrong(const double *r, const Box &box) const {
    int first[3], last[3], others = 0; // images within reach that the exception does not stand for
    for (int k = 0; k < 3; k++) {
        const double fraction = r[0] * box.inverse[0][k] + r[1] * box.inverse[1][k] + r[2] * box.inverse[2][k];
        first[k] = int(std::ceil(-fraction - reach / box.heights[k]));
        last[k] = int(std::floor(-fraction + reach / box.heights[k]));
    }
    for (int a = first[0]; a <= last[0]; a++)
        for (int b = first[1]; b <= last[1]; b++)
            for (int c = first[2]; c <= last[2]; c++) {
                double image[3], square = 0;
                for (int k = 0; k < 3; k++) {
                    image[k] = r[k] + a * box.vectors[0][k] + b * box.vectors[1][k] + c * box.vectors[2][k];
                    square += image[k] * image[k];
                }
                const bool isGiven = a == 0 && b == 0 && c == 0;
                if (square < reach * reach)
                    others += kind == NearestAndAll ? !isOpenMMsNearest(image, box) : !isGiven;
            }
    return others > 0 || (kind == NearestAndGiven && !isOpenMMsNearest(r, box));
}

void ImageCheck::check(const std::vector<double> &positions, const double *cell) const {
    for (double x : positions)
        if (!(std::fabs(x) < 1e8))
            return; // the engine says which, and that it is too large or no number
    const Box box = Box::from(cell);
    if (isSafe(positions, box))
        return;
    const int atoms = int(positions.size() / 3);
    for (int i = 0; i < atoms; i++)
        for (int j = 0; j <= i; j++) {
            double r[3];
            for (int k = 0; k < 3; k++)
                r[k] = positions[3 * j + k] - positions[3 * i + k];
            if (isWrong(r, box))
                fail(i, j, box);
        }
}

static std::string nanometers(double length) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g nm", length / ANGSTROM_PER_NM);
    return text;
}

void ImageCheck::fail(int i, int j, const Box &box) const {
    const std::string distance = nanometers(reach), height = nanometers(smallestHeight(box));
    const std::string where = "the box, " + height + " from face to face, is too small for this region: atoms " +
                              std::to_string(j) + " and " + std::to_string(i);
    const std::string periodicExceptions =
        "nonbondedForce.setExceptionsUsePeriodicBoundaryConditions(True), as OpenMM-ML does";
    switch (kind) {
    case NearestAndAll:
        throw so3krates::InputError(where + " see an image of one another within lr_cutoff (" + distance +
                                    ") that is not the one which the force field's Ewald sum leaves out, so that it is "
                                    "counted twice. Make the box " +
                                    nanometers(2 * reach) +
                                    " wide, or wider than the region by lr_cutoff, or lr_cutoff shorter");
    case GivenAndAll:
        throw so3krates::InputError(where + " have a periodic image within " + distance +
                                    " that is not the one of their positions. The force field's exceptions leave out "
                                    "only that one, so that others are counted twice. Call " +
                                    periodicExceptions);
    case NearestAndGiven:
        throw so3krates::InputError(
            where + " are not where they are nearest to one another, or have another periodic image within " +
            distance +
            ". The model computes the image of their positions (periodic=False), the force field leaves out the "
            "nearest "
            "one. Make the force periodic, or the box wider than twice the region and than the region by " +
            distance);
    default:
        throw so3krates::InputError(where + " have a periodic image within " + distance +
                                    " that is not the one of their positions, which neither the model (periodic=False) "
                                    "nor the force field computes. Make the box wider than the region by " +
                                    distance + ", or make the force periodic and call " + periodicExceptions);
    }
}

} // namespace SO3kratesPlugin
