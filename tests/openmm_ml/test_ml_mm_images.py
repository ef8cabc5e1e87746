"""A region in a periodic force field: every pair is counted once in every image, or the evaluation is refused."""

import numpy as np
import openmm
import pytest

from openmm_so3krates import Potential, SO3kratesForce

EV = 96.48533212331  # kJ/mol
COULOMB = 138.935456  # kJ/mol nm/e²
CUTOFF = 0.7  # of the force field, nm
PME, PLAIN = openmm.NonbondedForce.PME, openmm.NonbondedForce.CutoffPeriodic
CHARGES, NUMBERS = [-0.8, 0.4, 0.4] * 2, [8, 1, 1] * 2
SIGMA, EPSILON = 0.3, 0.5  # nm, kJ/mol; of all atoms
WATER = np.array([[0, 0, 0], [0.096, 0, 0], [-0.024, 0.093, 0]])
NEON = [1.1, 0.2, 0.3]  # the surroundings: an ion outside the region


def two_waters(edge, gap=0.3):
    """Over the box's face, each in one piece: as they are near to one another, and wrapped into the box."""
    whole = np.vstack([WATER + np.array([x, 0.1, 0.1]) for x in (0.05, -gap)])
    wrapped = whole.copy()
    wrapped[3:] += [edge, 0, 0]
    return whole, wrapped


def make_system(so3lr, edge, lr_cutoff, periodic, nearest, method=PME, exceptions=True, **settings):
    """nearest: whether exceptions are those of the nearest image."""
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors([edge, 0, 0], [0, edge, 0], [0, 0, edge])
    nonbonded = openmm.NonbondedForce()
    nonbonded.setNonbondedMethod(method)
    nonbonded.setCutoffDistance(CUTOFF)
    nonbonded.setUseDispersionCorrection(False)
    if method == PME:
        nonbonded.setPMEParameters(5, 64, 64, 64)
    for charge in [*CHARGES, 0.3]:
        system.addParticle(12)
        nonbonded.addParticle(charge, SIGMA, EPSILON)
    for i in range(len(NUMBERS) if exceptions else 0):
        for j in range(i):
            nonbonded.addException(i, j, 0, 1, 0)
    nonbonded.setExceptionsUsePeriodicBoundaryConditions(nearest)
    system.addForce(nonbonded)
    if so3lr is not None:
        settings = {"atoms": range(6), "atomic_numbers": NUMBERS, "precision": "double"} | settings
        system.addForce(SO3kratesForce(so3lr, lr_cutoff=lr_cutoff, periodic=periodic, **settings))
    return system


def energy_of(system, region, platform="Reference") -> float:
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName(platform))
    context.setPositions(np.vstack([region, NEON]))
    return context.getState(energy=True).getPotentialEnergy()._value


def pair_energy(i, j, r):
    lennard_jones = 4 * EPSILON * ((SIGMA / r) ** 12 - (SIGMA / r) ** 6) if r < CUTOFF else 0
    return COULOMB * CHARGES[i] * CHARGES[j] / r + lennard_jones


PAIRS = [(i, j) for i in range(6) for j in range(i)]


def expected_energy(so3lr, edge, lr_cutoff) -> float:
    """The model of the region in vacuum; of the force field's lattice everything but the pairs of the region."""
    whole = two_waters(edge)[0]
    lattice = energy_of(make_system(None, edge, lr_cutoff, True, False, exceptions=False), whole)
    pairs = sum(pair_energy(i, j, np.linalg.norm(whole[i] - whole[j])) for i, j in PAIRS)
    model = Potential(so3lr, lr_cutoff=10 * lr_cutoff, precision="double").compute(NUMBERS, 10 * whole)
    return model.energy * EV + lattice - pairs


# The force's periodicity, whether exceptions are of the nearest image, whether wrapped positions can be computed.
KINDS = [(True, True, True), (True, False, False), (False, False, False), (False, True, False)]
MESSAGES = {
    (True, True): "see an image of one another within lr_cutoff",
    (True, False): "others are counted twice. Call nonbondedForce.setExceptionsUsePeriodicBoundaryConditions",
    (False, False): "which neither the model .* nor the force field computes",
    (False, True): "the force field leaves out the nearest one. Make the force periodic",
}


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
@pytest.mark.parametrize(("periodic", "nearest", "wrapped_too"), KINDS)
def test_every_pair_is_counted_once_or_refused(so3lr, platform, periodic, nearest, wrapped_too):
    edge, lr_cutoff = 2.0, 0.9
    whole, wrapped = two_waters(edge)
    system = make_system(so3lr, edge, lr_cutoff, periodic, nearest)
    expected = expected_energy(so3lr, edge, lr_cutoff)
    assert energy_of(system, whole, platform) == pytest.approx(expected, abs=0.02)
    if wrapped_too:
        assert energy_of(system, wrapped, platform) == pytest.approx(expected, abs=0.02)
    else:
        with pytest.raises(openmm.OpenMMException, match=f"2 nm from face to face.*{MESSAGES[periodic, nearest]}"):
            energy_of(system, wrapped, platform)


