"""From what a user typed to the settings of a run: times become steps, the structure's charge and spin are taken up."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field

from openmm_so3krates.electrons import check_electrons
from openmm_so3krates.md.errors import SettingsError
from openmm_so3krates.md.settings import MAX_SEED, RunSettings
from openmm_so3krates.md.structure import Structure

# A frame and log line cost about one evaluation of the energy: by default at most a few percent of the run.
DEFAULT_SAVE_STEPS = 20
MOST_FRAMES_BY_DEFAULT = 1000


@dataclass
class Request:
    """Options as given; None or absent: not given.

    `time`, `equilibrate`, `save_time` in ps. `options`: settings of `RunSettings` by name, without those below.
    """

    time: float | None = None
    steps: int | None = None
    equilibrate: float | None = None
    save_time: float | None = None
    save_steps: int | None = None
    options: dict = field(default_factory=dict)

    def new_settings(self, structure: Structure) -> RunSettings:
        """Settings of a new run. Raises `SettingsError`."""
        options = dict(self.options)
        timestep = options.get("timestep", RunSettings.timestep)
        given = self._step_counts(timestep)
        if "steps" not in given:
            raise SettingsError("say how long to simulate, for example --time 1ps (or --steps 2000)")
        given.setdefault("save_every", max(DEFAULT_SAVE_STEPS, given["steps"] // MOST_FRAMES_BY_DEFAULT))
        options.setdefault("seed", secrets.randbelow(MAX_SEED) + 1)
        for name in ("charge", "spin"):
            if options.get(name) is None:
                options[name] = getattr(structure, name) or 0.0
        settings = RunSettings(**given, **options)
        _check_against_structure(settings, structure)
        return settings

    def resumed_settings(self, stored: RunSettings) -> RunSettings:
        """Settings of a run that goes on. Raises `SettingsError` if something differs that must not."""
        timestep = self.options.get("timestep", stored.timestep)
        return stored.changed({**self._step_counts(timestep), **self.options})

    def _step_counts(self, timestep: float) -> dict[str, int]:
        def steps(time: float, option: str) -> int:
            if not (time > 0 and timestep > 0):
                raise SettingsError(f"{option} and --timestep must be positive")
            return math.ceil(time / timestep - 1e-6)

        counts = {}
        if self.time is not None:
            counts["steps"] = steps(self.time, "--time")
        if self.steps is not None:
            counts["steps"] = self.steps
        if self.equilibrate is not None:
            counts["equilibration_steps"] = steps(self.equilibrate, "--equilibrate") if self.equilibrate else 0
        if self.save_time is not None:
            counts["save_every"] = steps(self.save_time, "--save-every")
        if self.save_steps is not None:
            counts["save_every"] = self.save_steps
        return counts


def _check_against_structure(settings: RunSettings, structure: Structure) -> None:
    if settings.ensemble == "npt":
        if not structure.is_periodic:
            raise SettingsError(
                "--ensemble npt needs a periodic box, and the input has none (CRYST1 in PDB, _cell in mmCIF, "
                "Lattice in XYZ)"
            )
        if structure.bonds_span_box:
            raise SettingsError(
                "--ensemble npt scales molecules as wholes, but the bonds of this structure run through the whole box"
            )
    if structure.is_periodic and settings.lr_cutoff is None:
        raise SettingsError("a periodic system needs a long-range cutoff: use --lr-cutoff 12A, not none")
    try:
        check_electrons(structure.atomic_numbers, settings.charge, settings.spin)
    except ValueError as error:
        raise SettingsError(f"{error}; give the right --charge and --spin (number of unpaired electrons)") from None
