"""A TorchForce on OpenMM's CUDA platform, by CUDA graphs and without. scripts/gpu_check.sh; has never run."""

import numpy as np
import openmm
import pytest
import torch  # noqa: F401 before openmmtorch: docs/torch.md
from cases import load_case
from openmm_helpers import energy_of, forces_of, make_context, make_force, make_system, positions_of

openmmtorch = pytest.importorskip("openmmtorch", reason="needs openmm-torch")
pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module", autouse=True)
def cuda():
    names = [openmm.Platform.getPlatform(index).getName() for index in range(openmm.Platform.getNumPlatforms())]
    if "CUDA" not in names:
        pytest.skip("OpenMM has no CUDA platform")


def contexts(so3lr, case, graphs: bool, **settings):
    """With a TorchForce on CUDA, and with the native force on Reference."""
    made = []
    for platform in ("CUDA", "Reference"):
        system = make_system(case)
        force = make_force(so3lr, case, precision="double", **settings)
        if platform == "CUDA":
            force = force.to_torch_force()
            if graphs:
                force.setProperty("useCUDAGraphs", "true")
        system.addForce(force)
        properties = {"Precision": "double"} if platform == "CUDA" else {}
        made.append(make_context(system, case.positions, platform, **properties))
    return made


@pytest.mark.parametrize("graphs", [False, True], ids=["calls", "graphs"])
@pytest.mark.parametrize("name", ["acetate", "water_8_smallcell", "water_64_triclinic_lr6"])
def test_equals_the_native_force(so3lr, name, graphs):
    """Also after steps, at other positions, and in another box."""
    case = load_case(name)
    context, native = contexts(so3lr, case, graphs)
    context.setVelocitiesToTemperature(300, 1)
    for scale in (1, 1, 1.01):
        context.getIntegrator().step(20)
        if case.cell is not None:
            for c in (context, native):
                c.setPeriodicBoxVectors(*(scale * case.cell / 10))
        native.setPositions(positions_of(context))
        assert energy_of(context) == pytest.approx(energy_of(native), abs=1e-5)
        np.testing.assert_allclose(forces_of(context), forces_of(native), rtol=0, atol=1e-4)


def test_atoms_at_one_place(so3lr):
    """No energy, in this evaluation and in those after it."""
    case = load_case("acetate")
    context, _ = contexts(so3lr, case, True)
    assert np.isfinite(energy_of(context))
    positions = case.positions.copy()
    positions[1] = positions[0]
    for now in (positions, case.positions):
        context.setPositions(now / 10)
        assert np.isnan(energy_of(context))
