"""XYZ files, plain and extended (Lattice, pbc, charge and spin keys in the comment line).

XYZ knows no residues or bonds: bonds come from the distances, and a molecule becomes a residue where its atoms
follow each other in the file.
"""

from __future__ import annotations

import math
import re

import numpy as np
from openmm import Vec3, app, unit
from openmm.app.element import Element
from openmm.app.internal.unitcell import reducePeriodicBoxVectors

from openmm_so3krates.md.errors import StructureError
from openmm_so3krates.md.structure.bonds import find_bonds, molecules_of
from openmm_so3krates.md.structure.elements import element_by_symbol

_KEY = re.compile(r"""([A-Za-z_]\w*)\s*=\s*("[^"]*"|'[^']*'|\S+)""")
_CHARGE_KEYS = ("charge", "total_charge")
_SPIN_KEYS = ("spin", "num_unpaired_electrons")
_MULTIPLICITY_KEYS = ("multiplicity", "spin_multiplicity")


def read_xyz(text: str) -> tuple[app.Topology, np.ndarray, dict[str, float]]:
    """Topology, positions (N, 3) in nm, and "charge" and "spin" where the comment line names them.

    A `spin` key is the number of unpaired electrons, `multiplicity` that number plus one. A box that is not in
    OpenMM's form (first vector along x, second in the xy plane) is turned into it together with the atoms.
    Raises `StructureError`.
    """
    lines = text.splitlines()
    try:
        count = int(lines[0])
    except ValueError:
        raise StructureError(f"the first line of an XYZ file is the number of atoms, not {lines[0]!r}") from None
    if count < 1:
        raise StructureError(f"the first line says {count} atoms")
    comment = lines[1] if len(lines) > 1 else ""
    keys = {name.lower(): value.strip("\"'") for name, value in _KEY.findall(comment)}
    species_column, position_column = _columns(keys.get("properties"))
    elements: list[Element] = []
    positions = np.empty((count, 3))
    for index in range(count):
        number = index + 3
        fields = lines[number - 1].split() if number <= len(lines) else []
        if not fields:
            raise StructureError(f"the first line says {count} atoms, but line {number} holds none")
        if len(fields) < max(species_column + 1, position_column + 3):
            raise StructureError(f"line {number} is not an element and three coordinates: {lines[number - 1]!r}")
        elements.append(_element(fields[species_column], number))
        try:
            positions[index] = [float(field) for field in fields[position_column : position_column + 3]]
        except ValueError:
            raise StructureError(f"line {number}: the coordinates are not three numbers") from None
        if not np.isfinite(positions[index]).all():
            raise StructureError(f"line {number}: a coordinate is not finite")
    rest = [line for line in lines[count + 2 :] if line.strip()]
    if rest:
        several = rest[0].strip().isdigit()
        raise StructureError(
            "it holds several structures; keep one of them"
            if several
            else f"there are more lines than the {count} atoms of the first line: {rest[0]!r}"
        )
    positions *= 0.1
    box = _box(keys)
    if box is not None:
        box, rotation = _to_openmm_box(box)
        positions = positions @ rotation
    return _topology(elements, positions, box), positions, _charge_and_spin(keys)


def _columns(properties: str | None) -> tuple[int, int]:
    """Columns of the element and of x, from the Properties key, for example species:S:1:pos:R:3:forces:R:3."""
    if properties is None:
        return 0, 1
    found, column = {}, 0
    parts = properties.split(":")
    try:
        for name, _, width in zip(parts[0::3], parts[1::3], parts[2::3], strict=True):
            found[name.lower()] = (column, int(width))
            column += int(width)
    except ValueError:
        raise StructureError(f"the Properties key cannot be understood: {properties!r}") from None
    species, position = found.get("species", found.get("z")), found.get("pos")
    if species is None or position is None or position[1] != 3:
        raise StructureError(f"the Properties key must name species:S:1 and pos:R:3, not {properties!r}")
    return species[0], position[0]


def _element(text: str, line: int) -> Element:
    element = None
    if text.isdigit():
        if 1 <= int(text) <= 118:
            element = Element.getByAtomicNumber(int(text))
    else:
        element = element_by_symbol(text)
    if element is None or element.atomic_number < 1:
        raise StructureError(f"line {line} names an unknown element, {text!r}")
    return element


