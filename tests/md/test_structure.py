"""Reading structures: what comes out of each format, and one clear error for each kind of unusable file."""

import io

import numpy as np
import pytest
from openmm import app, unit

from openmm_so3krates.md.errors import StructureError
from openmm_so3krates.md.structure import read_structure
from openmm_so3krates.md.structure.bonds import find_bonds, minimum_image, molecules_of

WATER = "3\n{}\nO 0.0 0.0 0.0\nH 0.96 0.0 0.0\nH -0.24 0.93 0.0\n"
METHANE = "5\n\nC 0 0 0\nH 0.629 0.629 0.629\nH -0.629 -0.629 0.629\nH -0.629 0.629 -0.629\nH 0.629 -0.629 -0.629\n"


def read(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return read_structure(path)


def as_mmcif(peptide) -> str:
    pdb = app.PDBFile(str(peptide))
    buffer = io.StringIO()
    app.PDBxFile.writeFile(pdb.topology, pdb.positions, buffer)
    return buffer.getvalue()


# -- what is read ----------------------------------------------------------------------------------


def test_pdb_and_mmcif_agree(tmp_path, peptide):
    pdb = read_structure(peptide)
    assert (pdb.num_atoms, pdb.formula, pdb.is_periodic, pdb.box) == (42, "C12H22N4O4", False, None)
    assert pdb.topology.getNumBonds() == 41
    cif = read(tmp_path, "peptide.cif", as_mmcif(peptide))
    assert [atom.name for atom in cif.topology.atoms()] == [atom.name for atom in pdb.topology.atoms()]
    np.testing.assert_allclose(cif.positions, pdb.positions, atol=1e-4)


def test_plain_xyz(tmp_path):
    structure = read(tmp_path, "methane.xyz", METHANE)
    assert structure.formula == "CH4" and not structure.is_periodic
    assert (structure.charge, structure.spin) == (None, None)
    np.testing.assert_allclose(structure.positions[1], [0.0629] * 3)
    bonds = {(bond[0].index, bond[1].index) for bond in structure.topology.bonds()}
    assert bonds == {(0, 1), (0, 2), (0, 3), (0, 4)}


def test_extended_xyz(tmp_path):
    comment = (
        'Lattice="20 0 0 0 21 0 0 0 22" Properties=species:S:1:tag:I:1:pos:R:3 charge=-1 multiplicity=2 pbc="T T T"'
    )
    text = f"2\n{comment}\nO 7 1.0 2.0 3.0\nH 8 1.0 2.0 3.97\n"
    structure = read(tmp_path, "oh.extxyz", text)
    assert (structure.charge, structure.spin) == (-1.0, 1.0)
    np.testing.assert_allclose(structure.box, np.diag([2.0, 2.1, 2.2]))
    np.testing.assert_allclose(structure.positions, [[0.1, 0.2, 0.3], [0.1, 0.2, 0.397]])
    not_periodic = read(
        tmp_path, "b.xyz", WATER.format('Lattice="9 0 0 0 9 0 0 0 9" pbc="F F F" total_charge=0 spin=0')
    )
    assert not not_periodic.is_periodic and not_periodic.spin == 0


@pytest.mark.parametrize("handedness", [1, -1])
def test_any_lattice_becomes_openmms(tmp_path, handedness):
    """Rotated into OpenMM's form, every periodic distance is what it was."""
    rng = np.random.default_rng(1)
    cell = 9 * np.eye(3) + rng.uniform(-2.5, 2.5, (3, 3))
    cell[2] *= handedness
    positions = rng.uniform(0, 9, (8, 3))
    lattice = " ".join(map(str, cell.ravel()))
    lines = "\n".join(f"He {x} {y} {z}" for x, y, z in positions)
    structure = read(tmp_path, "he.xyz", f'8\nLattice="{lattice}"\n{lines}\n')
    box = structure.box * 10
    assert np.allclose(box, np.tril(box)) and (np.diag(box) > 0).all()
    assert abs(box[2, 1]) <= box[1, 1] / 2 + 1e-9 and abs(box[1, 0]) <= box[0, 0] / 2 + 1e-9
    shifts = np.array(np.meshgrid(*[range(-3, 4)] * 3)).reshape(3, -1).T

    def distances(points, vectors):
        pairs = points[:, None] - points[None]
        return np.linalg.norm(pairs[:, :, None] + shifts @ vectors, axis=-1).min(axis=-1)

    np.testing.assert_allclose(distances(structure.positions * 10, box), distances(positions, cell), atol=1e-9)
    chirality = np.linalg.det(positions[1:4] - positions[0])
    assert np.linalg.det((structure.positions[1:4] - structure.positions[0]) * 10) == pytest.approx(chirality)


def test_molecules_of_an_xyz_become_residues(tmp_path):
    text = "6\n\n" + "".join(f"O {x} 0 0\nH {x + 0.96} 0 0\nH {x - 0.24} 0.93 0\n" for x in (0.0, 5.0))
    structure = read(tmp_path, "water.xyz", text)
    assert [residue.name for residue in structure.topology.residues()] == ["HOH", "HOH"]
    mixed = "6\n\nO 0 0 0\nO 5 0 0\nH 0.96 0 0\nH -0.24 0.93 0\nH 5.96 0 0\nH 4.76 0.93 0\n"
    assert [residue.name for residue in read(tmp_path, "mixed.xyz", mixed).topology.residues()] == ["MOL"]


def test_broken_molecules_are_made_whole(tmp_path):
    text = '3\nLattice="6 0 0 0 6 0 0 0 6"\nO 5.9 3 3\nH 0.86 3 3\nH 5.66 3.93 3\n'
    structure = read(tmp_path, "water.xyz", text)
    bonds = structure.positions[1:] - structure.positions[0]
    np.testing.assert_allclose(np.linalg.norm(bonds, axis=1), [0.096, 0.09605], atol=1e-4)
    assert not structure.bonds_span_box


def test_chain_through_the_box_is_noticed(tmp_path):
    atoms = "".join(f"C {1.5 * i} 1 1\nH {1.5 * i} 2 1\n" for i in range(4))
    assert read(tmp_path, "chain.xyz", f'8\nLattice="6 0 0 0 9 0 0 0 9"\n{atoms}').bonds_span_box


def test_bonds_in_a_triclinic_box_equal_brute_force():
    rng = np.random.default_rng(5)
    box = np.array([[1.1, 0, 0], [0.3, 1.2, 0], [-0.4, 0.5, 1.0]])
    positions = rng.uniform(-3, 3, (120, 3))
    numbers = rng.choice([1, 6, 8, 17], 120)
    radii = {1: 0.031, 6: 0.076, 8: 0.066, 17: 0.102}
    shifts = np.array(np.meshgrid(*[range(-2, 3)] * 3)).reshape(3, -1).T @ box
    wrapped = positions - np.floor(positions @ np.linalg.inv(box)) @ box
    expected = [
        (i, j)
        for i in range(120)
        for j in range(i + 1, 120)
        if np.linalg.norm(wrapped[i] - wrapped[j] + shifts, axis=1).min()
        <= 1.25 * (radii[numbers[i]] + radii[numbers[j]])
    ]
    assert len(expected) > 30
    assert [tuple(bond) for bond in find_bonds(numbers, positions, box)] == expected


def test_minimum_image_and_molecules():
    box = np.diag([1.0, 1.0, 1.0])
    np.testing.assert_allclose(minimum_image(np.array([0.9, -0.6, 2.2]), box), [-0.1, 0.4, 0.2])
    assert molecules_of(5, np.array([[0, 2], [3, 4]])) == [[0, 2], [1], [3, 4]]


def test_placeholder_cell_is_no_box(tmp_path, peptide):
    cell = "CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1\n"
    assert not read(tmp_path, "nmr.pdb", cell + peptide.read_text()).is_periodic
    real = cell.replace("    1.000", "   30.000")
    assert read(tmp_path, "box.pdb", real + peptide.read_text()).box == pytest.approx(np.diag([3.0] * 3))


def test_ligand_of_a_pdb_gets_bonds_from_distances(tmp_path):
    line = "HETATM{:5d}  {:<3s} LIG A   1    {:8.3f}{:8.3f}{:8.3f}  1.00  0.00          {:>2s}\n"
    text = "".join(
        line.format(i + 1, f"{row.split()[0]}{i}", *map(float, row.split()[1:]), row.split()[0])
        for i, row in enumerate(METHANE.splitlines()[2:])
    )
    assert read(tmp_path, "ligand.pdb", text).topology.getNumBonds() == 4


# -- what is refused -------------------------------------------------------------------------------


def pdb_line(peptide, number, edit):
    lines = peptide.read_text().splitlines()
    lines[number] = edit(lines[number])
    return "\n".join(lines) + "\n"


PDB_ERRORS = {
    "no element": (lambda line: line[:76], "line 3 .* names no element in columns 77-78"),
    "unknown element": (lambda line: line[:76] + "Xx", "line 3 names an unknown element, 'Xx'"),
    "bad number": (lambda line: line[:30] + " 1.0.0  " + line[38:], "line 3: the coordinates"),
    "not finite": (lambda line: line[:30] + "     nan" + line[38:], "line 3: the coordinates"),
    "same name twice": (lambda line: line[:12] + " CH3" + line[16:], "only 41 atoms have a name of their own"),
    "alternate": (
        lambda line: f"{line[:16]}A{line[17:]}\n{line[:16]}B{line[17:]}",
        "ACE A   1 has alternate locations",
    ),
    "models": (lambda line: f"{line}\nMODEL        1\nMODEL        2", "several models"),
}


@pytest.mark.parametrize("name", PDB_ERRORS)
def test_bad_pdb(tmp_path, peptide, name):
    edit, reason = PDB_ERRORS[name]
    with pytest.raises(StructureError, match=reason) as caught:
        read(tmp_path, "bad.pdb", pdb_line(peptide, 2, edit))
    assert "bad.pdb" in str(caught.value)


def test_missing_hydrogens(tmp_path, peptide):
    lines = peptide.read_text().splitlines(keepends=True)
    heavy = "".join(line for line in lines if not line.rstrip().endswith(" H"))
    with pytest.raises(StructureError, match=r"hydrogens are missing \(in ACE 1, ALA 2, ALA 3 and 2 more\).*PDBFixer"):
        read(tmp_path, "heavy.pdb", heavy)
    one_missing = "".join(line for line in lines if " HB2 ALA A   3" not in line)
    # A residue that still has as many as some form of it can have is not suspected; C-H less than its least is.
    polar_only = "".join(
        line for line in lines if not (line.rstrip().endswith(" H") and line[12:16].strip() not in ("H",))
    )
    assert read(tmp_path, "radical.pdb", one_missing).num_atoms == 41
    with pytest.raises(StructureError, match="hydrogens are missing"):
        read(tmp_path, "polar.pdb", polar_only)
    with pytest.raises(StructureError, match="no hydrogens, but carbon atom 1 has single bonds only"):
        read(tmp_path, "ethanol.xyz", "3\n\nC 0 0 0\nC 1.52 0 0\nO 2.0 1.35 0\n")


@pytest.mark.parametrize(
    "text",
    [
        "3\ncarbon dioxide\nC 0 0 0\nO 1.16 0 0\nO -1.16 0 0\n",
        "2\ncarbon monoxide\nC 0 0 0\nO 1.13 0 0\n",
        "5\n\nC 0 0 0\nF 0.76 0.76 0.76\nF -0.76 -0.76 0.76\nF -0.76 0.76 -0.76\nF 0.76 -0.76 -0.76\n",
        "2\nnitrogen\nN 0 0 0\nN 1.1 0 0\n",
        "1\n\nC 0 0 0\n",
    ],
)
def test_molecules_without_hydrogens_are_fine(tmp_path, text):
    assert read(tmp_path, "m.xyz", text).num_atoms == int(text.split()[0])


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("three\n\nO 0 0 0\n", "first line of an XYZ file is the number of atoms"),
        ("0\n\n", "says 0 atoms"),
        ("-1\n\n", "says -1 atoms"),
        ("3\n\nO 0 0 0\nH 1 0 0\n", "says 3 atoms, but line 5 holds none"),
        ("1\n\nO 0 0 0\nH 1 0 0\n", "more lines than the 1 atoms"),
        (METHANE * 2, "several structures"),
        ("1\n\nXx 0 0 0\n", "unknown element, 'Xx'"),
        ("1\n\n119 0 0 0\n", "unknown element, '119'"),
        ("1\n\n0 0 0 0\n", "unknown element, '0'"),
        ("1\n\nEP 0 0 0\n", "unknown element, 'EP'"),
        ("1\n\nO 0 0\n", "not an element and three coordinates"),
        ("1\n\nO 0 0 zero\n", "not three numbers"),
        ("1\n\nO 0 0 nan\n", "is not finite"),
        ("1\n\nO 0 0 inf\n", "is not finite"),
        (WATER.format("charge=one"), "charge key in the comment line is not a number"),
        (WATER.format("charge=nan"), "charge key in the comment line is not a number"),
        (WATER.format("spin=1 multiplicity=1"), "contradict each other"),
        (WATER.format('Lattice="1 2 3"'), "nine numbers"),
        (WATER.format('Lattice="a b c d e f g h i"'), "nine numbers"),
        (WATER.format('Lattice="9 0 0 0 9 0 9 9 0"'), "no volume"),
        (WATER.format('Lattice="9 0 0 0 9 0 0 0 0"'), "no volume"),
        (WATER.format('Lattice="9 0 0 0 9 0 0 0 9" pbc="T T F"'), "some directions only"),
        (WATER.format('pbc="T T T"'), "there is no Lattice"),
        (WATER.format('Lattice="9 0 0 0 9 0 0 0 9" pbc="yes"'), "pbc key must be"),
        (WATER.format("Properties=species:S:1"), "must name species:S:1 and pos:R:3"),
        (WATER.format("Properties=species:S:x:pos:R:3"), "cannot be understood"),
    ],
)
def test_bad_xyz(tmp_path, text, reason):
    with pytest.raises(StructureError, match=reason):
        read(tmp_path, "bad.xyz", text)