def test_a_box_narrower_than_twice_the_long_range_cutoff(so3lr):
    """Refused only where a pair is indeed within the cutoff twice."""
    edge, lr_cutoff = 1.5, 0.9
    system = make_system(so3lr, edge, lr_cutoff, True, True)
    for region in two_waters(edge):  # up to 0.5 nm wide
        assert energy_of(system, region) == pytest.approx(expected_energy(so3lr, edge, lr_cutoff), abs=0.02)
    wide = two_waters(edge, gap=0.65)[0]  # images 0.6 to 0.8 nm apart, and atoms 0.7 nm
    with pytest.raises(
        openmm.OpenMMException, match=r"an image of one another .*\(0.9 nm\).* Make the box 1.8 nm wide"
    ):
        energy_of(system, wide)
    energy_of(make_system(so3lr, edge, 0.7, True, True), wide)


def test_what_is_right_in_any_box(so3lr):
    """Plain cutoffs leave out all images, and a force field that computes the region too is the user's mixture."""
    edge = 1.5
    for settings in ({"method": PLAIN}, {"exceptions": False}):
        for region in (two_waters(edge, 0.65)[0], two_waters(edge)[1]):
            energy_of(make_system(so3lr, edge, 0.9, True, False, **settings), region)


def test_charges_by_a_parameter(so3lr):
    """A region without charges is right in any box, unless a parameter of the Context gives it some."""
    wide = two_waters(1.5, 0.65)[0]
    for offset in (None, [0, 0, 0], [0, 1, 0], [0.4, 0, 0]):
        system = make_system(so3lr, 1.5, 0.9, True, True)
        nonbonded = system.getForce(0)
        for atom in range(6):
            nonbonded.setParticleParameters(atom, 0, SIGMA, EPSILON)
        nonbonded.addGlobalParameter("lambda", 0)
        if offset is not None:
            nonbonded.addParticleParameterOffset("lambda", 4, *offset)
        if offset == [0.4, 0, 0]:
            with pytest.raises(openmm.OpenMMException, match=MESSAGES[True, True]):
                energy_of(system, wide)
        else:
            energy_of(system, wide)


def test_plain_cutoff_and_a_force_that_sees_no_images(so3lr):
    edge = 2.0
    whole, wrapped = two_waters(edge)
    for nearest in (True, False):
        system = make_system(so3lr, edge, 0.9, False, nearest, method=PLAIN)
        energy_of(system, whole)
        with pytest.raises(openmm.OpenMMException, match=MESSAGES[False, False]):
            energy_of(system, wrapped)


def test_atoms_that_see_themselves(so3lr):
    """One ion: a lattice vector shorter than lr_cutoff."""
    edge = 1.45
    for lr_cutoff, right in ((1.4, True), (1.5, False)):
        system = make_system(None, edge, lr_cutoff, True, True, exceptions=False)
        force = SO3kratesForce(so3lr, atomic_numbers=[17], charge=-1, atoms=[0], lr_cutoff=lr_cutoff, periodic=True)
        system.addForce(force)
        region = two_waters(edge)[0]
        if right:
            energy_of(system, region)
        else:
            with pytest.raises(openmm.OpenMMException, match="atoms 0 and 0 see an image"):
                energy_of(system, region)


def in_box(system, box):
    """Another box, and no surroundings: an atom of the region may be where the ion is."""
    system.setDefaultPeriodicBoxVectors(*box)
    system.getForce(0).setParticleParameters(len(NUMBERS), 0, SIGMA, 0)
    return system


def expected_in_box(so3lr, region, box, lr_cutoff, left_out) -> float:
    """The model with all its images; of the force field's lattice everything but one image per pair."""
    lattice = in_box(make_system(None, 1, lr_cutoff, True, False, exceptions=False), box)
    model = Potential(so3lr, lr_cutoff=10 * lr_cutoff, precision="double").compute(NUMBERS, 10 * region, 10 * box)
    pairs = sum(pair_energy(*pair, r) for pair, r in zip(PAIRS, left_out, strict=True))
    return model.energy * EV + energy_of(lattice, region) - pairs


