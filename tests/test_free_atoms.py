"""The free-atom table against a few numbers of the literature it cites."""

import pytest

from openmm_so3krates import free_atoms


@pytest.mark.parametrize(
    "atomic_number, polarizability, c6",
    [(1, 4.5, 6.5), (6, 12.0, 46.6), (7, 7.4, 24.2), (8, 5.4, 15.6), (16, 19.6, 134.0), (17, 15.0, 94.6)],
)
def test_literature_values(atomic_number, polarizability, c6):
    assert free_atoms.polarizabilities()[atomic_number] == polarizability
    assert free_atoms.c6_coefficients()[atomic_number] == c6


def test_rows_are_atomic_numbers():
    for table in (free_atoms.polarizabilities(), free_atoms.c6_coefficients()):
        assert table.shape == (103,)
        assert table[0] == 0
        assert (table[1:] > 0).all()


def test_callers_cannot_change_the_table():
    free_atoms.polarizabilities()[1] = 0
    assert free_atoms.polarizabilities()[1] == 4.5