def _number(keys: dict[str, str], names: tuple[str, ...]) -> float | None:
    for name in names:
        if name in keys:
            try:
                value = float(keys[name])
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise StructureError(f"the {name} key in the comment line is not a number: {keys[name]!r}")
            return value
    return None


def _charge_and_spin(keys: dict[str, str]) -> dict[str, float]:
    charge, spin = _number(keys, _CHARGE_KEYS), _number(keys, _SPIN_KEYS)
    multiplicity = _number(keys, _MULTIPLICITY_KEYS)
    if multiplicity is not None:
        if spin is not None and spin != multiplicity - 1:
            raise StructureError(
                f"the comment line names {spin:g} unpaired electrons and multiplicity {multiplicity:g}, "
                "which contradict each other"
            )
        spin = multiplicity - 1
    return {name: value for name, value in (("charge", charge), ("spin", spin)) if value is not None}


def _box(keys: dict[str, str]) -> np.ndarray | None:
    """Lattice in nm, rows are box vectors, or None without periodicity."""
    flags = [flag.strip("\"'").upper()[:1] for flag in keys.get("pbc", "").split()]
    periodic = {{"T": True, "1": True, "F": False, "0": False}.get(flag) for flag in flags}
    if None in periodic or len(flags) not in (0, 3):
        raise StructureError(f'the pbc key must be "T T T" or "F F F", not {keys["pbc"]!r}')
    if len(periodic) == 2:
        raise StructureError("it is periodic in some directions only (pbc key); a box is periodic in all three or none")
    if periodic == {False}:
        return None
    if "lattice" not in keys:
        if periodic == {True}:
            raise StructureError("the pbc key says periodic, but there is no Lattice")
        return None
    try:
        box = np.array([float(value) for value in keys["lattice"].split()]).reshape(3, 3) * 0.1
    except ValueError:
        raise StructureError(f"the Lattice key must be nine numbers, not {keys['lattice']!r}") from None
    lengths = np.linalg.norm(box, axis=1)
    if not np.isfinite(box).all() or abs(np.linalg.det(box)) <= 1e-6 * np.prod(lengths) or lengths.min() == 0:
        raise StructureError("the Lattice has no volume; give three box vectors that span one, or none")
    return box


def _to_openmm_box(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """OpenMM's reduced form of a box, and the rotation R (positions @ R) that goes with it."""
    if np.linalg.det(box) < 0:
        box = box * [[1], [1], [-1]]  # the same lattice, right-handed: the rotation is then no mirror
    orthogonal, upper = np.linalg.qr(box.T)
    orthogonal = orthogonal * np.sign(np.diag(upper))
    vectors = [Vec3(*row) for row in np.tril(box @ orthogonal)]
    return np.array(reducePeriodicBoxVectors(vectors * unit.nanometer).value_in_unit(unit.nanometer)), orthogonal


def _topology(elements: list[Element], positions: np.ndarray, box: np.ndarray | None) -> app.Topology:
    bonds = find_bonds(np.array([element.atomic_number for element in elements]), positions, box)
    molecules = molecules_of(len(elements), bonds)
    if any(members[-1] - members[0] + 1 != len(members) for members in molecules):
        molecules = [list(range(len(elements)))]  # atoms of different molecules alternate in the file
    topology = app.Topology()
    chain = topology.addChain("A")
    atoms: list = [None] * len(elements)
    for members in molecules:
        is_water = sorted(elements[atom].symbol for atom in members) == ["H", "H", "O"]
        residue = topology.addResidue("HOH" if is_water else "MOL", chain)
        counts: dict[str, int] = {}
        for atom in members:
            symbol = elements[atom].symbol
            counts[symbol] = counts.get(symbol, 0) + 1
            name = symbol if is_water and symbol == "O" else f"{symbol}{counts[symbol]}"
            atoms[atom] = topology.addAtom(name, elements[atom], residue)
    for first, second in bonds:
        topology.addBond(atoms[first], atoms[second])
    if box is not None:
        topology.setPeriodicBoxVectors([Vec3(*row) for row in box] * unit.nanometer)
    return topology