def left_out_by_openmm(region, box):
    """[pairs] distances that periodic exceptions have, nm, from the forces of such exceptions; each pair by itself."""
    system, force = openmm.System(), openmm.NonbondedForce()
    system.setDefaultPeriodicBoxVectors(*box)
    force.setNonbondedMethod(PLAIN)
    force.setCutoffDistance(0.5)
    force.setExceptionsUsePeriodicBoundaryConditions(True)
    for k in range(len(PAIRS)):
        for _ in range(2):
            system.addParticle(1)
            force.addParticle(0, 1, 0)
        force.addException(2 * k, 2 * k + 1, 1, 1, 0)
    system.addForce(force)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    # No two at one place.
    context.setPositions(np.array([region[i] + 0.01 * k for k, pair in enumerate(PAIRS) for i in pair]))
    forces = context.getState(forces=True).getForces(asNumpy=True)._value[::2]
    return np.sqrt(COULOMB / np.linalg.norm(forces, axis=1))


def test_triclinic_boxes(so3lr):
    """Random regions in random boxes: where the model sees no image but those that OpenMM's exceptions stand for, the
    energy is that of the lattice without these; else it is refused."""
    rng = np.random.default_rng(5)
    lr_cutoff, kinds = 0.95, {"right": 0, "two images": 0, "another image": 0}
    for _ in range(30):
        edge = rng.uniform(1.5, 1.65)
        box = edge * np.array([[1, 0, 0], [rng.uniform(-0.5, 0.5), 1, 0], [*rng.uniform(-0.5, 0.5, 2), 0.95]])
        region = np.vstack([WATER, WATER + rng.uniform([-0.1, -0.1, 0.5], [0.5, 0.5, 1.0])])
        shifts = np.stack(np.meshgrid(*3 * [np.arange(-3, 4)]), -1).reshape(-1, 3) @ box
        images = np.array([np.linalg.norm(region[i] - region[j] + shifts, axis=-1) for i, j in PAIRS])
        differences = np.abs(images - left_out_by_openmm(region, box)[:, None])
        assert (differences.min(1) < 1e-6).all()
        left_out = images[np.arange(len(PAIRS)), differences.argmin(1)]
        seen = images < lr_cutoff
        if (seen.sum(1) > 1).any():
            kind = "two images"
        elif (seen.any(1) & (left_out > lr_cutoff)).any():
            kind = "another image"
        else:
            kind = "right"
        kinds[kind] += 1
        system = in_box(make_system(so3lr, edge, lr_cutoff, True, True), box)
        if kind != "right":
            with pytest.raises(openmm.OpenMMException, match=MESSAGES[True, True]):
                energy_of(system, region)
            continue
        expected = expected_in_box(so3lr, region, box, lr_cutoff, left_out)
        assert energy_of(system, region) == pytest.approx(expected, abs=0.02)
    assert min(kinds.values()) > 3, kinds


def test_a_small_dodecahedron(so3lr):
    """The box of GROMACS and OpenMM, 1.84 nm from face to face: one image is seen, but OpenMM's rounding along z ends
    at another, and the energy would be off by 1.6 kJ/mol."""
    box = 2.6 * np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0.5**0.5]])
    for height, right in ((0.85, True), (1.0, False)):
        region = np.vstack([WATER, [0, 0, height] + WATER[:, [1, 0, 2]]])
        system = in_box(make_system(so3lr, 2.6, 1.2, True, True), box)
        if right:
            distances = [np.linalg.norm(region[i] - region[j]) for i, j in PAIRS]
            expected = expected_in_box(so3lr, region, box, 1.2, distances)
            assert energy_of(system, region) == pytest.approx(expected, abs=0.02)
        else:
            with pytest.raises(openmm.OpenMMException, match=MESSAGES[True, True]):
                energy_of(system, region)


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e30])
def test_positions_that_cannot_be_computed(so3lr, number):
    """The engine names the atom; no images are looked for."""
    region = two_waters(2.0)[0]
    region[2, 1] = number
    with pytest.raises(openmm.OpenMMException, match=r"position of atom 2 .* is not a finite number below"):
        energy_of(make_system(so3lr, 2.0, 0.9, True, False), region)
