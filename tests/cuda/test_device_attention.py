"""ops.euclidean_attention with arrays on the device, executed on the CPU, against the CPU engine."""

from dataclasses import asdict

import fake_gpu
import numpy as np
import pytest
from fake_gpu import FakeArray
from random_models import hyperparameters, random_box, random_model, random_molecule
from test_cuda_potential import ODD

from openmm_so3krates import Model, attention, ops

ROWS = ("query_x", "key_x", "value_x", "query_ev", "key_ev", "ev")


class Pretended:
    """A model, arrays on the host and on the device, and the emulated engine in place of the GPU's."""

    def __init__(self, module, path):
        random_model(hyperparameters(**ODD)).save(path, {"source": "random numbers"})
        self.model = Model.load(str(path))
        self.engine = module.DeviceAttention(path.read_bytes())

    def arrays(self, n):
        rng = np.random.default_rng(4)
        widths = dict.fromkeys(ROWS, ODD["num_features"]) | {"ev": 11}
        rows = {name: rng.normal(size=(n, width)) for name, width in widths.items()}
        return rows, {"features_gradient": rng.normal(size=(n, 24)), "ev_gradient": rng.normal(size=(n, 11))}

    def on_device(self, arrays):
        return {name: FakeArray(values, self.engine.device) for name, values in arrays.items()}


@pytest.fixture
def pretended(emulated, tmp_path, monkeypatch):
    fake_gpu.install(monkeypatch)
    made = Pretended(emulated("odd_double"), tmp_path / "odd.safetensors")
    monkeypatch.setattr(attention, "_make_on_gpu", lambda model, dtype, index: made.engine)
    return made


def close(found, expected):
    return np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("layer", [0, 1])
def test_as_on_the_cpu(pretended, layer):
    """Any ev in the first layer, too; crowded enough that lists have to grow."""
    for system in (random_molecule(), random_box()):
        rows, upstream = pretended.arrays(len(system.positions))
        expected = ops.euclidean_attention(
            pretended.model, layer, system.positions, **rows, cell=system.cell, **upstream
        )
        given = pretended.on_device({"positions": np.asfortranarray(system.positions), **rows, **upstream})
        result = ops.euclidean_attention(pretended.model, layer, cell=system.cell, **given)
        assert close(result.features.values, expected.features) and close(result.ev.values, expected.ev)
        gradients = asdict(expected.gradients)
        assert gradients.pop("strain") is not None and result.gradients.strain is None
        for name, values in gradients.items():
            assert close(getattr(result.gradients, name).values, values), name
        assert pretended.engine.device.followed_streams[-1] == 7


def test_one_gradient_or_none(pretended):
    system = random_molecule()
    rows, upstream = pretended.arrays(len(system.positions))
    given = pretended.on_device({"positions": system.positions, **rows})
    assert ops.euclidean_attention(pretended.model, 1, **given).gradients is None
    del upstream["ev_gradient"]
    expected = ops.euclidean_attention(pretended.model, 1, system.positions, **rows, **upstream)
    result = ops.euclidean_attention(pretended.model, 1, **given, **pretended.on_device(upstream))
    assert close(result.gradients.positions.values, expected.gradients.positions)
    assert close(result.gradients.value_x.values, expected.gradients.value_x)


def test_what_cannot_be_used_is_refused(pretended):
    system = random_molecule()
    rows, _ = pretended.arrays(len(system.positions))
    given = pretended.on_device({"positions": system.positions, **rows})

    def refused(message, **changes):
        with pytest.raises(ValueError, match=message):
            ops.euclidean_attention(pretended.model, changes.pop("layer", 0), **{**given, **changes})

    refused("give all on one GPU, or none", query_x=rows["query_x"])
    refused("cell is an array on a GPU", **pretended.on_device({"cell": np.eye(3)}))
    refused(r"key_ev must have shape \(7, 24\)", **pretended.on_device({"key_ev": rows["key_ev"][:, :20].copy()}))
    refused("all be float64 or all be float32", **pretended.on_device({"ev": rows["ev"].astype(np.float32)}))
    refused(r"positions must have shape \(N, 3\)", **pretended.on_device({"positions": np.zeros(21)}))
    refused("layers 0 to 1, not 2", layer=2)
    refused("same place", **pretended.on_device({"positions": np.zeros((7, 3))}))
