"""The PyTorch layout: synthetic checkpoints of every kind, and the published one of SO3LR."""

import io
import sys
import types
import zipfile

import numpy as np
import pytest
import torch

from openmm_so3krates import free_atoms, models
from openmm_so3krates.hyperparameters import BERNSTEIN_GAMMA, ModelError
from openmm_so3krates.importers import import_model
from openmm_so3krates.importers.so3krates_torch import convert_so3krates_torch
from openmm_so3krates.model_file import read_model_file

F, H, D, K = 12, 3, 2, 5
_ZBL = ("a1", "a2", "a3", "a4", "c1", "c2", "c3", "c4", "p", "d")

# Stand-ins for the classes of so3krates-torch: only module and class name go into a checkpoint.
_PACKAGE = {
    "so3krates_torch.modules.models": ("SO3LR", "So3krates", "Strange"),
    "so3krates_torch.blocks.embedding": ("InvariantEmbedding", "ChargeSpinEmbedding"),
    "so3krates_torch.blocks.radial_basis": ("ComputeRBF", "GaussianBasis", "BesselBasis", "BernsteinBasis"),
    "so3krates_torch.blocks.euclidean_transformer": (
        "EuclideanTransformer",
        "FilterNet",
        "EuclideanAttentionBlock",
        "EuclideanAttentionBlockLORA",
        "InteractionBlock",
    ),
    "so3krates_torch.blocks.output_block": (
        "AtomicEnergyOutputHead",
        "PartialChargesOutputHead",
        "HirshfeldOutputHead",
    ),
    "so3krates_torch.blocks.physical_potentials": ("ZBLRepulsion",),
}


@pytest.fixture
def classes(monkeypatch):
    """The stand-ins by name, importable while the test runs (torch.save insists)."""
    found = {}
    for package in ("so3krates_torch", "so3krates_torch.modules", "so3krates_torch.blocks"):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    for module_name, names in _PACKAGE.items():
        module = types.ModuleType(module_name)
        for name in names:
            cls = type(name, (torch.nn.Module,), {"__module__": module_name})
            setattr(module, name, cls)
            found[name] = cls
        monkeypatch.setitem(sys.modules, module_name, module)
    return found


