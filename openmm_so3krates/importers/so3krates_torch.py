"""Imports whole-model checkpoints of the PyTorch code so3krates-torch (torch.save of a So3krates or SO3LR module)."""

from __future__ import annotations

import hashlib
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
from .torch_pickle import arrays_by_name, attributes, classes_of, read_torch_module

_MODELS = ("So3krates", "SO3LR")
_NUM_ELEMENTS = 118  # its one-hot element encodings start at hydrogen


def import_so3krates_torch(checkpoint: str | os.PathLike, elements: Sequence[int] | None = None) -> ImportedModel:
    """Reads a checkpoint file; nothing in it is executed and PyTorch is not needed.

    `elements`: atomic numbers the model was trained for; None: those whose energy scale has moved in training.

    Raises `ModelError` if the file is missing, damaged, hostile, or a network that this library does not have.
    """
    checkpoint = Path(checkpoint)
    try:
        data = checkpoint.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {checkpoint}: {os.strerror(error.errno or 0)}") from None
    return convert_so3krates_torch(data, checkpoint.name, elements)


def convert_so3krates_torch(data: bytes, name: str, elements: Sequence[int] | None = None) -> ImportedModel:
    """`import_so3krates_torch` for the bytes of a checkpoint; `name` goes into the provenance."""
    module = read_torch_module(data)
    if module.cls.name not in _MODELS:
        raise ModelError(f"the checkpoint holds a {module.cls}; known are {', '.join(_MODELS)}")
    arrays = arrays_by_name(module)
    for cls in classes_of(module):
        if "euclidean_transformer.EuclideanAttentionBlock" in cls and not cls.endswith("EuclideanAttentionBlock"):
            raise ModelError(f"the checkpoint has low-rank adapters ({cls}); fuse them into the weights first")
    settings = attributes(module)
    scales = arrays.get("atomic_energy_output_block.energy_scales.weight")
    found = trained_elements(None if scales is None else np.concatenate([[1.0], scales.reshape(-1)]), elements)
    hyperparameters = _hyperparameters(settings, arrays, found)
    parameters = Parameters(arrays, "the checkpoint")
    tensors = _Conversion(parameters, hyperparameters).run()
    parameters.ignore(_is_constant)
    parameters.check_all_used()
    return ImportedModel(hyperparameters, tensors, provenance_of(name, hashlib.sha256(data).hexdigest()))


def _is_constant(name: str) -> bool:
    """Buffers that follow from the settings, heads that are switched off, and modules filed twice."""
    parts = name.split(".")
    return (
        parts[-1] in ("degree_repeats", "cg_rep", "segment_ids", "segment_sum_matrix")
        or parts[0] == "radial_embedding"
        or parts[0] == "zbl_repulsion"
        or "euclidean_attention_block.filter_net_" in name
    )


