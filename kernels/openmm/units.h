#pragma once
// The one place where OpenMM's units (nm, kJ/mol) meet the engine's (Å, eV).

namespace SO3kratesPlugin {

constexpr double ANGSTROM_PER_NM = 10.0;
// Elementary charge and Avogadro constant are exact in the SI since 2019 (CODATA 2018 and 2022):
// 1 eV = 1.602176634e-19 J x 6.02214076e23 / mol = 96.48533212331 kJ/mol.
constexpr double KJ_PER_MOL_PER_EV = 1.602176634e-19 * 6.02214076e23 / 1000;
constexpr double KJ_PER_MOL_NM_PER_EV_ANGSTROM = KJ_PER_MOL_PER_EV * ANGSTROM_PER_NM;

} // namespace SO3kratesPlugin
