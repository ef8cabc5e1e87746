// The Python module _openmm: what openmm_so3krates/force.py needs of SO3kratesForce.
//
// OpenMM's Python classes are made by SWIG. The proxy of a new force is made by SWIG as well, by
// XmlSerializer.deserialize, so that ownership and System.addForce work as for OpenMM's own forces; the address of
// the C++ object is then read from the proxy (`int(proxy.this)`).

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <typeinfo>

#include "cuda_evaluation.h"
#include "openmm/Context.h"
#include "openmm/OpenMMException.h"
#include "openmm/Platform.h"
#include "openmm/serialization/SerializationProxy.h"
#include "register.h"
#include "so3krates_force.h"
#include "so3krates_kernel.h"
#include "system_checks.h"

namespace py = pybind11;
using OpenMM::OpenMMException;
using SO3kratesPlugin::SO3kratesForce;
using SO3kratesPlugin::SO3kratesPrediction;

static std::string minorVersion(const std::string &version) {
    return version.substr(0, version.find('.', version.find('.') + 1));
}

static void requireCompiledVersion() {
    const std::string &found = OpenMM::Platform::getOpenMMVersion();
    if (minorVersion(found) != minorVersion(SO3KRATES_OPENMM_VERSION))
        throw py::import_error("it was compiled against OpenMM " SO3KRATES_OPENMM_VERSION ", not " + found);
}

// Not a static object: one would outlive the interpreter.
static py::object openmmClass(const char *name) { return py::module_::import("openmm").attr(name); }

template <class T> static T *pointer(py::handle proxy, const char *className) {
    if (!py::isinstance(proxy, openmmClass(className)))
        throw py::type_error(std::string("an openmm.") + className + " is needed, not a " +
                             py::str(py::type::of(proxy).attr("__name__")).cast<std::string>());
    return reinterpret_cast<T *>(py::int_(proxy.attr("this")).cast<std::uintptr_t>());
}

static SO3kratesForce *find(py::handle proxy) {
    return dynamic_cast<SO3kratesForce *>(pointer<OpenMM::Force>(proxy, "Force"));
}

static SO3kratesForce &get(py::handle proxy) {
    if (SO3kratesForce *force = find(proxy))
        return *force;
    throw py::type_error("this force is not a SO3kratesForce");
}

// --- new forces ---------------------------------------------------------------------------------------------------

// Deserialises to the force that create() has just made.
class HandOverProxy : public OpenMM::SerializationProxy {
public:
    static constexpr const char *TYPE = "SO3kratesForceHandOver";
    static thread_local std::unique_ptr<SO3kratesForce> force;
    HandOverProxy() : OpenMM::SerializationProxy(TYPE) {}
    void serialize(const void *, OpenMM::SerializationNode &) const override {
        throw OpenMMException("SO3kratesForceHandOver is never written");
    }
    void *deserialize(const OpenMM::SerializationNode &) const override {
        if (!force)
            throw OpenMMException("SO3kratesForceHandOver is not a force that can be read");
        return static_cast<OpenMM::Force *>(force.release());
    }
};
thread_local std::unique_ptr<SO3kratesForce> HandOverProxy::force;

// Runs what refuses bad arguments by OpenMMException, which Python calls a ValueError.
template <class Function> static void checked(const Function &function) {
    try {
        function();
    } catch (const OpenMMException &error) {
        throw py::value_error(error.what());
    }
}

static py::object create(const std::string &model, std::vector<int> atomicNumbers, std::vector<int> particles) {
    checked([&] {
        HandOverProxy::force = std::make_unique<SO3kratesForce>(model, std::move(atomicNumbers), std::move(particles));
    });
    const std::string xml = std::string("<Force type=\"") + HandOverProxy::TYPE + "\" version=\"1\"/>";
    return openmmClass("XmlSerializer").attr("deserialize")(xml);
}

// --- settings -----------------------------------------------------------------------------------------------------

static void setPrecision(SO3kratesForce &force, const std::string &name) {
    using Precision = SO3kratesForce::Precision;
    force.setPrecision(name == "single"   ? Precision::Single
                       : name == "double" ? Precision::Double
                                          : Precision::Automatic);
}

static const char *getPrecision(const SO3kratesForce &force) {
    using Precision = SO3kratesForce::Precision;
    const Precision precision = force.getPrecision();
    return precision == Precision::Single ? "single" : precision == Precision::Double ? "double" : "auto";
}

// --- predictions --------------------------------------------------------------------------------------------------

static py::array_t<double> array(const std::vector<double> &values) {
    return py::array_t<double>((py::ssize_t)values.size(), values.data());
}

// kJ/mol, e, e nm
static py::dict getPrediction(py::handle force, py::handle context) {
    const SO3kratesForce &own = get(force);
    OpenMM::Context &where = *pointer<OpenMM::Context>(context, "Context");
    const SO3kratesPrediction prediction = [&] {
        py::gil_scoped_release others; // other threads go on, as they do while OpenMM computes
        return own.getPrediction(where);
    }();
    py::dict result, parts;
    parts["network"] = prediction.network;
    parts["zbl"] = prediction.zbl;
    parts["electrostatics"] = prediction.electrostatics;
    parts["dispersion"] = prediction.dispersion;
    result["energy_parts"] = parts;
    result["partial_charges"] = array(prediction.partialCharges);
    result["hirshfeld_ratios"] = array(prediction.hirshfeldRatios);
    result["dipole"] = array({prediction.dipole[0], prediction.dipole[1], prediction.dipole[2]});
    return result;
}

// --- warnings and errors ------------------------------------------------------------------------------------------