def _hyperparameters(
    settings: Mapping[str, object], arrays: Mapping[str, np.ndarray], elements: tuple[int, ...]
) -> Hyperparameters:
    def get(name: str) -> object:
        if name not in settings:
            raise ModelError(f"the checkpoint does not tell its setting {name}")
        return settings[name]

    def or_default(name: str, default: object) -> object:
        value = settings.get(name)
        return default if value is None else value

    layers = get("final_mlp_layers")
    if layers not in (1, 2):
        raise ModelError(f"an energy head of {layers} layers; 1 or 2 are possible")
    features = get("num_features")
    # Unlike in the JAX code, an open regression dimension means the width of the features.
    hidden = or_default("energy_regression_dim", features) if layers == 2 else None
    charges = "partial_charges_output_block.atomic_embedding.weight" in arrays
    hirshfeld = "hirshfeld_output_block.v_shift_embedding.weight" in arrays
    if charges or hirshfeld:
        check_head_widths(settings.get("energy_regression_dim"), features)
    basis = get("radial_basis_fn")
    degrees = get("degrees")
    if not isinstance(degrees, (list, tuple)):
        raise ModelError("the degrees in the checkpoint are not a list")
    hyperparameters = Hyperparameters(
        num_features=features,
        num_layers=get("num_layers"),
        num_heads=get("num_heads"),
        degrees=tuple(degrees),
        cutoff=get("r_max"),
        cutoff_function=get("cutoff_fn_name"),
        cutoff_exponent=or_default("cutoff_p", 6) if get("cutoff_fn_name") == "polynomial" else 6,
        radial_basis=basis.lower() if isinstance(basis, str) else basis,
        num_radial_basis=get("num_radial_basis_fn"),
        bernstein_gamma=_bernstein_gamma(arrays),
        bessel_first=0,
        activation=get("activation_fn_name"),
        qk_activation=get("qk_non_linearity"),
        message_normalization=get("message_normalization"),
        avg_num_neighbors=or_default("avg_num_neighbors", 1.0),
        use_spherical_filter=True,
        layer_norm_1=get("layer_normalization_1"),
        layer_norm_2=get("layer_normalization_2"),
        residual_mlp_1=get("residual_mlp_1"),
        residual_mlp_2=get("residual_mlp_2"),
        use_charge_embedding=get("use_charge_embed"),
        use_spin_embedding=get("use_spin_embed"),
        euclidean_init="zero" if get("initialize_ev_to_zeros") else "neighborhood",
        energy_hidden=hidden,
        energy_activation=get("energy_activation_fn_name"),
        partial_charges=charges,
        hirshfeld_ratios=hirshfeld,
        zbl=or_default("zbl_repulsion_bool", False),
        electrostatics=or_default("electrostatic_energy_bool", False),
        electrostatics_sigma=or_default("electrostatic_energy_scale", 1.0),
        dispersion=or_default("dispersion_energy_bool", False),
        dispersion_gamma_scale=or_default("dispersion_energy_scale", 1.0),
        lr_cutoff=or_default("r_max_lr", DEFAULT_LR_CUTOFF),
        dispersion_switch_width=or_default("dispersion_energy_cutoff_lr_damping", DEFAULT_DISPERSION_SWITCH_WIDTH),
        elements=elements,
    )
    if settings.get("use_pme"):
        raise ModelError("the checkpoint uses PME electrostatics, which this library does not have")
    if hyperparameters.activation != "silu" and (get("use_charge_embed") or get("use_spin_embed")):
        raise ModelError("charge and spin embeddings have the activation silu here, not that of the checkpoint")
    _check_bessel(hyperparameters, arrays)
    return hyperparameters


def _bernstein_gamma(arrays: Mapping[str, np.ndarray]) -> float:
    gamma = arrays.get("radial_embedding.radial_basis_fn.gamma")
    if gamma is None:
        return BERNSTEIN_GAMMA
    if gamma.size != 1:
        raise ModelError("the Bernstein basis of the checkpoint has more than one gamma")
    return float(gamma.reshape(-1)[0])


def _check_bessel(hp: Hyperparameters, arrays: Mapping[str, np.ndarray]) -> None:
    frequencies = arrays.get("radial_embedding.radial_basis_fn.freqs")
    if hp.radial_basis == "bessel" and frequencies is not None:
        standard = np.arange(hp.num_radial_basis) * np.pi / hp.cutoff
        if frequencies.shape != standard.shape or not np.allclose(frequencies, standard, rtol=1e-6, atol=0):
            raise ModelError("the Bessel frequencies of the checkpoint were trained, which this library does not have")


