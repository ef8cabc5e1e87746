"""SO3krates, the whole model: atoms and boxes in, energies, forces and charges out.

Sources: Frank, Unke, Müller and Chmiela, "A Euclidean transformer for fast and stable machine learned force fields",
Nat. Commun. 15, 6539 (2024); with physical terms and further heads, SO3LR: Kabylda et al., "Molecular simulations
with a pretrained neural network and universal pairwise force fields", J. Am. Chem. Soc. 147, 33723 (2025).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..hyperparameters import Hyperparameters
from ..model_file import check_tensors, expected_tensors, read_model_file, write_model_file
from ..models import resolve
from .dispersion import Dispersion
from .electrostatics import electrostatic_energy
from .embedding import Embedding
from .graph import Edges, NeighborList, displacements, neighbor_list, network_edges, sum_by
from .heads import EnergyHead, HirshfeldHead, PartialChargeHead
from .layer import Layer
from .molecules import Molecules, molecules
from .radial_basis import radial_basis
from .zbl import ZBLRepulsion

MIN_DISTANCE = 1e-4  # Å; closer atoms are taken for one atom given twice


@dataclass(frozen=True)
class Result:
    """What the model says of B molecules with N atoms in all. Energies, forces and virials are float64."""

    energy: Tensor  # (B,) eV, the sum of the parts
    energy_parts: dict[str, Tensor]  # network, zbl, electrostatics, dispersion: (B,) eV each, 0 if the model has none
    forces: Tensor | None  # (N, 3) eV/Å
    virial: Tensor | None  # (B, 3, 3) eV, minus the derivative with respect to strain, symmetric
    partial_charges: Tensor  # (N,) e; 0 if the model predicts none
    hirshfeld_ratios: Tensor  # (N,); 1 if the model predicts none
    dipole: Tensor  # (B, 3) e Å, sum of charge times position as given
    features: list[tuple[Tensor, Tensor]] | None  # x (N, F) and ev (N, M): at the start and after each layer


class SO3krates(nn.Module):
    """The network with its physical terms; parameters are named as in a model file (`docs/model_file.md`).

    Args:
        hyperparameters: the shape of the model; alone they give a model ready to be trained.
        dtype: torch.float32 or torch.float64, of the parameters and of the network's arithmetic.

    Attributes, free to change between calls:
        lr_cutoff: Å, of electrostatics and dispersion; None: no cutoff (non-periodic molecules only).
        dispersion_switch_width: Å, below lr_cutoff.
        allow_untrained_elements: whether elements outside of the hyperparameters' `elements` are accepted (if the
            tables have a row for them).
    """

    def __init__(self, hyperparameters: Hyperparameters, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype must be torch.float32 or torch.float64, not {dtype}")
        hyper = hyperparameters
        self.hyperparameters = hyper
        self.lr_cutoff = hyper.lr_cutoff
        self.dispersion_switch_width = hyper.dispersion_switch_width
        self.allow_untrained_elements = False

        self.embedding = Embedding(hyper)
        self.radial_basis = radial_basis(hyper)
        self.layers = nn.ModuleList(Layer(hyper) for _ in range(hyper.num_layers))
        self.energy = EnergyHead(hyper)
        self.charges = PartialChargeHead(hyper) if hyper.partial_charges else None
        self.hirshfeld = HirshfeldHead(hyper) if hyper.hirshfeld_ratios else None
        self.zbl = ZBLRepulsion() if hyper.zbl else None
        self.dispersion = Dispersion(hyper) if hyper.dispersion else None
        self.to(dtype)

    # -- model files -------------------------------------------------------------------------------

    @classmethod
    def load(cls, path_or_name: str | os.PathLike[str], dtype: torch.dtype = torch.float64) -> SO3krates:
        """Reads a model file: a path, or the name of an installed model.

        Raises ModelError if it cannot be used.
        """
        hyperparameters, tensors, _ = read_model_file(resolve(path_or_name))
        return cls.from_tensors(hyperparameters, tensors, dtype)

    def save(self, path: str | os.PathLike[str], provenance: Mapping[str, Any]) -> None:
        """Writes a model file; `provenance` tells where the weights come from (`docs/model_file.md`)."""
        tensors = {name: tensor.detach().cpu().numpy() for name, tensor in self.state_dict().items()}
        write_model_file(path, self.hyperparameters, tensors, provenance)

    @classmethod
    def from_tensors(
        cls,
        hyperparameters: Hyperparameters,
        tensors: Mapping[str, np.ndarray],
        dtype: torch.dtype = torch.float64,
    ) -> SO3krates:
        """A model with these numbers, named and shaped as in a model file.

        Raises ModelError if they do not fit the hyperparameters.
        """
        check_tensors(hyperparameters, tensors)
        model = cls(hyperparameters, dtype)
        own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        for name, tensor in tensors.items():
            # Assigned, not copied: element tables may have more rows than the elements need.
            own[name].data = torch.tensor(tensor, dtype=dtype)
        return model

    # -- evaluation --------------------------------------------------------------------------------

    def forward(
        self,
        atomic_numbers: Any,
        positions: Any,
        molecule: Any = None,
        *,
        cell: Any = None,
        charge: Any = 0.0,
        spin: Any = 0.0,
        neighbors: tuple[NeighborList, NeighborList | None] | None = None,
        forces: bool = True,
        virial: bool = False,
        create_graph: bool = False,
        features: bool = False,
    ) -> Result:
        """Energies of B independent molecules and, if asked, their derivatives.

        Args:
            atomic_numbers: (N,) whole numbers.
            positions: (N, 3) Å; in a box they need not be wrapped.
            molecule: (N,) the molecule each atom belongs to, 0, …, 0, 1, …, B-1; None: one molecule.
            cell: (3, 3) or (B, 3, 3) Å, rows are box vectors; None or zeros: no periodicity.
            charge: total charge in e, one number or (B,).
            spin: number of unpaired electrons, one number or (B,).
            neighbors: what `neighbor_lists` returned for these molecules, to save the search.
            forces, virial, features: whether to compute these.
            create_graph: keep the results differentiable, with respect to the parameters (training on forces) and
                to positions, cell and charge if they require gradients; otherwise they are detached when forces or
                the virial are computed.

        Raises ValueError for input that cannot be computed, naming the cause.
        """
        device = next(self.parameters()).device
        batch = molecules(atomic_numbers, positions, molecule, cell, charge, spin, device)
        self._check(batch)
        if neighbors is None:
            neighbors = self.neighbor_lists(batch)

        derivatives = forces or virial
        with torch.set_grad_enabled(torch.is_grad_enabled() or derivatives):
            r, cells = batch.positions, batch.cells
            if forces and not r.requires_grad:
                r = r.detach().requires_grad_()
            strained_r, strained_cells, strain = r, cells, None
            if virial:
                strain = torch.zeros(len(batch), 3, 3, dtype=r.dtype, device=device, requires_grad=True)
                symmetric = 0.5 * (strain + strain.mT)
                strained_r = r + torch.einsum("nx,nxy->ny", r, symmetric[batch.molecule])
                strained_cells = cells + cells @ symmetric
            parts, q, h, layers = self._energies(batch, strained_r, strained_cells, neighbors)
            energy = torch.stack(list(parts.values())).sum(0)
            gradients: list[Tensor | None] = []
            if derivatives:
                wanted = ([r] if forces else []) + ([strain] if strain is not None else [])
                gradients = list(
                    torch.autograd.grad(
                        energy.sum(), wanted, create_graph=create_graph, materialize_grads=True, allow_unused=True
                    )
                )
            dipole = sum_by(q.double().unsqueeze(-1) * r, batch.molecule, len(batch))

        result = Result(
            energy=energy,
            energy_parts=parts,
            forces=-gradients[0] if forces else None,
            virial=-gradients[-1] if virial else None,
            partial_charges=q,
            hirshfeld_ratios=h,
            dipole=dipole,
            features=layers if features else None,
        )
        return _detached(result) if derivatives and not create_graph else result

    def neighbor_lists(self, batch: Molecules) -> tuple[NeighborList, NeighborList | None]:
        """Short-range list of the network and ZBL, and long-range list (None if the model has no such term)."""
        short = neighbor_list(batch, self.hyperparameters.cutoff)
        if not (self.hyperparameters.electrostatics or self.hyperparameters.dispersion):
            return short, None
        return short, neighbor_list(batch, math.inf if self.lr_cutoff is None else self.lr_cutoff)

    def _energies(
        self, batch: Molecules, r: Tensor, cells: Tensor, neighbors: tuple[NeighborList, NeighborList | None]
    ) -> tuple[dict[str, Tensor], Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
        hyper, dtype = self.hyperparameters, self.energy.out.weight.dtype
        z, molecule, size = batch.atomic_numbers, batch.molecule, len(batch)
        charges = batch.charges.to(dtype)
        short, long = neighbors

        def by_molecule(energies: Tensor, atoms: Tensor) -> Tensor:
            return sum_by(energies.double(), molecule[atoms], size)

        vectors = displacements(r, cells, molecule, short)
        _refuse_coincident(vectors, short, molecule)
        edges = network_edges(vectors.to(dtype), short, self.radial_basis, hyper)
        x = self.embedding(z, charges, batch.spins.to(dtype), molecule)
        ev = self._initial_ev(edges, x)
        layers = [(x, ev)]
        for layer in self.layers:
            x, ev = layer(x, ev, edges)
            layers.append((x, ev))

        zero = torch.zeros(size, dtype=torch.float64, device=r.device)
        parts = dict.fromkeys(("network", "zbl", "electrostatics", "dispersion"), zero)
        parts["network"] = sum_by(self.energy(x, z).double(), molecule, size)
        q = torch.zeros_like(x[:, 0]) if self.charges is None else self.charges(x, z, charges, molecule)
        h = torch.ones_like(x[:, 0]) if self.hirshfeld is None else self.hirshfeld(x, z)
        if self.zbl is not None:
            i, j = short.receivers, short.senders
            parts["zbl"] = by_molecule(self.zbl(z[i].to(dtype), z[j].to(dtype), edges.distances, edges.cutoff), i)
        if long is not None:
            i, j = long.receivers, long.senders
            distances = torch.linalg.vector_norm(displacements(r, cells, molecule, long).to(dtype), dim=-1)
            if hyper.electrostatics:
                pairs = electrostatic_energy(q[i], q[j], distances, hyper.electrostatics_sigma, self.lr_cutoff)
                parts["electrostatics"] = by_molecule(pairs, i)
            if self.dispersion is not None:
                pairs = self.dispersion(z, h, i, j, distances, self.lr_cutoff, self.dispersion_switch_width)
                parts["dispersion"] = by_molecule(pairs, i)
        return parts, q, h, layers

    def _initial_ev(self, edges: Edges, x: Tensor) -> Tensor:
        """Euclidean variables at the start: zero, or the neighborhood's shape (Eq. 11 of the SO3krates paper)."""
        hyper = self.hyperparameters
        if hyper.euclidean_init == "zero":
            return x.new_zeros(len(x), hyper.num_euclidean)
        weighted = edges.cutoff.unsqueeze(-1) * edges.spherical_harmonics
        return sum_by(weighted, edges.receivers, len(x)) / hyper.avg_num_neighbors

    def _check(self, batch: Molecules) -> None:
        for name, optional in (("lr_cutoff", True), ("dispersion_switch_width", False)):
            value = getattr(self, name)
            if not (value is None and optional) and not (
                isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf
            ):
                raise ValueError(
                    f"{name} must be a positive number of Å{' or None' if optional else ''}, not {value!r}"
                )
        z = batch.atomic_numbers
        trained = torch.tensor(self.hyperparameters.elements, device=z.device)
        shapes = expected_tensors(self.hyperparameters)
        rows = min(len(tensor) for name, tensor in self.state_dict().items() if shapes[name][0] is None)
        known = (z >= 1) & (z < rows)
        if self.dispersion is not None:
            known &= self.dispersion.polarizability[z.clamp(0, rows - 1)] > 0
        usable = known if self.allow_untrained_elements else known & torch.isin(z, trained)
        if not usable.all():
            atom = int(torch.nonzero(~usable)[0])
            has_row = bool(known[atom])
            raise ValueError(
                f"atom {atom} has atomic number {int(z[atom])}, "
                + ("which the model was not trained on" if has_row else "which the model does not know")
                + f"; it was trained on {', '.join(map(str, self.hyperparameters.elements))}"
                + (" (set allow_untrained_elements to compute it nevertheless)" if has_row else "")
            )


def _refuse_coincident(vectors: Tensor, neighbors: NeighborList, molecule: Tensor) -> None:
    close = (vectors.detach() ** 2).sum(-1) < MIN_DISTANCE**2
    if not close.any():
        return
    edge = int(torch.nonzero(close)[0])
    i, j = int(neighbors.receivers[edge]), int(neighbors.senders[edge])
    image = " (or its periodic image)" if neighbors.shifts[edge].any() else ""
    raise ValueError(
        f"atoms {i} and {j}{image} of molecule {int(molecule[i])} are at the same place; remove one or move them apart"
    )


def _detached(result: Result) -> Result:
    def detach(value: Tensor | None) -> Tensor | None:
        return None if value is None else value.detach()

    return Result(
        energy=result.energy.detach(),
        energy_parts={name: part.detach() for name, part in result.energy_parts.items()},
        forces=detach(result.forces),
        virial=detach(result.virial),
        partial_charges=result.partial_charges.detach(),
        hirshfeld_ratios=result.hirshfeld_ratios.detach(),
        dipole=result.dipole.detach(),
        features=None if result.features is None else [(x.detach(), ev.detach()) for x, ev in result.features],
    )
