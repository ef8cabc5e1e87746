#pragma once
// The engine's one interface: frozen model + atoms + boxes -> energy, forces, charges.
// Knows nothing of Python, torch or OpenMM. Units: Å, eV, elementary charges.

#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/model.h"
#include "threads/thread_team.h"

namespace so3krates {

// What was given cannot be computed (unknown element, positions that are not numbers, coincident atoms,
// degenerate box, ...); what() names the cause and the mend.
class InputError : public std::invalid_argument {
public:
    using std::invalid_argument::invalid_argument;
};

enum class Precision { Single, Double };

struct Options {
    Precision precision = Precision::Single;
    // Å; infinity: no long-range cutoff (non-periodic systems only); NaN: the model's default.
    double lrCutoff = std::numeric_limits<double>::quiet_NaN();
    double dispersionSwitchWidth = std::numeric_limits<double>::quiet_NaN(); // Å; NaN: the model's default
    // In single precision the radial networks are replaced by splines if these meet the error bound of
    // radial/radial_table.h; false: always the networks. Double precision always uses the networks.
    bool radialTable = true;
    // Elements the model has rows for but was not trained on are refused unless this is set.
    bool allowUntrainedElements = false;
};

// One or several independent molecules. All pointers are borrowed for the duration of the call.
struct System {
    int numAtoms = 0;
    const int *atomicNumbers = nullptr; // [numAtoms]
    const double *positions = nullptr;  // [numAtoms][3] Å; need not be wrapped
    int numMolecules = 1;
    const int *offsets = nullptr;    // [numMolecules+1], rising from 0 to numAtoms; null: one molecule
    const double *charges = nullptr; // [numMolecules] total charge, e; null: 0
    const double *spins = nullptr;   // [numMolecules] number of unpaired electrons; null: 0
    const double *cells = nullptr;   // [numMolecules][3][3] Å, rows are box vectors; null: no periodicity.
                                     // A molecule whose nine numbers are all 0 is not periodic.
};

struct Energies {
    double total = 0, network = 0, zbl = 0, electrostatics = 0, dispersion = 0; // eV
};

// Where the time of an evaluation went: one entry for each stage and layer, in the order they ran.
struct StageTime {
    const char *stage;
    int layer; // from 0; -1: no stage of a layer
    double seconds;
};

// What to compute and where to put it. Null: not wanted.
struct Results {
    Energies *energies = nullptr;      // [numMolecules]
    double *forces = nullptr;          // [numAtoms][3] eV/Å
    double *virials = nullptr;         // [numMolecules][3][3] eV; minus dE/d(strain), symmetric
    double *partialCharges = nullptr;  // [numAtoms] e; 0 if the model predicts none
    double *hirshfeldRatios = nullptr; // [numAtoms]; 1 if the model predicts none
    double *dipoles = nullptr;         // [numMolecules][3] e Å, sum of charge times position as given
    // Replaced by the stages of this evaluation; a backend that does not time its stages leaves it empty. Changes no
    // other result.
    std::vector<StageTime> *stageTimes = nullptr;
};

class Potential {
public:
    // Throws ModelError or InputError (an lr_cutoff that cannot be used).
    static std::unique_ptr<Potential> create(std::shared_ptr<const Model> model, const Options &options);
    virtual ~Potential() = default;
    // Not to be called from two threads at once on one object: it keeps work space between calls.
    // The results are the same bits for any size of the team.
    virtual void compute(const System &system, const Results &results, ThreadTeam &team) = 0;
    virtual const Model &model() const = 0;
    virtual const Options &options() const = 0;     // with the model's defaults filled in
    virtual std::string implementation() const = 0; // what computes, e.g. "CPU avx2 single"
};

} // namespace so3krates
