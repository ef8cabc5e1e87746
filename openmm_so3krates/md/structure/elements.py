"""Chemical elements by symbol."""

from __future__ import annotations

from openmm.app.element import Element


def element_by_symbol(symbol: str) -> Element | None:
    """The element of a symbol in any case ("CL", "Cl"), None if there is none. "D" is deuterium."""
    try:
        return Element.getBySymbol(symbol.strip().capitalize())
    except KeyError:
        return None


def is_element_symbol(symbol: str) -> bool:
    """Whether `symbol` names an element with atoms (OpenMM's table also holds the virtual site "EP")."""
    element = element_by_symbol(symbol)
    return element is not None and element.atomic_number > 0
