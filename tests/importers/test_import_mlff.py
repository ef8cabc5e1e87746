"""The JAX layout (params.pkl + hyperparameters.json): every array lands where it belongs."""

import copy
import json
import pickle

import numpy as np
import pytest

from openmm_so3krates.hyperparameters import BERNSTEIN_GAMMA, ModelError
from openmm_so3krates.importers import import_model
from openmm_so3krates.model_file import expected_tensors

SETTINGS = {
    "data": {"avg_num_neighbors": 7.25},
    "model": {
        "activation_fn": "silu",
        "cutoff": 4.0,
        "cutoff_fn": "phys",
        "cutoff_lr": None,
        "degrees": [1, 3],
        "dispersion_energy_bool": True,
        "dispersion_energy_cutoff_lr_damping": None,
        "dispersion_energy_scale": 1.2,
        "electrostatic_energy_bool": True,
        "electrostatic_energy_scale": 4.0,
        "energy_activation_fn": "silu",
        "energy_regression_dim": 12,
        "layer_normalization_1": True,
        "layer_normalization_2": True,
        "message_normalization": "avg_num_neighbors",
        "num_features": 12,
        "num_heads": 3,
        "num_layers": 2,
        "num_radial_basis_fn": 5,
        "qk_non_linearity": "identity",
        "radial_basis_fn": "bernstein",
        "residual_mlp_1": True,
        "residual_mlp_2": True,
        "use_charge_embed": True,
        "use_spin_embed": True,
        "zbl_repulsion_bool": True,
    },
}
F, H, D, K, S = 12, 3, 2, 5, 3
ZBL = ("a1", "a2", "a3", "a4", "c1", "c2", "c3", "c4", "d", "p")


