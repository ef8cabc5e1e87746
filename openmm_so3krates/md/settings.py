"""Everything a user chooses about a run; stored in `run.json` and compared when a run is resumed."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from openmm_so3krates.md.errors import SettingsError

ENSEMBLES = ("nve", "nvt", "npt")
FORMATS = ("dcd", "xtc")
PRECISIONS = ("single", "double")
CONSTRAINTS = ("none", "hbonds")
MAX_SEED = 2**31 - 1
MAX_THREADS = 1024

# What may differ between a run and its continuation.
CHANGEABLE = ("steps", "platform", "threads", "precision", "checkpoint_seconds")


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run in the units of this package (K, bar, ps, nm, kJ/mol), checked against each other.

    Raises `SettingsError` naming the option to change.
    """

    steps: int  # of the production stage
    seed: int  # of velocities, thermostat and barostat
    save_every: int  # steps between frames and log lines
    model: str = "so3lr"
    charge: float | None = None  # e; None: as the structure says, else 0
    spin: float | None = None  # number of unpaired electrons; None: as the structure says, else 0
    ensemble: str = "nvt"
    temperature: float = 300.0  # K
    pressure: float = 1.0  # bar, npt only
    friction: float = 1.0  # 1/ps, nvt and npt only
    timestep: float = 0.0005  # ps
    equilibration_steps: int = 0
    minimize: bool = True
    minimize_tolerance: float = 10.0  # kJ/mol/nm, root mean square force
    constraints: str = "none"
    lr_cutoff: float | None = 1.2  # nm; None: none
    format: str = "dcd"
    predictions: bool = False  # write dipole, energy parts and partial charges at each frame
    platform: str | None = None  # None: CUDA, or else CPU
    precision: str | None = None  # None: the platform's own
    threads: int | None = None  # None: OpenMM's choice
    checkpoint_seconds: float = 10.0  # wall-clock time between checkpoints

    def __post_init__(self) -> None:
        def require(condition: bool, message: str) -> None:
            if not condition:
                raise SettingsError(message)

        def positive(option: str, value: float, unit: str, zero: bool = False) -> None:
            good = math.isfinite(value) and (value >= 0 if zero else value > 0)
            require(good, f"--{option} must be {'zero or more' if zero else 'positive'}, not {value:g} {unit}")

        def choice(option: str, value: str | None, options: tuple[str, ...]) -> None:
            require(value is None or value in options, f"--{option} must be one of {', '.join(options)}, not {value!r}")

        choice("ensemble", self.ensemble, ENSEMBLES)
        choice("format", self.format, FORMATS)
        choice("precision", self.precision, PRECISIONS)
        choice("constraints", self.constraints, CONSTRAINTS)
        require(self.steps >= 1, f"the run must be at least one step long, not {self.steps}")
        require(self.equilibration_steps >= 0, "--equilibrate must not be negative")
        require(self.save_every >= 1, f"--save-every must be at least one step, not {self.save_every}")
        require(1 <= self.seed <= MAX_SEED, f"--seed must be a whole number from 1 to {MAX_SEED}, not {self.seed}")
        require(
            self.threads is None or 1 <= self.threads <= MAX_THREADS,
            f"--threads must be from 1 to {MAX_THREADS}, not {self.threads}",
        )
        positive("temperature", self.temperature, "K", zero=self.ensemble == "nve")
        positive("friction", self.friction, "1/ps")
        positive("timestep", self.timestep, "ps")
        require(self.timestep <= 0.005, f"--timestep is {self.timestep * 1e3:g} fs; no molecule bears more than 5 fs")
        positive("minimize-tolerance", self.minimize_tolerance, "kJ/mol/nm")
        positive("checkpoint-every", self.checkpoint_seconds, "s", zero=True)
        require(math.isfinite(self.pressure), "--pressure must be a finite number")
        if self.lr_cutoff is not None:
            positive("lr-cutoff", self.lr_cutoff, "nm")
        for name, value in (("charge", self.charge), ("spin", self.spin)):
            require(value is None or math.isfinite(value), f"--{name} must be a finite number, not {value}")
        require(self.spin is None or self.spin >= 0, f"--spin counts unpaired electrons; {self.spin} is negative")

    @property
    def total_time(self) -> float:
        """Length of the production stage, ps."""
        return self.steps * self.timestep

    def to_json(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> RunSettings:
        """Raises `SettingsError` if the names are not those of this version."""
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or set(values) != names:
            raise SettingsError("its run.json was written by another version of openmm-so3krates")
        return cls(**values)

    def changed(self, given: dict) -> RunSettings:
        """These settings continued with `given` ones (name: value), as for `--resume`.

        Raises `SettingsError` listing every setting that must not change.
        """
        differing = [
            f"--{name.replace('_', '-')}: {_shown(getattr(self, name))} in the run, {_shown(value)} now"
            for name, value in given.items()
            if name not in CHANGEABLE and getattr(self, name) != value
        ]
        if differing:
            raise SettingsError(
                "the run to be resumed was made with other settings ("
                + "; ".join(differing)
                + "); leave these options out, or start a new run in another folder"
            )
        return dataclasses.replace(self, **given)


def _shown(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
