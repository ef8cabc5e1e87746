"""The choices that make one SO3krates network different from another.

Every model file names each of them (`docs/model_file.md`); the PyTorch model
(`openmm_so3krates.model`) and the compiled engine (`kernels/model/model.h`) read the same names.
Lengths are in Å and energies in eV: the model's side of the library knows no other units.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass

RADIAL_BASES = ("bernstein", "gaussian", "physnet", "bessel")
CUTOFF_FUNCTIONS = ("phys", "cosine", "polynomial", "exponential")
ACTIVATIONS = ("identity", "silu", "softplus", "tanh", "relu")
MESSAGE_NORMALIZATIONS = ("identity", "sqrt_num_features", "avg_num_neighbors")
EUCLIDEAN_INITS = ("zero", "neighborhood")

# 1/2 Bohr^-1 in 1/Å, rounded to float32 as the code that trained SO3LR did.
BERNSTEIN_GAMMA = 0.9448630809783936


class ModelError(ValueError):
    """A model file or its settings cannot be used; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Hyperparameters:
    """Everything about a SO3krates model but its trained numbers.

    The defaults are the original SO3krates network (Frank et al., Nat. Commun. 2024) with Bernstein
    basis; `elements` are the atomic numbers the model was trained for.

    Raises `ModelError` when a value is out of range or two values do not fit together.
    """

    num_features: int = 128
    num_layers: int = 3
    num_heads: int = 4
    degrees: tuple[int, ...] = (1, 2, 3, 4)
    cutoff: float = 5.0  # Å
    cutoff_function: str = "phys"
    cutoff_exponent: int = 6  # p of cutoff_function "polynomial"
    radial_basis: str = "bernstein"
    num_radial_basis: int = 32
    bernstein_gamma: float = BERNSTEIN_GAMMA  # 1/Å
    bessel_first: int = 1  # lowest n of radial_basis "bessel"; 0 for imported models (identically zero)
    activation: str = "silu"
    qk_activation: str = "identity"
    message_normalization: str = "avg_num_neighbors"
    avg_num_neighbors: float = 1.0
    use_spherical_filter: bool = True
    layer_norm_1: bool = True
    layer_norm_2: bool = True
    residual_mlp_1: bool = True
    residual_mlp_2: bool = False
    use_charge_embedding: bool = False
    use_spin_embedding: bool = False
    euclidean_init: str = "zero"  # "neighborhood": Eq. 11 of the paper, uses avg_num_neighbors
    energy_hidden: int | None = 128
    energy_activation: str = "silu"
    partial_charges: bool = False  # head, with charge conservation
    hirshfeld_ratios: bool = False  # head
    zbl: bool = False
    electrostatics: bool = False  # needs partial_charges
    electrostatics_sigma: float = 4.0  # Å, damping length
    dispersion: bool = False  # needs hirshfeld_ratios
    dispersion_gamma_scale: float = 1.2
    lr_cutoff: float | None = 12.0  # Å, default of the long-range terms; None: no cutoff
    dispersion_switch_width: float = 2.0  # Å, below lr_cutoff
    elements: tuple[int, ...] = (1, 6, 7, 8)

    def __post_init__(self) -> None:
        object.__setattr__(self, "degrees", tuple(self.degrees))
        object.__setattr__(self, "elements", tuple(self.elements))
        self._check()

    # -- derived -------------------------------------------------------------------------------

    @property
    def num_degrees(self) -> int:
        return len(self.degrees)

    @property
    def num_euclidean(self) -> int:
        """M = sum over degrees of 2l+1: components of one atom's Euclidean variables."""
        return sum(2 * degree + 1 for degree in self.degrees)

    @property
    def num_spherical_hidden(self) -> int:
        return self.num_features // 4

    @property
    def max_atomic_number(self) -> int:
        return max(self.elements)

    def message_scale(self, num_blocks: int) -> float:
        """What every attention coefficient is multiplied with; `num_blocks`: number of heads or of degrees."""
        if self.message_normalization == "identity":
            return 1.0
        if self.message_normalization == "sqrt_num_features":
            return 1.0 / math.sqrt(self.num_features // num_blocks)
        return 1.0 / self.avg_num_neighbors

    # -- JSON ----------------------------------------------------------------------------------

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Hyperparameters:
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"the model's hyperparameters are not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise ModelError("the model's hyperparameters must be a JSON object")
        names = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - names)
        missing = sorted(names - set(values))
        if unknown or missing:
            raise ModelError(
                "the model's hyperparameters do not fit this version of openmm-so3krates"
                + (f"; unknown: {', '.join(unknown)}" if unknown else "")
                + (f"; missing: {', '.join(missing)}" if missing else "")
            )
        try:
            return cls(**values)
        except TypeError as error:
            raise ModelError(f"a hyperparameter has the wrong type: {error}") from None

    # -- checks --------------------------------------------------------------------------------

    def _check(self) -> None:
        def require(condition: bool, message: str) -> None:
            if not condition:
                raise ModelError(message)

        def whole(name: str, low: int, high: int) -> None:
            value = getattr(self, name)
            require(
                isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
                f"{name} must be a whole number from {low} to {high}, not {value!r}",
            )

        def positive(name: str, high: float = 1e6) -> None:
            value = getattr(self, name)
            require(
                isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= high,
                f"{name} must be a positive number up to {high:g}, not {value!r}",
            )

        def choice(name: str, options: tuple[str, ...]) -> None:
            value = getattr(self, name)
            require(value in options, f"{name} must be one of {', '.join(options)}, not {value!r}")

        for field in dataclasses.fields(self):
            if field.type == "bool":
                value = getattr(self, field.name)
                require(isinstance(value, bool), f"{field.name} must be true or false, not {value!r}")
        whole("num_features", 4, 4096)
        whole("num_layers", 1, 64)
        whole("num_heads", 1, self.num_features)
        whole("num_radial_basis", 2, 512)
        whole("cutoff_exponent", 2, 64)
        whole("bessel_first", 0, 1)
        positive("cutoff", 100.0)
        positive("bernstein_gamma")
        positive("avg_num_neighbors")
        positive("electrostatics_sigma")
        positive("dispersion_gamma_scale")
        positive("dispersion_switch_width", 100.0)
        if self.lr_cutoff is not None:
            positive("lr_cutoff", 1000.0)
        if self.energy_hidden is not None:
            whole("energy_hidden", 1, 4096)
        choice("radial_basis", RADIAL_BASES)
        choice("cutoff_function", CUTOFF_FUNCTIONS)
        choice("activation", ACTIVATIONS)
        choice("qk_activation", ACTIVATIONS)
        choice("energy_activation", ACTIVATIONS)
        choice("message_normalization", MESSAGE_NORMALIZATIONS)
        choice("euclidean_init", EUCLIDEAN_INITS)
        require(
            len(self.degrees) > 0
            and all(type(degree) is int and 0 <= degree <= 4 for degree in self.degrees)
            and list(self.degrees) == sorted(set(self.degrees)),
            f"degrees must be different whole numbers from 0 to 4 in rising order, not {list(self.degrees)}",
        )
        require(
            len(self.elements) > 0
            and all(type(z) is int and 1 <= z <= 118 for z in self.elements)
            and list(self.elements) == sorted(set(self.elements)),
            "elements must be different atomic numbers from 1 to 118 in rising order",
        )
        require(
            self.num_features % self.num_heads == 0 and self.num_features % len(self.degrees) == 0,
            f"num_features ({self.num_features}) must be divisible by num_heads ({self.num_heads}) "
            f"and by the number of degrees ({len(self.degrees)})",
        )
        require(not self.electrostatics or self.partial_charges, "electrostatics needs the partial_charges head")
        require(not self.dispersion or self.hirshfeld_ratios, "dispersion needs the hirshfeld_ratios head")
        require(
            not self.hirshfeld_ratios or self.num_features % 2 == 0,
            "the hirshfeld_ratios head needs an even num_features",
        )