def tree(seed=0):
    """Parameters as mlff stores them: Flax kernels (in, out), attention matrices (block, out, in), 119 or 100 rows."""
    rng = np.random.default_rng(seed)

    def array(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def dense(num_in, num_out):
        return {"kernel": array(num_in, num_out), "bias": array(num_out)}

    def norm():
        return {"scale": array(F), "bias": array(F)}

    def charge_or_spin():
        residual = {f"layers_{i}": {"kernel": array(F, F)} for i in (0, 1)}
        embeds = {f"Embed_{i}": {"embedding": array(rows, F)} for i, rows in enumerate((119, 2, 2))}
        return {"ChargeSpinEmbedSparse_0": {**embeds, "Residual_0": residual}}

    def layer():
        attention = {name: array(H, F // H, F // H) for name in ("Wq1", "Wk1", "Wv1")}
        attention |= {name: array(D, F // D, F // D) for name in ("Wq2", "Wk2")}
        for m in (1, 2):
            attention[f"radial_filter{m}_layer_1"] = dense(K, F)
            attention[f"radial_filter{m}_layer_2"] = dense(F, F)
            attention[f"spherical_filter{m}_layer_1"] = dense(D, S)
            attention[f"spherical_filter{m}_layer_2"] = dense(S, F)
        result = {"attention_block": attention, "exchange_block": {"mlp_layer_2": dense(F + D, F + D)}}
        for m in (1, 2):
            result[f"layer_normalization_{m}"] = norm()
            result[f"res_mlp_{m}_layer_1"] = dense(F, F)
            result[f"res_mlp_{m}_layer_2"] = dense(F, F)
        return result

    scales = np.ones(119, np.float32)
    scales[[1, 6, 17]] = 0.75, 0.5, 1.25
    return {
        "params": {
            "feature_embeddings_0": {"Embed_0": {"embedding": array(119, F)}},
            "feature_embeddings_1": charge_or_spin(),
            "feature_embeddings_2": charge_or_spin(),
            "layers_0": layer(),
            "layers_1": layer(),
            "observables_0": {
                "atomic_scales": scales,
                "energy_offset": array(119),
                "energy_dense_regression": dense(F, F),
                "energy_dense_final": dense(F, 1),
                "electrostatic_energy": {
                    "partial_charges": {
                        "Embed_0": {"embedding": array(100, 1)},
                        "charge_dense_regression_vec": dense(F, F),
                        "charge_dense_final_vec": dense(F, 1),
                    }
                },
                "zbl_repulsion": {name: array(1) for name in ZBL},
            },
            "observables_2": {
                "Embed_0": {"embedding": array(100, 1)},
                "Embed_1": {"embedding": array(100, F // 2)},
                "hirshfeld_ratios_dense_regression": dense(F, F // 2),
                "hirshfeld_ratios_dense_final": dense(F // 2, F // 2),
            },
        }
    }


def save(folder, parameters, model=None, **settings):
    changed = copy.deepcopy(SETTINGS)
    changed["model"].update(model or {})
    changed.update(settings)
    (folder / "params.pkl").write_bytes(pickle.dumps(parameters))
    (folder / "hyperparameters.json").write_text(json.dumps(changed))
    return folder / "params.pkl"


def get(parameters, path):
    for key in path.split("/"):
        parameters = parameters[key]
    return parameters


COPIED = {
    "embedding.charge.key.weight": "feature_embeddings_1/ChargeSpinEmbedSparse_0/Embed_1/embedding",
    "embedding.charge.value.weight": "feature_embeddings_1/ChargeSpinEmbedSparse_0/Embed_2/embedding",
    "embedding.spin.key.weight": "feature_embeddings_2/ChargeSpinEmbedSparse_0/Embed_1/embedding",
    "embedding.spin.value.weight": "feature_embeddings_2/ChargeSpinEmbedSparse_0/Embed_2/embedding",
    "layers.1.attention.query_x": "layers_1/attention_block/Wq1",
    "layers.1.attention.key_x": "layers_1/attention_block/Wk1",
    "layers.1.attention.value_x": "layers_1/attention_block/Wv1",
    "layers.1.attention.query_ev": "layers_1/attention_block/Wq2",
    "layers.0.attention.key_ev": "layers_0/attention_block/Wk2",
    "layers.0.attention.filter_x.radial.0.bias": "layers_0/attention_block/radial_filter1_layer_1/bias",
    "layers.0.attention.filter_ev.spherical.1.bias": "layers_0/attention_block/spherical_filter2_layer_2/bias",
    "layers.1.norm_1.weight": "layers_1/layer_normalization_1/scale",
    "layers.1.norm_2.bias": "layers_1/layer_normalization_2/bias",
}
TRANSPOSED = {
    "embedding.charge.residual.0.weight": "feature_embeddings_1/ChargeSpinEmbedSparse_0/Residual_0/layers_0/kernel",
    "embedding.spin.residual.1.weight": "feature_embeddings_2/ChargeSpinEmbedSparse_0/Residual_0/layers_1/kernel",
    "layers.0.attention.filter_x.radial.0.weight": "layers_0/attention_block/radial_filter1_layer_1/kernel",
    "layers.1.attention.filter_x.radial.1.weight": "layers_1/attention_block/radial_filter1_layer_2/kernel",
    "layers.1.attention.filter_ev.spherical.0.weight": "layers_1/attention_block/spherical_filter2_layer_1/kernel",
    "layers.0.attention.filter_x.spherical.1.weight": "layers_0/attention_block/spherical_filter1_layer_2/kernel",
    "layers.0.mlp_1.0.weight": "layers_0/res_mlp_1_layer_1/kernel",
    "layers.1.mlp_2.1.weight": "layers_1/res_mlp_2_layer_2/kernel",
    "layers.1.exchange.weight": "layers_1/exchange_block/mlp_layer_2/kernel",
    "energy.hidden.weight": "observables_0/energy_dense_regression/kernel",
    "energy.out.weight": "observables_0/energy_dense_final/kernel",
    "charges.hidden.weight": "observables_0/electrostatic_energy/partial_charges/charge_dense_regression_vec/kernel",
    "hirshfeld.hidden.weight": "observables_2/hirshfeld_ratios_dense_regression/kernel",
    "hirshfeld.out.weight": "observables_2/hirshfeld_ratios_dense_final/kernel",
}
TABLES = {
    "embedding.element.weight": "feature_embeddings_0/Embed_0/embedding",
    "embedding.spin.query.weight": "feature_embeddings_2/ChargeSpinEmbedSparse_0/Embed_0/embedding",
    "energy.scales": "observables_0/atomic_scales",
    "energy.shifts": "observables_0/energy_offset",
    "charges.element": "observables_0/electrostatic_energy/partial_charges/Embed_0/embedding",
    "hirshfeld.element_shift": "observables_2/Embed_0/embedding",
    "hirshfeld.element_query": "observables_2/Embed_1/embedding",
}


def test_mapping(tmp_path):
    parameters = tree()
    tensors = import_model(save(tmp_path, parameters)).tensors
    for name, path in COPIED.items():
        np.testing.assert_array_equal(tensors[name], get(parameters["params"], path), err_msg=name)
    for name, path in TRANSPOSED.items():
        np.testing.assert_array_equal(tensors[name], get(parameters["params"], path).T, err_msg=name)
    for name, path in TABLES.items():
        source = get(parameters["params"], path)
        np.testing.assert_array_equal(tensors[name][1:], source.reshape(tensors[name].shape)[1:], err_msg=name)
        assert not tensors[name][0].any()
    zbl = parameters["params"]["observables_0"]["zbl_repulsion"]
    np.testing.assert_array_equal(tensors["zbl.a"], np.concatenate([zbl[f"a{i}"] for i in (1, 2, 3, 4)]))
    np.testing.assert_array_equal(tensors["zbl.c"], np.concatenate([zbl[f"c{i}"] for i in (1, 2, 3, 4)]))
    np.testing.assert_array_equal(tensors["zbl.p"], zbl["p"])
    np.testing.assert_array_equal(tensors["zbl.d"], zbl["d"])


def test_every_number_is_used_once(tmp_path):
    """Also what the lists above leave out: all numbers of the source are there, and no others."""
    parameters = tree()
    model = import_model(save(tmp_path, parameters))
    assert {name: tensor.ndim for name, tensor in model.tensors.items()} == {
        name: len(shape) for name, shape in expected_tensors(model.hyperparameters).items()
    }
    imported = [t for name, t in model.tensors.items() if not name.startswith("dispersion.")]
    found = np.sort(np.concatenate([tensor.reshape(-1) for tensor in imported]))
    source = []

    def collect(node, path=""):
        for key, value in node.items():
            if isinstance(value, dict):
                collect(value, f"{path}/{key}")
            else:
                rows = value.copy()
                if f"{path}/{key}".removeprefix("/params/") in TABLES.values() or rows.shape[0] in (100, 119):
                    rows[0] = 0  # of no atom
                source.append(rows.reshape(-1))

    collect(parameters)
    np.testing.assert_array_equal(found, np.sort(np.concatenate(source)))


def test_hyperparameters(tmp_path):
    hp = import_model(save(tmp_path, tree())).hyperparameters
    assert (hp.num_features, hp.num_layers, hp.num_heads, hp.degrees) == (12, 2, 3, (1, 3))
    assert (hp.cutoff, hp.cutoff_function, hp.radial_basis, hp.num_radial_basis) == (4.0, "phys", "bernstein", 5)
    assert hp.bernstein_gamma == BERNSTEIN_GAMMA
    assert (hp.message_normalization, hp.avg_num_neighbors) == ("avg_num_neighbors", 7.25)
    assert hp.zbl and hp.electrostatics and hp.dispersion and hp.partial_charges and hp.hirshfeld_ratios
    assert (hp.lr_cutoff, hp.dispersion_switch_width) == (12.0, 2.0)
    assert (hp.electrostatics_sigma, hp.dispersion_gamma_scale) == (4.0, 1.2)
    assert hp.elements == (1, 6, 17)
    assert hp.bessel_first == 0 and hp.euclidean_init == "zero" and hp.use_spherical_filter


def test_other_choices(tmp_path):
    """A plain So3krates: Gaussian basis, no heads, no scales, no charge embedding, one dense layer to the energy."""
    parameters = tree()
    content = parameters["params"]
    for name in ("feature_embeddings_2", "observables_2"):
        del content[name]
    for name in ("electrostatic_energy", "zbl_repulsion", "atomic_scales", "energy_offset", "energy_dense_regression"):
        del content["observables_0"][name]
    rbf = {"centers": np.linspace(0, 4, K, dtype=np.float32), "widths": np.full(K, 0.8, np.float32)}
    content["geometry_embeddings_0"] = {"rbf_fn": rbf}
    path = save(
        tmp_path,
        parameters,
        {
            "radial_basis_fn": "gaussian",
            "cutoff_fn": "dimenet",
            "use_charge_embed": False,
            "energy_regression_dim": None,
            "activation_fn": "swish",
            "qk_non_linearity": "silu",
            "message_normalization": "sqrt_num_features",
            "cutoff_lr": 9.0,
            **{f"{name}_bool": False for name in ("zbl_repulsion", "electrostatic_energy", "dispersion_energy")},
        },
    )
    with pytest.raises(ModelError, match="--elements"):
        import_model(path)
    model = import_model(path, elements=(8, 1))
    hp, tensors = model.hyperparameters, model.tensors
    assert hp.elements == (1, 8)
    assert hp.energy_hidden is None and hp.activation == "silu" and hp.qk_activation == "silu" and hp.lr_cutoff == 9.0
    assert (hp.cutoff_function, hp.cutoff_exponent) == ("polynomial", 6)
    assert hp.use_spin_embedding and not hp.use_charge_embedding
    # With one embedding alone, it is the first after the element's.
    source = content["feature_embeddings_1"]["ChargeSpinEmbedSparse_0"]["Embed_1"]["embedding"]
    np.testing.assert_array_equal(tensors["embedding.spin.key.weight"], source)
    np.testing.assert_array_equal(tensors["radial_basis.centers"], rbf["centers"])
    np.testing.assert_array_equal(tensors["radial_basis.widths"], rbf["widths"])
    np.testing.assert_array_equal(tensors["energy.scales"][1:], 1)
    np.testing.assert_array_equal(tensors["energy.shifts"], 0)


def test_charges_filed_under_the_dipole(tmp_path):
    """Without electrostatics in the energy, Flax files the charge head under the second observable."""
    parameters = tree()
    head = parameters["params"]["observables_0"].pop("electrostatic_energy")
    parameters["params"]["observables_1"] = head
    model = import_model(save(tmp_path, parameters, {"electrostatic_energy_bool": False}))
    assert model.hyperparameters.partial_charges and not model.hyperparameters.electrostatics
    kernel = head["partial_charges"]["charge_dense_final_vec"]["kernel"]
    np.testing.assert_array_equal(model.tensors["charges.out.weight"], kernel.T)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"num_layers": 3}, "no parameter layers_2/"),
        ({"num_layers": 1}, "does not|do not explain: layers_1/"),
        ({"num_features": 24}, "energy_regression_dim|shape"),
        ({"energy_regression_dim": 6}, "energy_regression_dim"),
        ({"radial_basis_fn": "unheard-of"}, "radial_basis_fn"),
        ({"cutoff_fn": "polynomial"}, "cutoff_fn"),
        ({"activation_fn": "gelu"}, "activation"),
        ({"degrees": 3}, "degrees"),
        ({"degrees": [3, 1]}, "degrees"),
        ({"residual_mlp_2": False}, "do not explain: layers_0/res_mlp_2"),
        ({"zbl_repulsion_bool": False}, "do not explain: observables_0/zbl"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, model, message):
    with pytest.raises(ModelError, match=message):
        import_model(save(tmp_path, tree(), model))


def test_settings_missing_or_broken(tmp_path):
    path = save(tmp_path, tree())
    settings = tmp_path / "hyperparameters.json"
    for text, message in (("{", "not valid JSON"), ("[]", "no section 'model'"), ('{"model": {}}', "lacks")):
        settings.write_text(text)
        with pytest.raises(ModelError, match=message):
            import_model(path)
    settings.unlink()
    with pytest.raises(ModelError, match="--hyperparameters"):
        import_model(path)
    save(tmp_path, tree(), data={})
    with pytest.raises(ModelError, match="avg_num_neighbors"):
        import_model(path)


def test_integer_parameters_are_refused(tmp_path):
    parameters = tree()
    parameters["params"]["observables_0"]["energy_offset"] = np.zeros(119, np.int32)
    with pytest.raises(ModelError, match="int32"):
        import_model(save(tmp_path, parameters))


def test_a_folder_will_do(tmp_path):
    save(tmp_path, tree())
    assert import_model(tmp_path).provenance["source"] == "params.pkl"
