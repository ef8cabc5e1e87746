"""Imports models of the JAX code mlff (branch v1.0), SO3LR's original form: params.pkl + hyperparameters.json."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..hyperparameters import BERNSTEIN_GAMMA, Hyperparameters, ModelError
from .imported import (
    DEFAULT_DISPERSION_SWITCH_WIDTH,
    DEFAULT_LR_CUTOFF,
    ImportedModel,
    Parameters,
    check_head_widths,
    dispersion_tables,
    element_table,
    provenance_of,
    trained_elements,
)
from .numpy_pickle import read_array_tree

_MAX_SETTINGS_BYTES = 16 << 20

_RADIAL_BASES = {"bernstein": "bernstein", "gaussian": "gaussian", "physnet": "physnet", "fourier": "bessel"}
_CUTOFF_FUNCTIONS = {"phys": "phys", "cosine": "cosine", "exponential": "exponential", "dimenet": "polynomial"}
_ACTIVATIONS = {"swish": "silu"}


def import_mlff(
    params: str | os.PathLike,
    settings: str | os.PathLike | None = None,
    elements: Sequence[int] | None = None,
) -> ImportedModel:
    """Reads `params` (params.pkl) with `settings` (hyperparameters.json; None: the file beside `params`).

    Nothing in the pickle is executed. `elements`: atomic numbers the model was trained for; None: those whose
    energy scale has moved in training.

    Raises `ModelError` if a file is missing, damaged, hostile, or describes a network that this library does
    not have.
    """
    params = Path(params)
    settings = params.with_name("hyperparameters.json") if settings is None else Path(settings)
    try:
        data = params.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {params}: {os.strerror(error.errno or 0)}") from None
    return convert_mlff(
        read_array_tree(data),
        _read_settings(settings),
        provenance_of(params.name, hashlib.sha256(data).hexdigest()),
        elements,
    )


def convert_mlff(
    arrays: Mapping[str, np.ndarray],
    settings: Mapping[str, object],
    provenance: dict[str, str],
    elements: Sequence[int] | None = None,
) -> ImportedModel:
    """`import_mlff` for parameters (keys joined by "/") and settings already in memory."""
    arrays = {name.removeprefix("params/"): array for name, array in arrays.items()}
    parameters = Parameters(arrays, "params.pkl")
    scales = arrays.get("observables_0/atomic_scales")
    hyperparameters = _hyperparameters(settings, arrays, trained_elements(scales, elements))
    tensors = _Conversion(parameters, hyperparameters).run()
    parameters.check_all_used()
    return ImportedModel(hyperparameters, tensors, provenance)


def _read_settings(path: Path) -> dict:
    try:
        if path.stat().st_size > _MAX_SETTINGS_BYTES:
            raise ModelError(f"{path} is too large to be a hyperparameters.json")
        settings = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"cannot read {path}: {os.strerror(error.errno or 0)}; "
            "a params.pkl needs its hyperparameters.json beside it or named with --hyperparameters"
        ) from None
    except (ValueError, RecursionError):
        raise ModelError(f"{path} is not valid JSON") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("model"), dict):
        raise ModelError(f"{path} is not an mlff configuration: it has no section 'model'")
    return settings


def _charge_head(arrays: Mapping[str, np.ndarray]) -> str | None:
    """Flax files a module that two observables share under the one that owns it."""
    for owner in ("observables_0/electrostatic_energy", "observables_1"):
        if f"{owner}/partial_charges/Embed_0/embedding" in arrays:
            return f"{owner}/partial_charges"
    return None


def _hyperparameters(
    settings: Mapping[str, object], arrays: Mapping[str, np.ndarray], elements: tuple[int, ...]
) -> Hyperparameters:
    model = settings["model"]

    def get(name: str, default: object = None) -> object:
        value = model.get(name, default)
        if value is None and name not in model:
            raise ModelError(f"hyperparameters.json lacks model.{name}")
        return value

    def choice(name: str, table: Mapping[str, str]) -> str:
        value = get(name)
        if not isinstance(value, str) or value not in table:
            raise ModelError(f"model.{name} is {value!r}; known: {', '.join(table)}")
        return table[value]

    def activation(name: str) -> object:
        value = get(name)
        return _ACTIVATIONS.get(value, value) if isinstance(value, str) else value

    def or_default(name: str, default: float) -> object:
        value = model.get(name)
        return default if value is None else value

    normalization = get("message_normalization")
    data = settings.get("data")
    neighbors = data.get("avg_num_neighbors") if isinstance(data, dict) else None
    if normalization == "avg_num_neighbors" and neighbors is None:
        raise ModelError("hyperparameters.json lacks data.avg_num_neighbors, which message_normalization needs")
    charges = _charge_head(arrays) is not None
    hirshfeld = "observables_2/Embed_0/embedding" in arrays
    if charges or hirshfeld:
        check_head_widths(get("energy_regression_dim"), get("num_features"))
    degrees = get("degrees")
    if not isinstance(degrees, list):
        raise ModelError("model.degrees in hyperparameters.json is not a list")
    return Hyperparameters(
        num_features=get("num_features"),
        num_layers=get("num_layers"),
        num_heads=get("num_heads"),
        degrees=tuple(degrees),
        cutoff=get("cutoff"),
        cutoff_function=choice("cutoff_fn", _CUTOFF_FUNCTIONS),
        cutoff_exponent=6,  # dimenet
        radial_basis=choice("radial_basis_fn", _RADIAL_BASES),
        num_radial_basis=get("num_radial_basis_fn"),
        bernstein_gamma=BERNSTEIN_GAMMA,
        bessel_first=0,
        activation=activation("activation_fn"),
        qk_activation=activation("qk_non_linearity"),
        message_normalization=normalization,
        avg_num_neighbors=1.0 if neighbors is None else neighbors,
        use_spherical_filter="layers_0/attention_block/spherical_filter1_layer_1/kernel" in arrays,
        layer_norm_1=get("layer_normalization_1"),
        layer_norm_2=get("layer_normalization_2"),
        residual_mlp_1=get("residual_mlp_1"),
        residual_mlp_2=get("residual_mlp_2"),
        use_charge_embedding=get("use_charge_embed", False),
        use_spin_embedding=get("use_spin_embed", False),
        euclidean_init="zero",
        energy_hidden=get("energy_regression_dim"),
        energy_activation=activation("energy_activation_fn"),
        partial_charges=charges,
        hirshfeld_ratios=hirshfeld,
        zbl=get("zbl_repulsion_bool", False),
        electrostatics=get("electrostatic_energy_bool", False),
        electrostatics_sigma=or_default("electrostatic_energy_scale", 1.0),
        dispersion=get("dispersion_energy_bool", False),
        dispersion_gamma_scale=or_default("dispersion_energy_scale", 1.0),
        lr_cutoff=or_default("cutoff_lr", DEFAULT_LR_CUTOFF),
        dispersion_switch_width=or_default("dispersion_energy_cutoff_lr_damping", DEFAULT_DISPERSION_SWITCH_WIDTH),
        elements=elements,
    )


class _Conversion:
    """Maps parameter names and layouts. Flax kernels are (in, out); ours are (out, in)."""

    def __init__(self, parameters: Parameters, hyperparameters: Hyperparameters) -> None:
        self.parameters = parameters
        self.hp = hyperparameters
        self.tensors: dict[str, np.ndarray] = {}

    def copy(self, name: str, source: str) -> None:
        self.tensors[name] = self.parameters.take(source)

    def kernel(self, name: str, source: str) -> None:
        self.tensors[name] = np.ascontiguousarray(self.parameters.take(source).T)

    def dense(self, name: str, source: str) -> None:
        self.kernel(f"{name}.weight", f"{source}/kernel")
        self.copy(f"{name}.bias", f"{source}/bias")

    def table(self, name: str, source: str) -> None:
        self.tensors[name] = element_table(self.parameters.take(source), first=0)

    def column(self, name: str, source: str) -> None:
        self.table(name, source)
        self.tensors[name] = self.tensors[name].reshape(-1)

    def run(self) -> dict[str, np.ndarray]:
        hp = self.hp
        self.embeddings()
        if hp.radial_basis == "gaussian":
            self.copy("radial_basis.centers", "geometry_embeddings_0/rbf_fn/centers")
            self.copy("radial_basis.widths", "geometry_embeddings_0/rbf_fn/widths")
        for index in range(hp.num_layers):
            self.layer(f"layers.{index}", f"layers_{index}")
        self.energy()
        if hp.partial_charges:
            head = _charge_head(self.parameters)
            self.dense("charges.hidden", f"{head}/charge_dense_regression_vec")
            self.dense("charges.out", f"{head}/charge_dense_final_vec")
            self.column("charges.element", f"{head}/Embed_0/embedding")
        if hp.hirshfeld_ratios:
            self.dense("hirshfeld.hidden", "observables_2/hirshfeld_ratios_dense_regression")
            self.dense("hirshfeld.out", "observables_2/hirshfeld_ratios_dense_final")
            self.column("hirshfeld.element_shift", "observables_2/Embed_0/embedding")
            self.table("hirshfeld.element_query", "observables_2/Embed_1/embedding")
        if hp.zbl:
            self.zbl("observables_0/zbl_repulsion")
        if hp.dispersion:
            self.tensors.update(dispersion_tables())
        return self.tensors

    def embeddings(self) -> None:
        self.table("embedding.element.weight", "feature_embeddings_0/Embed_0/embedding")
        number = 1
        for kind, used in (("charge", self.hp.use_charge_embedding), ("spin", self.hp.use_spin_embedding)):
            if used:
                source = f"feature_embeddings_{number}/ChargeSpinEmbedSparse_0"
                self.table(f"embedding.{kind}.query.weight", f"{source}/Embed_0/embedding")
                self.copy(f"embedding.{kind}.key.weight", f"{source}/Embed_1/embedding")
                self.copy(f"embedding.{kind}.value.weight", f"{source}/Embed_2/embedding")
                self.kernel(f"embedding.{kind}.residual.0.weight", f"{source}/Residual_0/layers_0/kernel")
                self.kernel(f"embedding.{kind}.residual.1.weight", f"{source}/Residual_0/layers_1/kernel")
                number += 1

    def layer(self, name: str, source: str) -> None:
        hp = self.hp
        attention = f"{source}/attention_block"
        for number, part in ((1, "x"), (2, "ev")):
            filter_net = f"{name}.attention.filter_{part}"
            self.dense(f"{filter_net}.radial.0", f"{attention}/radial_filter{number}_layer_1")
            self.dense(f"{filter_net}.radial.1", f"{attention}/radial_filter{number}_layer_2")
            if hp.use_spherical_filter:
                self.dense(f"{filter_net}.spherical.0", f"{attention}/spherical_filter{number}_layer_1")
                self.dense(f"{filter_net}.spherical.1", f"{attention}/spherical_filter{number}_layer_2")
            # These three are (block, out, in) already.
            self.copy(f"{name}.attention.query_{part}", f"{attention}/Wq{number}")
            self.copy(f"{name}.attention.key_{part}", f"{attention}/Wk{number}")
        self.copy(f"{name}.attention.value_x", f"{attention}/Wv1")
        for number, norm, mlp in ((1, hp.layer_norm_1, hp.residual_mlp_1), (2, hp.layer_norm_2, hp.residual_mlp_2)):
            if norm:
                self.copy(f"{name}.norm_{number}.weight", f"{source}/layer_normalization_{number}/scale")
                self.copy(f"{name}.norm_{number}.bias", f"{source}/layer_normalization_{number}/bias")
            if mlp:
                self.dense(f"{name}.mlp_{number}.0", f"{source}/res_mlp_{number}_layer_1")
                self.dense(f"{name}.mlp_{number}.1", f"{source}/res_mlp_{number}_layer_2")
        self.dense(f"{name}.exchange", f"{source}/exchange_block/mlp_layer_2")

    def energy(self) -> None:
        if self.hp.energy_hidden is not None:
            self.dense("energy.hidden", "observables_0/energy_dense_regression")
        self.dense("energy.out", "observables_0/energy_dense_final")
        rows = self.tensors["embedding.element.weight"].shape[0]
        for name, source, default in (
            ("energy.scales", "observables_0/atomic_scales", 1.0),
            ("energy.shifts", "observables_0/energy_offset", 0.0),
        ):
            if source in self.parameters:
                self.table(name, source)
            else:
                self.tensors[name] = element_table(np.full(rows, default, np.float32), first=0)

    def zbl(self, source: str) -> None:
        for name in ("a", "c"):
            parts = [self.parameters.take(f"{source}/{name}{number}").reshape(-1) for number in (1, 2, 3, 4)]
            self.tensors[f"zbl.{name}"] = np.concatenate(parts)
        self.tensors["zbl.p"] = self.parameters.take(f"{source}/p").reshape(-1)
        self.tensors["zbl.d"] = self.parameters.take(f"{source}/d").reshape(-1)