// Warnings reach Python's warnings module; one that the user has made an error stops what caused it.
static void warnInPython(const std::string &message) {
    py::gil_scoped_acquire gil;
    // 2: the line that made the Context, not OpenMM's own wrapper.
    if (PyErr_WarnEx(PyExc_UserWarning, message.c_str(), 2) != 0) {
        PyErr_Clear();
        throw OpenMMException(message);
    }
}

static void translateExceptions(std::exception_ptr pointer) {
    try {
        if (pointer)
            std::rethrow_exception(pointer);
    } catch (const so3krates::ModelError &error) {
        py::set_error(py::module_::import("openmm_so3krates.hyperparameters").attr("ModelError"), error.what());
    } catch (const OpenMMException &error) {
        py::set_error(openmmClass("OpenMMException"), error.what());
    }
}

PYBIND11_MODULE(_openmm, m) {
    requireCompiledVersion();
    SO3kratesPlugin::registerSO3krates();
    OpenMM::SerializationProxy::registerProxy(typeid(HandOverProxy), new HandOverProxy());
    SO3kratesPlugin::setWarningHandler(warnInPython);
    py::module_::import("atexit").attr("register")(py::cpp_function([] {
        SO3kratesPlugin::setWarningHandler(nullptr); // no Python to warn any more
    }));
    py::register_local_exception_translator(translateExceptions);

    m.attr("openmm_version") = SO3KRATES_OPENMM_VERSION;
    m.def("create", &create, py::arg("model"), py::arg("atomic_numbers"), py::arg("particles"));
    m.def(
        "supports",
        [](const std::string &platform) {
            return OpenMM::Platform::getPlatformByName(platform).supportsKernels(
                {SO3kratesPlugin::CalcSO3kratesForceKernel::Name()});
        },
        py::arg("platform"), "Whether SO3kratesForce is known to a platform that OpenMM has loaded.");
    m.def("set_nvrtc_folders", &SO3kratesPlugin::setNvrtcFolders, py::arg("folders"),
          "Where to look for NVIDIA's run-time compiler first; this library's engine is not that of _engine.");
    m.def("is_so3krates", [](py::handle force) { return find(force) != nullptr; });
    m.def("get_model_name", [](py::handle force) { return get(force).getModel().name(); });
    m.def("get_model_hash", [](py::handle force) { return get(force).getModel().sha256(); });
    m.def("get_model_file", [](py::handle force) { return py::bytes(get(force).getModel().bytes()); });
    m.def("get_elements", [](py::handle force) { return get(force).getModel().hyperparameters().elements; });
    m.def("get_atomic_numbers", [](py::handle force) { return get(force).getAtomicNumbers(); });
    m.def("get_particles", [](py::handle force) { return get(force).getParticles(); });
    m.def("get_bonds", [](py::handle force) { return get(force).getBonds(); });
    m.def("set_bonds", [](py::handle force, std::vector<std::pair<int, int>> bonds) { get(force).setBonds(bonds); });
    m.def("get_charge", [](py::handle force) { return get(force).getCharge(); });
    m.def("set_charge", [](py::handle force, double value) { checked([&] { get(force).setCharge(value); }); });
    m.def("get_spin", [](py::handle force) { return get(force).getSpin(); });
    m.def("set_spin", [](py::handle force, double value) { checked([&] { get(force).setSpin(value); }); });
    m.def("get_scale", [](py::handle force) { return get(force).getScale(); });
    m.def("set_scale", [](py::handle force, double value) { checked([&] { get(force).setScale(value); }); });
    m.def("get_scale_parameter", [](py::handle force) { return get(force).getScaleParameter(); });
    m.def("get_scale_parameter_default", [](py::handle force) { return get(force).getScaleParameterDefault(); });
    m.def("set_scale_parameter", [](py::handle force, const std::string &name, double defaultValue) {
        checked([&] { get(force).setScaleParameter(name, defaultValue); });
    });
    m.def("has_energy_parameter_derivative",
          [](py::handle force) { return get(force).hasEnergyParameterDerivative(); });
    m.def("add_energy_parameter_derivative", [](py::handle force, const std::string &name) {
        checked([&] { get(force).addEnergyParameterDerivative(name); });
    });
    m.def("get_prediction", &getPrediction);
    m.def("get_implementation", [](py::handle force, py::handle context) {
        return get(force).getImplementation(*pointer<OpenMM::Context>(context, "Context"));
    });
    m.def("get_lr_cutoff", [](py::handle force) { return get(force).getLRCutoff(); });
    m.def("set_lr_cutoff", [](py::handle force, double value) { checked([&] { get(force).setLRCutoff(value); }); });
    m.def("get_dispersion_switch_width", [](py::handle force) { return get(force).getDispersionSwitchWidth(); });
    m.def("set_dispersion_switch_width",
          [](py::handle force, double value) { checked([&] { get(force).setDispersionSwitchWidth(value); }); });
    m.def("set_periodic", [](py::handle force, bool value) { get(force).setUsesPeriodicBoundaryConditions(value); });
    m.def("get_precision", [](py::handle force) { return getPrecision(get(force)); });
    m.def("set_precision", [](py::handle force, const std::string &name) { setPrecision(get(force), name); });
    m.def("get_allow_untrained_elements", [](py::handle force) { return get(force).getAllowUntrainedElements(); });
    m.def("set_allow_untrained_elements",
          [](py::handle force, bool value) { get(force).setAllowUntrainedElements(value); });
    m.def("get_embed_model", [](py::handle force) { return get(force).getEmbedModel(); });
    m.def("set_embed_model", [](py::handle force, bool value) { get(force).setEmbedModel(value); });
    m.def("update_parameters_in_context", [](py::handle force, py::handle context) {
        get(force).updateParametersInContext(*pointer<OpenMM::Context>(context, "Context"));
    });
}
