"""`so3krates benchmark --profile`: the engine's stage times, the operations by formula, the table and the chart."""

import json
import sys
import time

import numpy as np
import pytest
import torch
from cases import load_case
from random_models import PHYSICS, hyperparameters, random_model
from torch.utils.flop_counter import FlopCounterMode

from openmm_so3krates import Potential, cli
from openmm_so3krates.benchmark import measure
from openmm_so3krates.benchmark.flops import stage_flops
from openmm_so3krates.model_file import read_model_file

sys.path.append(str(measure._RUNNERS))
import profile_runner


@pytest.mark.parametrize("threads", [1, 2])
def test_stage_times(so3lr, threads):
    """Every stage is there, they add up to the call, and timing them changes no bit of the result."""
    case = load_case("water_64_lr6")
    potential = Potential(so3lr, lr_cutoff=case.lr_cutoff, threads=threads)
    arguments = (case.atomic_numbers, case.positions, case.cell)
    before = potential.compute(*arguments)
    began = time.perf_counter()
    stages = potential.time_stages(*arguments)
    wall = time.perf_counter() - began
    after = potential.compute(*arguments)
    assert before.energy == after.energy
    np.testing.assert_array_equal(before.forces, after.forces)
    seconds = sum(time for _, _, time in stages)
    assert all(time >= 0 for _, _, time in stages) and 0.2 * wall < seconds <= wall
    layers = [layer for stage, layer, _ in stages if stage == "attention backward"]
    assert layers == [2, 1, 0]
    assert potential._engine.stage_times == stages  # the last call did not time its stages
    # every stage that a number of operations is known for has run
    names = {(stage, layer) for stage, layer, _ in stages}
    assert set(stage_flops(read_model_file(so3lr)[0], 192, 4000, 8000)) <= names


@pytest.mark.parametrize("mlps", [(True, False), (False, True), (True, True)])
def test_operations_of_the_atoms(mlps):
    """Without any pair: the formulas against PyTorch's own count of matrix products in the reference model."""
    h = hyperparameters(
        **{**PHYSICS, "num_layers": 3, "energy_hidden": 24, "residual_mlp_1": mlps[0], "residual_mlp_2": mlps[1]}
    )
    model = random_model(h)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model([8] * 8, 100.0 * np.arange(24).reshape(8, 3), forces=False)
    F = h.num_features
    flops = stage_flops(h, atoms=8, pairs=0, far_pairs=0)
    forward = sum(n for (stage, _), n in flops.items() if stage == "first q, k, v" or stage.startswith("atom forward"))
    forward -= 8 * 2 * F * h.energy_hidden  # the energy's gradient, which PyTorch was not asked for
    forward -= 8 * 3 * 8 * F * (h.layer_norm_1 + h.layer_norm_2)  # no matrix products
    assert forward == pytest.approx(counter.get_total_flops(), rel=0.02)


@pytest.mark.parametrize("name", ["aladip", "water_64_lr6", "water_512_lr10"])
def test_count_pairs(name):
    case = load_case(name)
    assert profile_runner.count_pairs(case.positions, 4.5, case.cell) == case.num_edges_short
    assert profile_runner.count_pairs(case.positions, case.lr_cutoff, case.cell) == case.num_edges_long


def test_profile(so3lr, tmp_path, capsys):
    output = tmp_path / "profile.json"
    arguments = ["--sizes", "22", "42", "112", "--threads", "1", "--repeats", "3", "--seconds", "0.1"]
    assert cli.main(["benchmark", "--profile", "--model", str(so3lr), *arguments, "-o", str(output)]) == 0
    text = capsys.readouterr().out
    report = json.loads(output.read_text())
    assert [one["atoms"] for one in report["profiles"]] == [22, 42, 112]
    for one in report["profiles"]:
        assert one["total_ms"] == pytest.approx(sum(stage["ms"] for stage in one["stages"]))
        assert one["total_ms"] < 2 * one["call_ms"] and one["peak_gflops"] > 0.1
    assert {fit["stage"] for fit in report["fits"]} >= {"attention forward", "atom forward", "long range"}
    assert "attention backward" in text and "t = a + b N" in text
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
