"""SO3kratesForce as XML and in copies; the identity of the model's file; when the force is known to OpenMM."""

import copy
import os
import pickle
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import openmm
import pytest
from cases import load_case
from openmm import unit
from openmm_helpers import case_context, energy_of, forces_of, make_context, make_force, make_system

import openmm_so3krates
from openmm_so3krates import SO3kratesForce


def other_model(so3lr, path: Path) -> Path:
    """A file of the same model but for the last bit of its last number's mantissa."""
    content = bytearray(Path(so3lr).read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)
    return path


def full_force(model) -> SO3kratesForce:
    """No setting at its default."""
    force = SO3kratesForce(
        model,
        atomic_numbers=[8, 1, 1, 11],
        atoms=[5, 0, 3, 2],
        charge=-1.5,
        spin=2,
        lr_cutoff=1.0 / 3,
        dispersion_switch_width=0.1,
        periodic=True,
        precision="double",
        embed_model=True,
        allow_untrained_elements=True,
        scale=-1.0 / 3,
        scale_parameter='λ "of" <all>',
        scale_parameter_default=0.25,
    )
    force.addEnergyParameterDerivative('λ "of" <all>')
    force.setName('a "name" & <more>')
    force.setForceGroup(7)
    return force


def settings_of(force: SO3kratesForce) -> dict:
    with_arguments = {"getPrediction", "getImplementation", "getEnergyParameterDerivativeName"}
    getters = [name for name in dir(SO3kratesForce) if name.startswith("get") and name not in with_arguments]
    return {name: getattr(force, name)() for name in [*getters, "usesPeriodicBoundaryConditions"]}


@pytest.mark.parametrize(
    "duplicate",
    [
        lambda force: SO3kratesForce(openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(force))),
        lambda force: SO3kratesForce(openmm.XmlSerializer.clone(force)),
        copy.copy,
        copy.deepcopy,
        lambda force: pickle.loads(pickle.dumps(force)),
    ],
    ids=["xml", "clone", "copy", "deepcopy", "pickle"],
)
def test_every_setting_survives(so3lr, duplicate):
    topology_bonds = SO3kratesForce(so3lr, atomic_numbers=[1, 1])
    for force in (full_force(so3lr), topology_bonds):
        again = duplicate(force)
        assert type(again) is SO3kratesForce
        assert settings_of(again) == settings_of(force)
        again.setCharge(5)
        assert force.getCharge() != 5 * unit.elementary_charge


def test_no_cutoff_survives(so3lr):
    assert copy.deepcopy(SO3kratesForce(so3lr, atomic_numbers=[1], lr_cutoff=None)).getLRCutoff() is None


@pytest.mark.parametrize(
    "duplicate",
    [
        lambda system: openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system)),
        copy.deepcopy,
        lambda system: pickle.loads(pickle.dumps(system)),
    ],
    ids=["xml", "deepcopy", "pickle"],
)
def test_a_copied_system_computes_the_same(so3lr, duplicate):
    case = load_case("water_64_lr6")
    system = make_system(case)
    system.addForce(make_force(so3lr, case))
    again = duplicate(system)
    first, second = make_context(system, case.positions), make_context(again, case.positions)
    assert energy_of(second) == energy_of(first)
    assert (forces_of(second) == forces_of(first)).all()
    assert SO3kratesForce(again.getForce(0)).getModelHash() == SO3kratesForce(system.getForce(0)).getModelHash()


def in_new_process(code: str, *arguments, **environment) -> subprocess.CompletedProcess:
    """Runs Python code that imports the package this process has imported."""
    package = Path(openmm_so3krates.__file__).parents[1]
    path = os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": path} | environment
    return subprocess.run(command, capture_output=True, text=True, cwd=tempfile.gettempdir(), env=environment)


READ = """
import sys, openmm, openmm_so3krates
force = openmm_so3krates.SO3kratesForce(openmm.XmlSerializer.deserialize(open(sys.argv[1], encoding="utf-8").read()))
print(force.getModelName(), force.getModelHash())
"""


