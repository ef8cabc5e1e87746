"""SO3kratesForce on OpenMM's real CUDA platform (openmm-cuda-12 and -13) without a GPU.

A pretended driver (stub_gpu.cpp) executes the engine's kernels on the CPU, and does by hand what the compiled gather
and scatter would do, which the tests on OpenCL execute.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from random_models import hyperparameters, random_model
from stubs import HERE, ROOT
from test_cuda_potential import ODD


def _compile(*arguments: str) -> None:
    done = subprocess.run(["g++", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def fetched_plugin(package: str, platform: str, folder: Path) -> Path:
    """The library of one of OpenMM's platforms, of the same version as OpenMM, from its wheel."""
    wheels = ROOT / "build" / "wheels"
    version = metadata.version("openmm")
    requirement = f"openmm-{package}=={version}"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(wheels), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            f"{requirement} cannot be downloaded: {done.stderr.strip().splitlines()[-1]}"
        )
    (wheel,) = wheels.glob(f"openmm_{package.replace('-', '_')}-{version}-*.whl")
    inside = f"OpenMM.libs/lib/plugins/libOpenMM{platform}.so"
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(inside, folder)
    return Path(shutil.move(folder / inside, folder))


def stub_library(folder: Path, soname: str, functions: dict[str, list[str]]) -> None:
    """A library whose functions only fail; functions: names by the version of the symbols, "" for none."""
    source, versions = folder / f"{soname}.cpp", folder / f"{soname}.versions"
    names = [name for group in functions.values() for name in group]
    source.write_text("".join(f'extern "C" int {name}() {{ return 1; }}\n' for name in names))
    versions.write_text("".join(f"{v} {{ global: {'; '.join(n)}; }};\n" for v, n in functions.items() if v))
    script = [f"-Wl,--version-script,{versions}"] if any(functions) else []
    _compile("-fPIC", "-shared", f"-Wl,-soname,{soname}", *script, source, "-o", folder / soname)


@pytest.fixture(scope="module", params=[12, 13])
def plugin(request, tmp_path_factory) -> Path:
    """libOpenMMCUDA.so with what it is linked to beside it: the pretended GPU, NVRTC, and a cuFFT that only fails."""
    folder = tmp_path_factory.mktemp(f"cuda{request.param}")
    library = fetched_plugin(f"cuda-{request.param}", "CUDA", folder)
    _compile("-std=c++17", "-O1", "-fPIC", "-shared", HERE / "stub_gpu.cpp", "-o", folder / "libcuda.so.1", "-ldl")
    symbols = subprocess.run(["nm", "-D", "--undefined-only", str(library)], capture_output=True, text=True).stdout
    (soname,) = set(re.findall(r"@(libcufft\.so\.\d+)", symbols))
    stub_library(folder, soname, {soname: sorted(set(re.findall(r" (cufft\w+)@", symbols)))})
    nvrtc = f"libnvrtc.so.{request.param}"
    versions = folder / "nvrtc.versions"
    versions.write_text(f"{nvrtc} {{ global: *; }};\n")
    flags = ["-std=c++17", "-fPIC", "-shared", "-fvisibility=hidden", f"-DSTUB_MAJOR={request.param}"]
    flags.append(f"-Wl,-soname,{nvrtc},--version-script,{versions}")
    _compile(*flags, HERE / "stub_libnvrtc.cpp", "-o", folder / nvrtc)
    return library


@pytest.fixture
def run(plugin, emulated, tmp_path):
    """run(**environment): the results of on_pretended_gpu.py."""
    model = tmp_path / "odd.safetensors"
    random_model(hyperparameters(**ODD, zbl=True)).save(model, provenance={"source": "random numbers"})

    def run_script(**environment: str) -> dict:
        folder = plugin.parent
        env = {
            **os.environ,
            "LD_LIBRARY_PATH": str(folder),
            "LD_BIND_NOW": "1",  # every symbol of our library must be there
            "SO3KRATES_NVRTC": str(next(folder.glob("libnvrtc.so.*"))),
            "SO3KRATES_HOME": str(tmp_path / "home"),
            "SO3KRATES_EMULATED": emulated("odd_double").__file__,
            "OPENMM_CACHE_DIR": str(tmp_path),  # what is compiled here must not stay
            **environment,
        }
        script = [sys.executable, HERE / "on_pretended_gpu.py", plugin, folder / "libcuda.so.1", model, tmp_path]
        done = subprocess.run(list(map(str, script)), env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.split("RESULTS ")[1])

    return run_script


