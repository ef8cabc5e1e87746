"""The CUDA kernels of the attention, executed on the CPU, against float64 PyTorch and its gradients."""

import dataclasses

import numpy as np
import pytest
import torch
from attention_reference import ATOM_ARRAYS, SHAPES, kernel_geometry, kernel_input, make_case, messages, reference

from openmm_so3krates.hyperparameters import ModelError
from openmm_so3krates.model.graph import network_edges, sum_by
from openmm_so3krates.model.spherical_harmonics import spherical_harmonics

DOUBLE = [name for name in SHAPES if name.endswith("double")]
# The largest error of an array, in units of its largest entry.
TOLERANCE = {"so3lr_float": 3e-6, "small_float": 3e-6, **dict.fromkeys(DOUBLE, 1e-12)}
TILED = ["so3lr_float", "small_float"]


@pytest.fixture
def run(emulated, tmp_path):
    """run(shape, case): what the kernels say."""

    def kernels(shape, case, table=None, **changes):
        module = emulated(shape)
        data = kernel_input(case, module.basis_parameters(model_file(case, tmp_path)), table)
        device = module.Device()
        result = module.attention(device, {**data, **changes})
        assert device.live_allocations == 0
        return result

    return kernels


@pytest.fixture
def run_on_table(emulated, tmp_path):
    """run_on_table(shape, case, tiles): by the tiled kernels, if they can, or the general ones; weights of a model."""

    def kernels(shape, case, tiles, expect_tiles=None):
        module = emulated(shape)
        data = model_file(case, tmp_path)
        device = module.Device()
        of_model = {"model": data, "layer": case.layer, "tiles": tiles}
        result = module.attention(device, {**kernel_input(case, module.basis_parameters(data)), **of_model})
        kind = "Tiled" if (tiles if expect_tiles is None else expect_tiles) else ""
        assert device.launches == {f"so3k{kind}AttentionForward": 1, f"so3k{kind}AttentionBackward": 1}
        assert device.live_allocations == 0
        return result

    return kernels


def model_file(case, folder):
    case.model.save(folder / "model.safetensors", {})
    return (folder / "model.safetensors").read_bytes()


def check(result, expected, tolerance, names=None):
    for name in names or [*expected.keys() - {"total_strain"}]:
        error = np.abs(result[name] - expected[name]).max()
        assert error <= tolerance * max(np.abs(expected[name]).max(), 1e-30), f"{name}: {error}"
    if "strain" in result:
        scale = np.abs(expected["total_strain"]).max()
        assert np.abs(result["strain"].sum(0) - expected["total_strain"]).max() <= tolerance * scale