def test_bad_mmcif(tmp_path, peptide):
    text = as_mmcif(peptide)
    atom = next(line for line in text.splitlines() if line.startswith("ATOM"))
    fields = atom.split()

    def with_line(*lines):
        return text.replace(atom, "\n".join(lines), 1)

    def edited(column, value):
        return " ".join([*fields[:column], value, *fields[column + 1 :]])

    loop = [line for line in text.splitlines() if line.startswith("_atom_site.")]
    column = {name.split(".")[1].strip(): index for index, name in enumerate(loop)}
    for bad, reason in [
        ("data_x\nloop_\n_cell.length_a\n1\n", "no atom_site table"),
        ("nonsense", "not valid mmCIF|no atom_site"),
        (with_line(edited(column["type_symbol"], "Xx")), r"atom site \d+ names an unknown element, 'Xx'"),
        (with_line(edited(column["type_symbol"], "?")), r"atom site \d+ names no element"),
        (with_line(edited(column["pdbx_PDB_model_num"], "2")), "2 models"),
        (with_line(edited(column["label_alt_id"], "A"), edited(column["label_alt_id"], "B")), "alternate locations"),
    ]:
        with pytest.raises(StructureError, match=reason):
            read(tmp_path, "bad.cif", bad)


def test_unreadable_files(tmp_path):
    with pytest.raises(StructureError, match=r"cannot read .*absent.pdb: No such file"):
        read_structure(tmp_path / "absent.pdb")
    (tmp_path / "folder.pdb").mkdir()
    with pytest.raises(StructureError, match=r"cannot read .* directory"):
        read_structure(tmp_path / "folder.pdb")
    (tmp_path / "binary.pdb").write_bytes(bytes(range(256)))
    with pytest.raises(StructureError, match="not a text file"):
        read_structure(tmp_path / "binary.pdb")
    with pytest.raises(StructureError, match=r"does not end in a known format; use one of .cif, .ent"):
        read_structure(tmp_path / "peptide.gro")
    with pytest.raises(StructureError, match="no ATOM or HETATM"):
        read(tmp_path, "empty.pdb", "REMARK nothing\n")


def test_openmm_units_of_positions(peptide):
    expected = app.PDBFile(str(peptide)).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    np.testing.assert_array_equal(read_structure(peptide).positions, expected)