def checkpoint(classes, cls="SO3LR", basis="bernstein", attention="EuclideanAttentionBlock", **changes):
    """(torch.save's bytes, the module): a model with random numbers and so3krates-torch's attribute names."""
    torch.manual_seed(3)
    linear = torch.nn.Linear

    def make(name, **children):
        module = classes[name]()
        for key, child in children.items():
            if isinstance(child, torch.Tensor):
                child = torch.nn.Parameter(child)
            setattr(module, key, child)
        return module

    def mlp(num_in, hidden, name):
        act, identity = torch.nn.SiLU(), torch.nn.Identity()
        second = torch.nn.Sequential(linear(hidden, F), identity)
        sequential = torch.nn.Sequential(linear(num_in, hidden), act)
        sequential.add_module(f"{name}_layer_1", second)
        return sequential

    def filter_net():
        return make("FilterNet", mlp_rbf=mlp(K, F, "mlp_rbf"), mlp_ev=mlp(D, F // 4, "mlp_ev"))

    def transformer():
        nets = {"filter_net_inv": filter_net(), "filter_net_ev": filter_net()}
        matrices = {f"W_{name}_inv": torch.randn(H, F // H, F // H) for name in "qkv"}
        matrices |= {f"W_{name}_ev": torch.randn(D, F // D, F // D) for name in "qk"}
        block = make(attention, **matrices, **nets)
        block.register_buffer("degree_repeats", torch.tensor([3, 7]))
        act = torch.nn.SiLU()
        return make(
            "EuclideanTransformer",
            **nets,
            euclidean_attention_block=block,
            interaction_block=make("InteractionBlock", linear_layer=linear(F + D, F + D)),
            layer_norm_inv_1=torch.nn.LayerNorm(F),
            mlp_2=torch.nn.Sequential(act, linear(F, F), act, linear(F, F)),
        )

    radial = classes[{"gaussian": "GaussianBasis", "bessel": "BesselBasis", "bernstein": "BernsteinBasis"}[basis]]()
    if basis == "gaussian":
        radial.centers, radial.widths = torch.nn.Parameter(torch.rand(K)), torch.nn.Parameter(torch.rand(K) + 0.1)
    elif basis == "bessel":
        radial.register_buffer("freqs", torch.arange(K) * torch.pi / 4.0)
    else:
        radial.register_buffer("gamma", torch.tensor(0.75))
    scales = linear(118, 1, bias=False)
    with torch.no_grad():
        scales.weight.fill_(1.0)
        scales.weight[0, [0, 7]] = 1.5  # hydrogen and oxygen
    energy = make("AtomicEnergyOutputHead", energy_shifts=torch.randn(118), energy_scales=scales)
    energy.layers = torch.nn.ModuleList([linear(F, F)])
    energy.final_layer = linear(F, 1)
    children = {
        "inv_feature_embedding": make("InvariantEmbedding", embedding=linear(118, F, bias=False)),
        "spin_embedding": make(
            "ChargeSpinEmbedding",
            Wq=linear(118, F, bias=False),
            Wk=torch.randn(2, F),
            Wv=torch.randn(2, F),
            mlp=torch.nn.Sequential(
                torch.nn.SiLU(), linear(F, F, bias=False), torch.nn.SiLU(), linear(F, F, bias=False)
            ),
        ),
        "radial_embedding": make("ComputeRBF", radial_basis_fn=radial),
        "euclidean_transformers": torch.nn.ModuleList([transformer(), transformer()]),
        "atomic_energy_output_block": energy,
    }
    if cls == "SO3LR":
        head = [linear(F, F), torch.nn.SiLU(), linear(F, 1)]
        children["partial_charges_output_block"] = make(
            "PartialChargesOutputHead",
            atomic_embedding=torch.nn.Embedding(100, 1),
            transform_inv_features=torch.nn.Sequential(*head),
        )
        head = [linear(F, F // 2), torch.nn.SiLU(), linear(F // 2, F // 2)]
        children["hirshfeld_output_block"] = make(
            "HirshfeldOutputHead",
            v_shift_embedding=torch.nn.Embedding(100, 1),
            q_embedding=torch.nn.Embedding(100, F // 2),
            transform_features=torch.nn.Sequential(*head),
        )
        raw = {f"{name}_raw": torch.randn(1) for name in _ZBL}
        children["zbl_repulsion"] = make("ZBLRepulsion", **raw)
    model = make(cls, **children)
    settings = {
        "num_features": F,
        "num_layers": 2,
        "num_heads": H,
        "degrees": [1, 3],
        "r_max": 4.0,
        "cutoff_fn_name": "polynomial",
        "cutoff_p": 5,
        "radial_basis_fn": basis,
        "num_radial_basis_fn": K,
        "activation_fn_name": "silu",
        "qk_non_linearity": "identity",
        "message_normalization": "avg_num_neighbors",
        "avg_num_neighbors": 7.25,
        "layer_normalization_1": True,
        "layer_normalization_2": False,
        "residual_mlp_1": False,
        "residual_mlp_2": True,
        "use_charge_embed": False,
        "use_spin_embed": True,
        "initialize_ev_to_zeros": False,
        "final_mlp_layers": 2,
        "energy_regression_dim": F,
        "energy_activation_fn_name": "silu",
        "dtype": torch.float32,
    }
    if cls == "SO3LR":
        for name in ("zbl_repulsion", "electrostatic_energy", "dispersion_energy"):
            settings[f"{name}_bool"] = True
        settings |= {"electrostatic_energy_scale": 3.0, "dispersion_energy_scale": 1.1, "r_max_lr": None}
    for key, value in (settings | changes).items():
        setattr(model, key, value)
    stream = io.BytesIO()
    torch.save(model, stream)
    return stream.getvalue(), model


def test_mapping(classes):
    data, model = checkpoint(classes)
    imported = convert_so3krates_torch(data, "synthetic")
    tensors = imported.tensors
    state = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    layer = "euclidean_transformers.1"
    block = f"{layer}.euclidean_attention_block"
    same = {
        "embedding.spin.key.weight": "spin_embedding.Wk",
        "embedding.spin.value.weight": "spin_embedding.Wv",
        "embedding.spin.residual.0.weight": "spin_embedding.mlp.1.weight",
        "embedding.spin.residual.1.weight": "spin_embedding.mlp.3.weight",
        "layers.1.attention.filter_x.radial.0.weight": f"{layer}.filter_net_inv.mlp_rbf.0.weight",
        "layers.1.attention.filter_x.radial.1.bias": f"{layer}.filter_net_inv.mlp_rbf.mlp_rbf_layer_1.0.bias",
        "layers.1.attention.filter_ev.spherical.1.weight": f"{layer}.filter_net_ev.mlp_ev.mlp_ev_layer_1.0.weight",
        "layers.1.norm_1.weight": f"{layer}.layer_norm_inv_1.weight",
        "layers.1.mlp_2.0.weight": f"{layer}.mlp_2.1.weight",
        "layers.1.mlp_2.1.bias": f"{layer}.mlp_2.3.bias",
        "layers.1.exchange.weight": f"{layer}.interaction_block.linear_layer.weight",
        "energy.hidden.weight": "atomic_energy_output_block.layers.0.weight",
        "energy.out.bias": "atomic_energy_output_block.final_layer.bias",
        "charges.hidden.weight": "partial_charges_output_block.transform_inv_features.0.weight",
        "charges.out.weight": "partial_charges_output_block.transform_inv_features.2.weight",
        "hirshfeld.hidden.bias": "hirshfeld_output_block.transform_features.0.bias",
        "hirshfeld.out.weight": "hirshfeld_output_block.transform_features.2.weight",
        "zbl.p": "zbl_repulsion.p_raw",
    }
    for name, source in same.items():
        np.testing.assert_array_equal(tensors[name], state[source], err_msg=name)
    # x W there, W x here.
    for name, source in (("query_x", "W_q_inv"), ("value_x", "W_v_inv"), ("key_ev", "W_k_ev")):
        for theirs, ours in zip(state[f"{block}.{source}"], tensors[f"layers.1.attention.{name}"], strict=True):
            np.testing.assert_array_equal(ours, theirs.T)
    # Hydrogen is column 0 there, row 1 here; the heads' tables start at row 0 on both sides.
    np.testing.assert_array_equal(
        tensors["embedding.element.weight"][1:], state["inv_feature_embedding.embedding.weight"].T
    )
    np.testing.assert_array_equal(tensors["embedding.spin.query.weight"][8], state["spin_embedding.Wq.weight"][:, 7])
    np.testing.assert_array_equal(tensors["energy.shifts"][1:], state["atomic_energy_output_block.energy_shifts"])
    np.testing.assert_array_equal(tensors["energy.scales"][[1, 2, 8]], [1.5, 1.0, 1.5])
    np.testing.assert_array_equal(
        tensors["charges.element"][1:], state["partial_charges_output_block.atomic_embedding.weight"][1:, 0]
    )
    np.testing.assert_array_equal(
        tensors["hirshfeld.element_query"][1:], state["hirshfeld_output_block.q_embedding.weight"][1:]
    )


def test_hyperparameters(classes):
    hp = convert_so3krates_torch(checkpoint(classes)[0], "synthetic").hyperparameters
    assert (hp.num_features, hp.num_layers, hp.num_heads, hp.degrees, hp.cutoff) == (12, 2, 3, (1, 3), 4.0)
    assert (hp.cutoff_function, hp.cutoff_exponent) == ("polynomial", 5)
    assert (hp.radial_basis, hp.bernstein_gamma, hp.num_radial_basis) == ("bernstein", 0.75, 5)
    assert (hp.layer_norm_1, hp.layer_norm_2, hp.residual_mlp_1, hp.residual_mlp_2) == (True, False, False, True)
    assert (hp.use_charge_embedding, hp.use_spin_embedding, hp.euclidean_init) == (False, True, "neighborhood")
    assert (hp.electrostatics_sigma, hp.dispersion_gamma_scale, hp.lr_cutoff) == (3.0, 1.1, 12.0)
    assert hp.avg_num_neighbors == 7.25 and hp.elements == (1, 8)


def test_radial_bases(classes):
    data, model = checkpoint(classes, cls="So3krates", basis="gaussian")
    imported = convert_so3krates_torch(data, "synthetic", elements=(1, 6))
    assert imported.hyperparameters.radial_basis == "gaussian" and imported.hyperparameters.elements == (1, 6)
    assert not imported.hyperparameters.partial_charges and "charges.element" not in imported.tensors
    basis = model.radial_embedding.radial_basis_fn
    np.testing.assert_array_equal(imported.tensors["radial_basis.widths"], basis.widths.detach().numpy())
    bessel = convert_so3krates_torch(checkpoint(classes, cls="So3krates", basis="bessel")[0], "synthetic")
    assert (bessel.hyperparameters.radial_basis, bessel.hyperparameters.bessel_first) == ("bessel", 0)
    with pytest.raises(ModelError, match="frequencies"):
        convert_so3krates_torch(checkpoint(classes, cls="So3krates", basis="bessel", r_max=5.0)[0], "synthetic")


def test_one_shift_for_all_elements_is_left_out(classes):
    data, model = checkpoint(classes)
    with torch.no_grad():
        model.atomic_energy_output_block.energy_shifts.fill_(-163.6)
    stream = io.BytesIO()
    torch.save(model, stream)
    assert not convert_so3krates_torch(stream.getvalue(), "synthetic").tensors["energy.shifts"].any()
    assert convert_so3krates_torch(data, "synthetic").tensors["energy.shifts"].any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cls": "Strange"}, "Strange"),
        ({"attention": "EuclideanAttentionBlockLORA"}, "low-rank"),
        ({"num_layers": 3}, "no parameter euclidean_transformers.2"),
        ({"num_layers": 1}, "do not explain"),
        ({"residual_mlp_2": False}, "do not explain"),
        ({"final_mlp_layers": 3}, "energy head of 3 layers"),
        ({"energy_regression_dim": 6}, "energy_regression_dim"),
        ({"use_pme": True}, "PME"),
        ({"activation_fn_name": "tanh"}, "silu"),
        ({"activation_fn_name": "gelu"}, "activation must be one of"),
        ({"degrees": 3}, "degrees"),
    ],
)
def test_what_this_library_does_not_have(classes, changes, message):
    with pytest.raises(ModelError, match=message):
        convert_so3krates_torch(checkpoint(classes, **changes)[0], "synthetic")


def test_a_state_dict_is_not_enough(classes):
    stream = io.BytesIO()
    torch.save(checkpoint(classes)[1].state_dict(), stream)
    with pytest.raises(ModelError, match="whole model"):
        convert_so3krates_torch(stream.getvalue(), "synthetic")


def rewritten(data, change, compression=zipfile.ZIP_STORED):
    """The checkpoint with its members passed through change(name, content) -> content or None."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(stream, "w", compression) as target:
        for name in source.namelist():
            content = change(name, source.read(name))
            if content is not None:
                target.writestr(name, content)
    return stream.getvalue()


def test_hostile_archives(classes, tmp_path):
    good, _ = checkpoint(classes)
    marker = tmp_path / "executed"
    evil = b"\x80\x02cposix\nsystem\nX" + len(f"touch {marker}").to_bytes(4, "little") + f"touch {marker}".encode()
    cases = {
        "cut": (good[: len(good) // 2], "not a PyTorch checkpoint"),
        "not a zip": (b"PK\x03\x04" + b"0" * 100, "not a PyTorch checkpoint"),
        "no pickle": (rewritten(good, lambda n, c: None if n.endswith("data.pkl") else c), "no data.pkl"),
        "calls a function": (rewritten(good, lambda n, c: evil + b"\x85R." if n.endswith(".pkl") else c), "system"),
        "compressed": (rewritten(good, lambda n, c: c, zipfile.ZIP_DEFLATED), "compressed"),
        "a storage missing": (rewritten(good, lambda n, c: None if n.endswith("data/0") else c), "lacks its member"),
        "a storage short": (rewritten(good, lambda n, c: c[:-4] if n.endswith("data/0") else c), "storage 0"),
        "a storage odd": (rewritten(good, lambda n, c: c[:-1] if n.endswith("data/0") else c), "buffer size"),
        "big-endian": (rewritten(good, lambda n, c: b"big" if n.endswith("byteorder") else c), "big-endian"),
    }
    for name, (data, message) in cases.items():
        with pytest.raises(ModelError, match=message):
            pytest.fail(f"{name}: {convert_so3krates_torch(data, name)}", pytrace=False)
    assert not marker.exists()


def test_tensor_beyond_its_storage(classes):
    good, _ = checkpoint(classes)
    # (118,) with stride 1 of the energy shifts: BININT1 118, TUPLE1 -> 119 numbers.
    shape = b"Kv\x85"

    def longer(name, content):
        return content.replace(shape, b"Kw\x85") if name.endswith("data.pkl") else content

    changed = rewritten(good, longer)
    with pytest.raises(ModelError, match="beyond its storage"):
        convert_so3krates_torch(changed, "synthetic")


# -- the published checkpoint --------------------------------------------------------------------------------


def test_so3lr_from_its_wheel(so3lr, so3lr_wheel, tmp_path):
    """The installed model is what the wheel's checkpoint gives; its numbers are those of the published JAX weights."""
    with zipfile.ZipFile(so3lr_wheel) as wheel:
        (tmp_path / "so3lr.model").write_bytes(wheel.read(models.PUBLISHED["so3lr"].member))
    imported = import_model(tmp_path / "so3lr.model")
    hp, tensors, _ = read_model_file(so3lr)
    assert hp == imported.hyperparameters
    assert tensors.keys() == imported.tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, imported.tensors[name])
        assert tensor.dtype == imported.tensors[name].dtype
    trained = sum(tensor.size for name, tensor in tensors.items() if not name.startswith("dispersion."))
    assert trained == 530_238
    assert hp.elements == (1, 6, 7, 8, 9, 15, 16, 17)
    assert hp.bernstein_gamma == BERNSTEIN_GAMMA
    assert hp.avg_num_neighbors == 13.168995780096482
    # Read from the JAX parameters, to six decimals.
    scales = [0.754417, 0.825723, 0.966778, 0.877347, 0.411798, 1.101807, 0.710620, 0.644159]
    np.testing.assert_allclose(tensors["energy.scales"][list(hp.elements)], scales, atol=1e-6)
    softplus = {name: np.log1p(np.exp(tensors[f"zbl.{name}"].astype(float))) for name in "acpd"}
    np.testing.assert_allclose(softplus["a"], [1.08682452, 0.95284524, 0.45579214, 0.23729690], rtol=1e-6)
    np.testing.assert_allclose(softplus["c"], [0.19931663, 0.56490160, 0.25365408, 0.02421534], rtol=1e-6)
    np.testing.assert_allclose([softplus["p"][0], softplus["d"][0]], [0.25565306, 2.24567539], rtol=1e-6)
    assert not tensors["energy.shifts"].any()
    np.testing.assert_array_equal(tensors["dispersion.c6"], free_atoms.c6_coefficients())