def test_contexts_on_the_cuda_platform(run):
    """Energies, forces and charges as on Reference; one graph each with and without forces; nothing left behind."""
    results = run()
    assert results["first_error"] == ""
    for kind in ("molecule", "periodic"):
        result = results[kind]
        assert max(result["errors"]) < 1e-8, kind
        assert re.match(r"CUDA Pretended GPU, sm_90 double, exact radial networks", result["implementations"][0])
        assert [", CUDA graph" in text for text in result["implementations"]] == [False, False, True, True, True, True]
        assert result["graph_launches"] >= 4
        assert "at the same place" in result["message"]
        assert result["leaks"] == ""
        assert result["current_contexts"] == 0
    assert results["two_contexts_leaks"] == ""
    assert results["contexts_cleared"] == 5
    # A pair whose nearest image neither the model nor the force field computes.
    assert [bool(message) for message in results["images"]] == [False, True, False]
    assert "is too small for this region" in results["images"][1]


NO_GPU = """
import sys, openmm
openmm.Platform.loadPluginLibrary(sys.argv[1])
from openmm_so3krates import SO3kratesForce, _openmm
assert _openmm.supports("CUDA")
system = openmm.System()
system.addParticle(16)
system.addForce(SO3kratesForce(sys.argv[2], atomic_numbers=[8]))
try:
    openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("CUDA"))
except openmm.OpenMMException as error:
    print(error)
print(openmm.Context(system, openmm.VerletIntegrator(0.001)).getPlatform().getName())
"""


def test_without_a_gpu(plugin, tmp_path):
    """The library loads, OpenMM says what is missing and chooses another platform by default."""
    model = tmp_path / "odd.safetensors"
    random_model(hyperparameters(**ODD)).save(model, provenance={"source": "random numbers"})
    env = {
        **os.environ,
        "LD_LIBRARY_PATH": str(plugin.parent),
        "LD_BIND_NOW": "1",
        "SO3KRATES_NO_GPU": "1",
        "OCL_ICD_VENDORS": str(tmp_path),  # no OpenCL
    }
    env.pop("OPENMM_DEFAULT_PLATFORM", None)
    command = [sys.executable, "-c", NO_GPU, str(plugin), str(model)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    message, chosen = done.stdout.splitlines()[-2:]
    assert "CUDA" in message
    assert chosen == "CPU"


def test_without_graphs(run):
    results = run(SO3KRATES_CUDA_GRAPHS="0")
    assert results["captures"] == 0
    assert results["first_error"] == ""
    for kind in ("molecule", "periodic"):
        assert max(results[kind]["errors"]) < 1e-8
        assert not any("graph" in text for text in results[kind]["implementations"])


def test_events_that_come_too_early(run):
    """What the host is told of a replay's lists is never that of the evaluation before."""
    results = run(SO3KRATES_LATE_GRAPHS="1")
    assert results["first_error"] == ""
    for kind in ("molecule", "periodic"):
        assert max(results[kind]["errors"]) < 1e-8
        assert results[kind]["graph_launches"] >= 4
        assert "at the same place" in results[kind]["message"]


def test_hip_library_loads(tmp_path):
    """HIP has nothing but this: all symbols are there, and the force is known to OpenMM's real HIP platform."""
    library = fetched_plugin("hip-7", "HIP", tmp_path)
    symbols = subprocess.run(["nm", "-D", "--undefined-only", str(library)], capture_output=True, text=True).stdout
    for soname, pattern in (("libamdhip64.so.7", r" (hip(?!rtc)\w+)@(\S+)"), ("libhiprtc.so.7", r" (hiprtc\w+)()")):
        found = sorted(set(re.findall(pattern, symbols)))
        stub_library(tmp_path, soname, {version: [n for n, v in found if v == version] for _, version in found})
    script = (
        "import sys, openmm; openmm.Platform.loadPluginLibrary(sys.argv[1])\n"
        "from openmm_so3krates import platforms; import openmm_so3krates.force\n"
        "print(platforms.supported(), platforms.problems)"
    )
    env = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "LD_BIND_NOW": "1"}
    command = [sys.executable, "-c", script, str(library)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "'HIP'" in done.stdout and done.stdout.strip().endswith("{}")
