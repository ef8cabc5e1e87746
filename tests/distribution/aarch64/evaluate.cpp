// evaluate MODEL single|double LR_CUTOFF < SYSTEM: the engine without Python, for test_aarch64.py.
// SYSTEM: number of atoms; 9 numbers of the box, Å; per atom atomic number and position, Å. Prints what computes, then
// the energy in eV, then per atom charge in e and force in eV/Å.

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "potential.h"

int main(int, char **arguments) {
    using namespace so3krates;
    Options options;
    options.precision = std::string(arguments[2]) == "double" ? Precision::Double : Precision::Single;
    options.lrCutoff = std::atof(arguments[3]);
    auto potential = Potential::create(Model::load(arguments[1]), options);

    System system;
    std::cin >> system.numAtoms;
    std::vector<int> numbers(system.numAtoms);
    std::vector<double> cell(9), positions(3 * system.numAtoms), charges(system.numAtoms), forces(3 * system.numAtoms);
    for (double &number : cell)
        std::cin >> number;
    for (int atom = 0; atom < system.numAtoms; atom++) {
        std::cin >> numbers[atom];
        for (int axis = 0; axis < 3; axis++)
            std::cin >> positions[3 * atom + axis];
    }
    system.atomicNumbers = numbers.data();
    system.positions = positions.data();
    system.cells = cell.data();

    Energies energies;
    Results results;
    results.energies = &energies;
    results.forces = forces.data();
    results.partialCharges = charges.data();
    auto team = makeThreadTeam(2);
    potential->compute(system, results, *team);

    std::printf("%s\n%.17g\n", potential->implementation().c_str(), energies.total);
    for (int atom = 0; atom < system.numAtoms; atom++)
        std::printf("%.17g %.17g %.17g %.17g\n", charges[atom], forces[3 * atom], forces[3 * atom + 1],
                    forces[3 * atom + 2]);
}
