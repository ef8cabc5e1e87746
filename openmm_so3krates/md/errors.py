"""What can go wrong in a run. Each message names the cause and the mend; the command line prints it and stops."""


class RunError(Exception):
    """A run cannot start or go on."""


class StructureError(RunError):
    """The input structure cannot be used."""


class SettingsError(RunError):
    """The settings of a run cannot be used, do not fit together or do not fit the run to be resumed."""


class OutputError(RunError):
    """The output cannot be written: disk full, no permission, folder in use."""


class WriteError(OutputError):
    """A file cannot be written now: once the reason is gone (disk full), the run can be resumed."""


class SimulationError(RunError):
    """The simulation broke down, for example because an energy is not a number any more."""
