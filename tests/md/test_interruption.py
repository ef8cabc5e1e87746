"""Runs killed, stopped and starved of disk space, in processes of their own, and continued."""

import csv
import signal
import time

import mdtraj
import numpy as np
import pytest

STEPS = 4000
COMMON = ["--steps", STEPS, "--save-every", 20, "--seed", 7, "--platform", "CPU", "--threads", 1]


def log_of(folder) -> list[list[str]]:
    """All columns but the speed."""
    with open(folder / "log.csv") as file:
        return [row[:-1] for row in csv.reader(file)]


def wait_for_lines(process, path, count, seconds=60.0):
    """Until the log has `count` lines; False if the process ended first."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    raise AssertionError(f"{path} did not get {count} lines")


def frames_of(folder, suffix) -> mdtraj.Trajectory:
    return mdtraj.load(str(folder / f"trajectory.{suffix}"), top=str(folder / "minimized.pdb"))


def finish(process) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.slow
@pytest.mark.parametrize(
    "ensemble, suffix, checkpoint_every", [("nve", "dcd", 0), ("nvt", "xtc", 0), ("nvt", "dcd", 0.2)]
)
def test_killed_run_continues_to_the_same_end(springs_process, peptide, tmp_path, ensemble, suffix, checkpoint_every):
    """kill -9 several times, then on to the end: the very bytes of a run that nobody disturbed."""
    options = [*COMMON, "--ensemble", ensemble, "--format", suffix]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    status, _, err = finish(springs_process(peptide, "--output", whole, *options))
    assert status == 0, err
    arguments = [peptide, "--output", killed, *options]
    kills = 0
    for lines in (2, 40, 90, 150):
        process = springs_process(*arguments, "--checkpoint-every", checkpoint_every)
        if wait_for_lines(process, killed / "log.csv", lines):
            process.send_signal(signal.SIGKILL)
            kills += finish(process)[0] == -signal.SIGKILL
        arguments = ["--resume", "--output", killed]
    assert kills >= 2
    status, _, err = finish(springs_process("--resume", "--output", killed))
    assert status == 0, err
    assert log_of(killed) == log_of(whole)
    assert len(log_of(killed)) == 1 + STEPS // 20 + 1
    assert (killed / f"trajectory.{suffix}").read_bytes() == (whole / f"trajectory.{suffix}").read_bytes()
    assert len(frames_of(killed, suffix)) == STEPS // 20 + 1
    assert not list(killed.glob(".*.part"))


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_stops_after_the_step_and_says_how_to_go_on(springs_process, peptide, tmp_path, number, status):
    folder = tmp_path / "run"
    process = springs_process(peptide, "--output", folder, *COMMON, "--steps", 10**7)
    assert wait_for_lines(process, folder / "log.csv", 5)
    process.send_signal(number)
    code, out, err = finish(process)
    assert code == status, err
    assert f"so3krates md --resume --output {folder}" in out and "stopped at step" in out and "Traceback" not in err
    with np.load(folder / "checkpoint.npz") as checkpoint:
        assert b'"stage": "production"' in checkpoint["header"].tobytes()
    lines = len(log_of(folder))
    stopped = int(out.split("stopped at step ")[1].split()[0])
    assert lines == 2 + stopped // 20  # nothing that was written is lost
    longer = stopped + 100
    code, out, err = finish(springs_process("--resume", "--output", folder, "--steps", longer))
    assert code == 0, err
    steps = [int(row[0]) for row in log_of(folder)[1:]]
    assert steps == list(range(0, longer + 1, 20))
    assert len(frames_of(folder, "dcd")) == len(steps)


def test_second_process_is_kept_out(springs_process, peptide, tmp_path):
    folder = tmp_path / "run"
    first = springs_process(peptide, "--output", folder, *COMMON, "--steps", 10**7)
    assert wait_for_lines(first, folder / "log.csv", 2)
    status, _, err = finish(springs_process("--resume", "--output", folder))
    assert status == 2 and "another process is running in" in err


@pytest.mark.parametrize(
    "suffix, limit, file",
    [("dcd", 30_000, "trajectory.dcd"), ("xtc", 15_000, "trajectory.xtc"), ("dcd", 6_000, ""), ("dcd", 4_000, "")],
)
def test_full_disk(springs_process, peptide, tmp_path, suffix, limit, file):
    """No file may grow beyond the limit: the run stops with the reason, what is there is valid, and it can go on."""
    folder = tmp_path / "run"
    process = springs_process(
        peptide, "--output", folder, *COMMON, "--format", suffix, "--checkpoint-every", 0, FILE_SIZE_LIMIT=str(limit)
    )
    status, _, err = finish(process)
    assert status == 2 and "Traceback" not in err
    message = err.splitlines()[-1]
    assert f"cannot write {folder}/{file}" in message and "File too large" in message
    assert f"continue with: so3krates md --resume --output {folder}" in message
    if file:
        frames = frames_of(folder, suffix)
        assert 0 < len(frames) < STEPS // 20 and np.isfinite(frames.xyz).all()
    status, _, err = finish(springs_process("--resume", "--output", folder))
    assert status == 0, err
    assert [int(row[0]) for row in log_of(folder)[1:]] == list(range(0, STEPS + 1, 20))
    assert len(frames_of(folder, suffix)) == STEPS // 20 + 1