def test_the_reference_is_the_model(run):
    case = make_case("odd_double")
    x = case.arrays["query_x"]
    edges = network_edges(case.vectors, case.neighbors, case.model.radial_basis, case.hyper)
    attention = case.attention
    projected = {
        name: torch.einsum("boi,nbi->nbo", w, x.reshape(len(x), w.shape[0], -1)).flatten(1)
        for name in ATOM_ARRAYS
        for w in [getattr(attention, name)]
    }
    for name in set(ATOM_ARRAYS) - {"value_x"}:
        projected[name] = attention.qk_activation(projected[name])
    ours = messages(case, {**projected, "ev": case.arrays["ev"]}, edges)
    for mine, model in zip(ours, attention(x, case.arrays["ev"], edges), strict=True):
        torch.testing.assert_close(mine, model, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_messages_and_gradients(run, shape):
    case = make_case(shape)
    check(run(shape, case), reference(case), TOLERANCE[shape])


@pytest.mark.parametrize("shape", ["so3lr_float", "odd_double"])
def test_first_layer(run, shape):
    """ev is zero and nothing before this layer depends on the positions: the force alone is wanted."""
    case = make_case(shape, layer=0)
    case.arrays["ev"] = torch.zeros_like(case.arrays["ev"])
    result = run(shape, case)
    assert set(result) == {"features", "ev", "forces", "strain"}
    check(result, reference(case), TOLERANCE[shape], ["features", "ev", "forces"])


def test_without_spherical_filter(run):
    case = make_case("narrow_double", use_spherical_filter=False)
    result = run("narrow_double", case)
    check(result, reference(case), TOLERANCE["narrow_double"])
    assert not result["ev_in_gradient"].any()


def test_forces_and_messages_are_added(run):
    case = make_case("odd_double")
    once = run("odd_double", case)
    rng = np.random.default_rng(0)
    start = {name: rng.normal(size=once[name].shape) for name in ("features", "forces", "strain")}
    twice = run("odd_double", case, **start)
    for name, before in start.items():
        np.testing.assert_allclose(twice[name], once[name] + before, rtol=0, atol=1e-11 * np.abs(once[name]).max())


def test_without_strain(emulated, tmp_path):
    case, module = make_case("odd_double"), emulated("odd_double")
    data = kernel_input(case, module.basis_parameters(model_file(case, tmp_path)))
    with_strain = module.attention(module.Device(), data)
    del data["strain"]
    without = module.attention(module.Device(), data)
    assert "strain" not in without
    assert without["forces"].tobytes() == with_strain["forces"].tobytes()


@pytest.mark.parametrize("shape", DOUBLE)
def test_entries_beyond_the_cutoff_do_nothing(run, shape):
    expected = reference(make_case(shape))
    check(run(shape, make_case(shape, skin=0.7)), expected, TOLERANCE[shape])


def test_table_against_network(run, emulated, tmp_path):
    """In single precision; a table may deviate by 1e-4 of the radial network's rms."""
    case = make_case("so3lr_float")
    table = emulated("so3lr_float").radial_table(model_file(case, tmp_path))
    expected = reference(case)
    check(run("so3lr_float", case, table), expected, 2e-3)
    check(run("so3lr_float", case, table), expected, 2e-4, ["features", "ev"])


def test_forces_of_the_table_are_its_gradient(run, emulated, tmp_path):
    case = make_case("so3lr_double")
    table = emulated("so3lr_double").radial_table(model_file(case, tmp_path))
    forces = run("so3lr_double", case, table)["forces"]

    def energy(positions):
        result = run("so3lr_double", dataclasses.replace(case, positions=positions), table)
        return (result["features"] * case.message_gradient.numpy()).sum() + (
            result["ev"] * case.ev_gradient.numpy()
        ).sum()

    step = 1e-4
    for atom, axis in ((1, 0), (7, 2)):  # of the molecule and of the box
        shift = torch.zeros_like(case.positions)
        shift[atom, axis] = step
        slope = (energy(case.positions + shift) - energy(case.positions - shift)) / (2 * step)
        assert forces[atom, axis] == pytest.approx(-slope, rel=1e-6, abs=1e-6 * np.abs(forces).max())


TILED_CASES = {
    "few neighbors": {},
    "several groups of edges": {"cutoff": 7.5},  # up to 91 per atom
    "entries beyond the cutoff": {"skin": 0.7},
    "no spherical filter": {"use_spherical_filter": False},
}


@pytest.mark.parametrize(
    ("shape", "changes"),
    [("so3lr_float", "few neighbors"), *(("small_float", name) for name in TILED_CASES)],
)
def test_tiles(run_on_table, shape, changes):
    """Against the general kernels on the same table, and as near to the networks as those are."""
    case = make_case(shape, **TILED_CASES[changes])
    expected = reference(case)
    tiled, general = (run_on_table(shape, case, tiles) for tiles in (True, False))
    check(tiled, expected, TOLERANCE[shape])
    for name, value in general.items():
        if name != "strain":
            assert np.abs(tiled[name] - value).max() <= TOLERANCE[shape] * np.abs(value).max(), name


def test_tiles_of_large_numbers(run_on_table):
    """Hidden units far beyond FP16's range, and of one atom's edges a thousand times larger than of the others."""
    case = make_case("small_float")
    case.arrays["ev"][2] *= 30
    with torch.no_grad():
        for filters in (case.attention.filter_x, case.attention.filter_ev):
            filters.spherical[0].weight *= 1e3
            filters.spherical[1].weight *= 1e-3
    check(run_on_table("small_float", case, True), reference(case), 2 * TOLERANCE["small_float"])


def test_tiles_scale_exactly(run_on_table):
    """FP16 numbers of any size: gradients times a power of two give the same, times that."""
    case = make_case("small_float")
    once = run_on_table("small_float", case, True)
    names = [name for name in once if name.endswith("gradient")]
    assert len(names) == 6
    for factor in (2.0**-60, 2.0**40):
        scaled = dataclasses.replace(
            case, message_gradient=case.message_gradient * factor, ev_gradient=case.ev_gradient * factor
        )
        result = run_on_table("small_float", scaled, True)
        for name in [*names, "forces"]:
            np.testing.assert_array_equal(result[name], once[name] * factor, name)


@pytest.mark.parametrize("array", ["query_x", "key_ev", "ev"])
def test_tiles_of_what_is_no_number(run_on_table, array):
    """It shows wherever it matters: nothing finite comes of it."""
    case = make_case("small_float")
    case.arrays[array][1, 0] = np.nan
    result = run_on_table("small_float", case, True)
    near = np.unique(case.neighbors.senders[case.neighbors.receivers == 1])
    assert len(near) > 1
    assert not np.isfinite(result["forces"][near]).any()
    assert np.isfinite(result["forces"][-1]).all()  # the atom alone


@pytest.mark.parametrize(("steeper", "expected"), [(3, True), (30, False), (100, False)])
def test_tiles_only_where_few_functions_are_enough(run_on_table, steeper, expected):
    """Radial networks that the table can follow and the joint basis cannot take the general kernels."""
    case = make_case("small_float")
    with torch.no_grad():
        for filters in (case.attention.filter_x, case.attention.filter_ev):
            filters.radial[0].weight *= steeper
    result = run_on_table("small_float", case, True, expect_tiles=expected)
    check(result, reference(case), 1e-5)


@pytest.mark.parametrize("shape", TILED)
def test_tiles_of_a_first_layer(run_on_table, shape):
    case = make_case(shape, layer=0)
    case.arrays["ev"] = torch.zeros_like(case.arrays["ev"])
    result = run_on_table(shape, case, True)
    assert set(result) == {"features", "ev", "forces", "strain"}
    check(result, reference(case), TOLERANCE[shape], ["features", "ev", "forces"])


def test_same_bits_of_tiles_in_any_thread_order(run_on_table, monkeypatch):
    case = make_case("small_float", cutoff=5.5)
    results = []
    for order in ("forward", "reverse", "random:1", "random:2"):
        monkeypatch.setenv("SO3KRATES_EMULATION_ORDER", order)
        results.append(run_on_table("small_float", case, True))
    for other in results[1:]:
        assert all(other[name].tobytes() == value.tobytes() for name, value in results[0].items())


@pytest.mark.parametrize("shape", ["so3lr_float", "odd_double", "wide_double"])
def test_same_bits_in_any_thread_order(run, shape, monkeypatch):
    case = make_case(shape)
    results = []
    for order in ("forward", "reverse", "random:1", "random:2"):
        monkeypatch.setenv("SO3KRATES_EMULATION_ORDER", order)
        results.append(run(shape, case))
    for other in results[1:]:
        assert all(other[name].tobytes() == value.tobytes() for name, value in results[0].items())


@pytest.mark.parametrize("shape", SHAPES)
def test_initial_euclidean_variables(emulated, shape):
    case, module = make_case(shape), emulated(shape)
    hyper = case.hyper
    r = case.positions.clone().requires_grad_()
    strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    vectors = dataclasses.replace(case, positions=r).vectors
    vectors = vectors + vectors @ strain
    edges = network_edges(vectors, case.neighbors, case.model.radial_basis, hyper)
    harmonics = spherical_harmonics(vectors / edges.distances.unsqueeze(-1), hyper.degrees)
    ev = sum_by(edges.cutoff.unsqueeze(-1) * harmonics, edges.receivers, len(r)) / hyper.avg_num_neighbors
    force, g = torch.autograd.grad((ev * case.ev_gradient).sum(), [r, strain])
    result = module.initial_euclidean(
        module.Device(),
        {**kernel_geometry(case), "scale": 1 / hyper.avg_num_neighbors, "ev_gradient": case.ev_gradient.numpy()},
    )
    g = g.numpy()
    expected = {
        "ev": ev.detach().numpy(),
        "forces": -force.numpy(),
        "total_strain": np.array([g[0, 0], g[1, 1], g[2, 2], g[2, 1], g[2, 0], g[1, 0]]),
    }
    check(result, expected, TOLERANCE[shape])


def test_shapes_too_wide_for_a_gpu_are_refused(emulated):
    check_shape = emulated("odd_double").check_attention_shape
    check_shape(1024, 8, 4)
    check_shape(512, 512, 1)
    # which of the two depends on whether another module has taught pybind11 about ModelError in this process
    with pytest.raises(
        (RuntimeError, ModelError), match=r"num_features = 1056 with 4 heads .* 1152 threads per atom.*on the CPU"
    ):
        check_shape(1056, 4, 3)


def test_tiles_sanitized(sanitized):
    sanitized(__file__, "-k", "(tiles and small_float) or tiles_of or tiles_scale")


@pytest.mark.long
def test_sanitized(sanitized):
    sanitized(__file__, "-k", "odd_double")
