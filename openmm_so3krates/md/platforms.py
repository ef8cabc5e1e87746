"""Choosing the OpenMM platform of a run and making Contexts on it."""

from __future__ import annotations

import warnings

import openmm

from openmm_so3krates.md.errors import SettingsError
from openmm_so3krates.md.settings import RunSettings
from openmm_so3krates.platforms import COMPUTED_BY_CPU


def make_context(system: openmm.System, integrator: openmm.Integrator, settings: RunSettings) -> openmm.Context:
    """A Context on the platform the settings name, or on the fastest whose device computes the force.

    Raises `SettingsError` if the platform is unknown or cannot be used, with OpenMM's reason.
    """
    with warnings.catch_warnings():
        # Each Context would say it again; the user has been told once, at the beginning of the run.
        warnings.filterwarnings("ignore", r"SO3kratesForce: \d+ constraints", UserWarning)
        return _make_context(system, integrator, settings)


def _make_context(system: openmm.System, integrator: openmm.Integrator, settings: RunSettings) -> openmm.Context:
    platforms = {platform.getName(): platform for platform in map(openmm.Platform.getPlatform, _platform_numbers())}
    if settings.platform is not None:
        by_lower_case = {name.lower(): name for name in platforms}
        name = by_lower_case.get(settings.platform.lower())
        if name is None:
            raise SettingsError(f"--platform {settings.platform}: OpenMM here has only {', '.join(platforms)}")
        if settings.threads is not None and "Threads" not in platforms[name].getPropertyNames():
            raise SettingsError(f"--threads cannot be set on the {name} platform, only on CPU")
        try:
            return openmm.Context(system, integrator, platforms[name], _properties(platforms[name], settings))
        except openmm.OpenMMException as error:
            raise SettingsError(f"the simulation cannot be set up on the {name} platform: {error}") from None
    problem = None
    own = [platform for name, platform in platforms.items() if name not in COMPUTED_BY_CPU]
    for platform in sorted(own, key=lambda platform: -platform.getSpeed()):
        try:
            return openmm.Context(system, integrator, platform, _properties(platform, settings))
        except openmm.OpenMMException as error:  # no such device, no kernels for it: the next one may do
            problem = problem or error
            if platform.getName() == "CPU":  # can compute every force: the reason is the system itself
                problem = error
                break
    raise SettingsError(f"the simulation cannot be set up: {problem}")


def describe_platform(context: openmm.Context) -> str:
    """For example "CPU platform, 2 threads"."""
    platform = context.getPlatform()
    parts = [f"{platform.getName()} platform"]
    if "Threads" in platform.getPropertyNames():
        threads = platform.getPropertyValue(context, "Threads")
        parts.append(f"{threads} thread{'' if threads == '1' else 's'}")
    if "DeviceName" in platform.getPropertyNames():
        parts.append(platform.getPropertyValue(context, "DeviceName"))
    return ", ".join(parts)


def _platform_numbers() -> range:
    return range(openmm.Platform.getNumPlatforms())


def _properties(platform: openmm.Platform, settings: RunSettings) -> dict[str, str]:
    properties = {}
    if settings.threads is not None and "Threads" in platform.getPropertyNames():
        properties["Threads"] = str(settings.threads)
    if "Precision" in platform.getPropertyNames():
        # "mixed" integrates in double at no cost that shows; "single" loses energy conservation.
        properties["Precision"] = "double" if settings.precision == "double" else "mixed"
    return properties