class _Conversion:
    """Maps parameter names; Linear weights are (out, in) on both sides."""

    def __init__(self, parameters: Parameters, hyperparameters: Hyperparameters) -> None:
        self.parameters = parameters
        self.hp = hyperparameters
        self.tensors: dict[str, np.ndarray] = {}

    def copy(self, name: str, source: str) -> None:
        self.tensors[name] = np.ascontiguousarray(self.parameters.take(source))

    def dense(self, name: str, source: str) -> None:
        self.copy(f"{name}.weight", f"{source}.weight")
        self.copy(f"{name}.bias", f"{source}.bias")

    def by_element(self, name: str, rows: np.ndarray) -> None:
        if rows.shape[0] != _NUM_ELEMENTS:
            raise ModelError(f"{name} of the checkpoint has {rows.shape[0]} elements; {_NUM_ELEMENTS} are expected")
        self.tensors[name] = element_table(rows, first=1)

    def one_hot(self, name: str, source: str) -> None:
        """A Linear layer on one-hot elements is a table, transposed."""
        self.by_element(name, self.parameters.take(f"{source}.weight").T)

    def table(self, name: str, source: str) -> None:
        self.tensors[name] = element_table(self.parameters.take(f"{source}.weight"), first=0)

    def block_matrices(self, name: str, source: str) -> None:
        """This code multiplies rows from the left, x W: its matrices are (block, in, out), ours (block, out, in)."""
        self.tensors[name] = np.ascontiguousarray(self.parameters.take(source).swapaxes(-1, -2))

    def run(self) -> dict[str, np.ndarray]:
        hp = self.hp
        self.one_hot("embedding.element.weight", "inv_feature_embedding.embedding")
        for kind, used in (("charge", hp.use_charge_embedding), ("spin", hp.use_spin_embedding)):
            if used:
                source = f"{kind}_embedding"
                self.one_hot(f"embedding.{kind}.query.weight", f"{source}.Wq")
                self.copy(f"embedding.{kind}.key.weight", f"{source}.Wk")
                self.copy(f"embedding.{kind}.value.weight", f"{source}.Wv")
                self.copy(f"embedding.{kind}.residual.0.weight", f"{source}.mlp.1.weight")
                self.copy(f"embedding.{kind}.residual.1.weight", f"{source}.mlp.3.weight")
        if hp.radial_basis == "gaussian":
            self.copy("radial_basis.centers", "radial_embedding.radial_basis_fn.centers")
            self.copy("radial_basis.widths", "radial_embedding.radial_basis_fn.widths")
        for index in range(hp.num_layers):
            self.layer(f"layers.{index}", f"euclidean_transformers.{index}")
        self.heads()
        if hp.zbl:
            for name in ("a", "c"):
                parts = [self.parameters.take(f"zbl_repulsion.{name}{number}_raw") for number in (1, 2, 3, 4)]
                self.tensors[f"zbl.{name}"] = np.concatenate([part.reshape(-1) for part in parts])
            self.tensors["zbl.p"] = self.parameters.take("zbl_repulsion.p_raw").reshape(-1)
            self.tensors["zbl.d"] = self.parameters.take("zbl_repulsion.d_raw").reshape(-1)
        if hp.dispersion:
            self.tensors.update(dispersion_tables())
        return self.tensors

    def layer(self, name: str, source: str) -> None:
        hp = self.hp
        for part, theirs in (("x", "inv"), ("ev", "ev")):
            filter_net = f"{name}.attention.filter_{part}"
            for kind, mlp in (("radial", "mlp_rbf"), ("spherical", "mlp_ev")):
                self.dense(f"{filter_net}.{kind}.0", f"{source}.filter_net_{theirs}.{mlp}.0")
                self.dense(f"{filter_net}.{kind}.1", f"{source}.filter_net_{theirs}.{mlp}.{mlp}_layer_1.0")
            block = f"{source}.euclidean_attention_block"
            self.block_matrices(f"{name}.attention.query_{part}", f"{block}.W_q_{theirs}")
            self.block_matrices(f"{name}.attention.key_{part}", f"{block}.W_k_{theirs}")
        self.block_matrices(f"{name}.attention.value_x", f"{source}.euclidean_attention_block.W_v_inv")
        for number, norm, mlp in ((1, hp.layer_norm_1, hp.residual_mlp_1), (2, hp.layer_norm_2, hp.residual_mlp_2)):
            if norm:
                self.dense(f"{name}.norm_{number}", f"{source}.layer_norm_inv_{number}")
            if mlp:
                self.dense(f"{name}.mlp_{number}.0", f"{source}.mlp_{number}.1")
                self.dense(f"{name}.mlp_{number}.1", f"{source}.mlp_{number}.3")
        self.dense(f"{name}.exchange", f"{source}.interaction_block.linear_layer")

    def heads(self) -> None:
        energy = "atomic_energy_output_block"
        if self.hp.energy_hidden is not None:
            self.dense("energy.hidden", f"{energy}.layers.0")
        self.dense("energy.out", f"{energy}.final_layer")
        self.by_element("energy.scales", self.parameters.take(f"{energy}.energy_scales.weight").reshape(-1))
        shifts = self.parameters.take(f"{energy}.energy_shifts")
        # One value for all elements is the mean energy per atom of the training data. It has no bearing on forces,
        # is not part of the original model, and -164 eV per atom would drown a large system's energy in rounding.
        self.by_element("energy.shifts", np.zeros_like(shifts) if (shifts == shifts[:1]).all() else shifts)
        if self.hp.partial_charges:
            head = "partial_charges_output_block"
            self.dense("charges.hidden", f"{head}.transform_inv_features.0")
            self.dense("charges.out", f"{head}.transform_inv_features.2")
            self.table("charges.element", f"{head}.atomic_embedding")
            self.tensors["charges.element"] = self.tensors["charges.element"].reshape(-1)
        if self.hp.hirshfeld_ratios:
            head = "hirshfeld_output_block"
            self.dense("hirshfeld.hidden", f"{head}.transform_features.0")
            self.dense("hirshfeld.out", f"{head}.transform_features.2")
            self.table("hirshfeld.element_shift", f"{head}.v_shift_embedding")
            self.tensors["hirshfeld.element_shift"] = self.tensors["hirshfeld.element_shift"].reshape(-1)
            self.table("hirshfeld.element_query", f"{head}.q_embedding")