def test_xml_holds_name_and_hash(so3lr, tmp_path):
    force = SO3kratesForce(so3lr, atomic_numbers=[1, 8])
    xml = openmm.XmlSerializer.serialize(force)
    assert len(xml) < 2000
    assert f'name="{so3lr}"' in xml and force.getModelHash() in xml
    (tmp_path / "force.xml").write_text(xml)
    result = in_new_process(READ, tmp_path / "force.xml")
    assert result.stdout.split() == [str(so3lr), force.getModelHash()], result.stderr


def test_another_file_under_that_name_is_refused(so3lr, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(Path(so3lr).read_bytes())
    force = SO3kratesForce(path, atomic_numbers=[1])
    (tmp_path / "force.xml").write_text(openmm.XmlSerializer.serialize(force))
    other_hash = SO3kratesForce(other_model(so3lr, path), atomic_numbers=[1]).getModelHash()
    assert other_hash != force.getModelHash()
    result = in_new_process(READ, tmp_path / "force.xml")
    assert result.returncode != 0
    message = result.stderr.splitlines()[-1]
    for part in (str(path), force.getModelHash(), other_hash, "put the original file in its place", "embed_model=True"):
        assert part in message


def test_a_missing_model_is_named(so3lr, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(Path(so3lr).read_bytes())
    force = SO3kratesForce(path, atomic_numbers=[1])
    (tmp_path / "force.xml").write_text(openmm.XmlSerializer.serialize(force))
    path.unlink()
    result = in_new_process(READ, tmp_path / "force.xml")
    assert result.returncode != 0
    message = result.stderr.splitlines()[-1]
    assert str(path) in message and force.getModelHash() in message and "could not be loaded" in message


def test_a_model_in_use_needs_no_file(so3lr, tmp_path):
    path = other_model(so3lr, tmp_path / "model.safetensors")
    force = SO3kratesForce(path, atomic_numbers=[1])
    path.unlink()
    assert copy.deepcopy(force).getModelHash() == force.getModelHash()
    xml = openmm.XmlSerializer.serialize(force)
    del force
    with pytest.raises(openmm.OpenMMException, match="could not be loaded"):
        openmm.XmlSerializer.deserialize(xml)


def test_an_embedded_model_needs_no_file(so3lr, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(Path(so3lr).read_bytes())
    force = SO3kratesForce(path, atomic_numbers=[1], embed_model=True)
    (tmp_path / "force.xml").write_text(openmm.XmlSerializer.serialize(force))
    path.unlink()
    result = in_new_process(READ + "assert force.getEmbedModel()", tmp_path / "force.xml")
    assert result.stdout.split() == [str(path), force.getModelHash()], result.stderr


def test_a_damaged_embedded_model_is_refused(so3lr, tmp_path):
    xml = openmm.XmlSerializer.serialize(SO3kratesForce(so3lr, atomic_numbers=[1], embed_model=True))
    other = SO3kratesForce(other_model(so3lr, tmp_path / "other.safetensors"), atomic_numbers=[1], embed_model=True)
    other_file = re.search('file="([^"]*)"', openmm.XmlSerializer.serialize(other)).group(1)
    exchanged = re.sub('file="[^"]*"', f'file="{other_file}"', xml)
    for text, reason in [
        (exchanged, "but the copy embedded in it has " + other.getModelHash()),
        (re.sub('file="(.{8})', 'file="*', xml), "the copy embedded in it is damaged: not valid base64"),
        (re.sub('file="[^"]*"', 'file="AAAA"', xml), "the copy embedded in it is damaged"),
    ]:
        (tmp_path / "force.xml").write_text(text)
        result = in_new_process(READ, tmp_path / "force.xml")
        assert result.returncode != 0
        assert reason in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["модель für 水.safetensors", "a&b <c> \"d\" 'e'.safetensors"])
def test_any_path_can_be_the_name(so3lr, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(Path(so3lr).read_bytes())
    force = SO3kratesForce(path, atomic_numbers=[1])
    (tmp_path / "force.xml").write_text(openmm.XmlSerializer.serialize(force), encoding="utf-8")
    result = in_new_process(READ + "assert force.getModelName() == sys.argv[2]", tmp_path / "force.xml", path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('version="2"', 'version="3"', "the XML is of version 3, this library reads versions 1 to 2"),
        ('version="2"', 'version="0"', "the XML is of version 0, this library reads versions 1 to 2"),
        ('scale="1"', 'scale="NaN"', "scale must be a finite number"),
        ('scaleParameterDefault="1"', 'scaleParameterDefault="NaN"', "default of the scale parameter must be a finite"),
        ('energyParameterDerivative="0"', 'energyParameterDerivative="1"', "this force has no scale parameter"),
        ('precision="auto"', 'precision="half"', "unknown precision 'half'"),
        ('z="8"', 'z="800"', "atomic number 800"),
        ('charge="0"', 'charge="NaN"', "charge must be a finite number"),
        ('spin="0"', 'spin="-1"', "spin must be a finite number .*, 0 or more"),
        ('spin="0"', 'spin="NaN"', "spin must be a finite number"),
        ('z="8"', 'z="118"', "atomic number 118, for which the model .* has no numbers"),
    ],
)
def test_refused_xml(so3lr, old, new, message):
    xml = openmm.XmlSerializer.serialize(SO3kratesForce(so3lr, atomic_numbers=[1, 8]))
    # The first version is that of XML itself.
    head, body = xml.split("?>", 1)
    assert old in body
    with pytest.raises(openmm.OpenMMException, match=message):
        openmm.XmlSerializer.deserialize(head + "?>" + body.replace(old, new))


def test_version_1_knew_no_scale(so3lr):
    force = SO3kratesForce(so3lr, atomic_numbers=[1, 8], charge=-1)
    xml = openmm.XmlSerializer.serialize(force)
    old = re.sub(' (scale|scaleParameter|scaleParameterDefault|energyParameterDerivative)="[^"]*"', "", xml)
    old = old.replace('version="2"', 'version="1"')
    assert len(old) < len(xml) - 80
    assert settings_of(SO3kratesForce(openmm.XmlSerializer.deserialize(old))) == settings_of(force)


def test_the_hand_over_is_no_way_in():
    with pytest.raises(openmm.OpenMMException, match="not a force that can be read"):
        openmm.XmlSerializer.deserialize('<Force type="SO3kratesForceHandOver" version="1"/>')


def test_importing_the_package_is_light():
    code = "import sys, openmm_so3krates; print([name for name in ('openmm', 'torch', 'numpy') if name in sys.modules])"
    result = in_new_process(code)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("imports", ["import openmm, openmm_so3krates", "import openmm_so3krates.force, openmm"])
def test_xml_can_be_read_after(so3lr, tmp_path, imports):
    force = SO3kratesForce(so3lr, atomic_numbers=[1, 8])
    (tmp_path / "force.xml").write_text(openmm.XmlSerializer.serialize(force))
    code = f"import sys\n{imports}\nprint(openmm.XmlSerializer.deserialize(open(sys.argv[1]).read()).getName())"
    result = in_new_process(code, tmp_path / "force.xml")
    assert result.stdout.strip() == "SO3kratesForce", result.stderr


def test_another_minor_version_of_openmm_is_refused(tmp_path):
    """A library loaded before OpenMM claims another version."""
    source = tmp_path / "version.cpp"
    source.write_text(
        "#include <string>\n"
        "namespace OpenMM { struct Platform { static const std::string& getOpenMMVersion(); };\n"
        'const std::string& Platform::getOpenMMVersion() { static const std::string v = "9.9.0"; return v; } }\n'
    )
    library = tmp_path / "version.so"
    subprocess.run(["c++", "-shared", "-fPIC", "-o", library, source], check=True)
    code = "import openmm, openmm_so3krates\nopenmm_so3krates.SO3kratesForce"
    result = in_new_process(code, LD_PRELOAD=str(library))
    assert result.returncode != 0
    message = result.stderr.splitlines()[-1]
    assert message.startswith("ImportError: SO3kratesForce cannot be used with OpenMM")
    assert f"compiled against OpenMM {openmm.Platform.getOpenMMVersion()}, not 9.9.0" in message


def test_single_precision_survives_in_a_context(so3lr):
    case = load_case("ethanol")
    single = case_context(so3lr, case, precision="single")
    again = openmm.XmlSerializer.clone(single.getSystem())
    assert energy_of(make_context(again, case.positions)) == energy_of(single)
    assert energy_of(single) != energy_of(case_context(so3lr, case, precision="double"))
