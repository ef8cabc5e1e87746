"""The main job: `so3krates md`, from a structure file to a trajectory, a log, a summary and plots.

Units are OpenMM's: nm, ps, kJ/mol, K, atomic mass units. `job.py` tells the story from start to end.
"""
