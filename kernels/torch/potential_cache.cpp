#include "torch/potential_cache.h"

#include <algorithm>
#include <vector>

#include "cuda/cuda_potential.h"
#include "cuda/driver/nvidia_device.h"
#include "cuda/kernel_options.h"
#include "input_checks.h"
#include "model/json.h"

namespace so3krates::torch {

namespace {

// More than anyone computes with in turn, few enough that trying many models does not fill the memory.
constexpr size_t MAX_POTENTIALS = 8;

struct Entry {
    std::string description;
    Precision precision;
    std::optional<int> gpu;
    std::shared_ptr<SharedPotential> potential;
};

// The last used first. Never destroyed: at the end of a process its threads may be gone already.
std::vector<Entry> &entries() {
    static auto *list = new std::vector<Entry>;
    return *list;
}

std::mutex &entriesMutex() {
    static auto *mutex = new std::mutex;
    return *mutex;
}

const Json &member(const Json &object, const std::string &name, Json::Type type, bool orNull = false) {
    const Json *value = object.find(name);
    if (!value || !(value->type == type || (orNull && value->type == Json::Type::Null)))
        throw InputError("the model's description has no usable '" + name +
                         "'; it was made by another version of openmm_so3krates, or not by "
                         "openmm_so3krates.torch.describe_model");
    return *value;
}

// A potential that is part of a graph. Its memory is what the graph's replays read and write, and calls outside of the
// graph would change it, so from the recording on it is the graph's alone and lives as long.
struct Recorded {
    unsigned long long recording;
    void *stream;
    std::shared_ptr<cuda::Device> device;
    std::unique_ptr<cuda::DevicePotential> potential;
    std::shared_ptr<const std::atomic<bool>> ended;
};

// Not part of a SharedPotential, which may be forgotten before a graph is. Never destroyed, as entries().
std::vector<Recorded> &recorded() {
    static auto *list = new std::vector<Recorded>;
    return *list;
}

std::mutex &recordedMutex() {
    static auto *mutex = new std::mutex;
    return *mutex;
}

// Memory of graphs that are gone. Not while a graph is recorded: memory may not be released then.
void releaseEnded() {
    std::lock_guard<std::mutex> lock(recordedMutex());
    std::vector<Recorded> &list = recorded();
    list.erase(std::remove_if(list.begin(), list.end(), [](const Recorded &r) { return r.ended->load(); }), list.end());
}

std::shared_ptr<const Model> loadModel(const Description &description, const std::string &embeddedFile) {
    const bool embedded = !embeddedFile.empty();
    std::shared_ptr<const Model> model =
        embedded ? Model::fromBytes(embeddedFile, description.model) : Model::load(description.model);
    if (model->sha256() != description.sha256)
        throw ModelError("the model '" + description.model + "' has the SHA-256 " + model->sha256() +
                         ", but this was made with " + description.sha256 +
                         ": put that file back, or make the module or force anew with this one");
    return model;
}

} // namespace

SharedPotential::SharedPotential(std::shared_ptr<const Model> model, const Options &options, int threads,
                                 std::optional<int> gpu)
    : team(gpu ? 1 : threads) {
    if (!gpu) {
        potential = Potential::create(std::move(model), options);
        return;
    }
    this->options = completeOptions(*model, options);
    cuda::NvidiaOptions where;
    where.index = gpu;
    device = cuda::NvidiaDevice::open(cuda::kernelMacros(model->hyperparameters(), this->options.precision), where);
    this->model = std::move(model);
}

void SharedPotential::compute(const System &system, const Results &results) {
    std::lock_guard<std::mutex> lock(mutex);
    potential->compute(system, results, team.get());
}

void SharedPotential::refuseFork() const {
    if (team.forked())
        throw InputError("a potential on a GPU does not survive fork(): start processes with the method 'spawn'");
}

void SharedPotential::compute(const System &system, const cuda::DeviceTensors &tensors) {
    std::lock_guard<std::mutex> lock(mutex);
    refuseFork();
    releaseEnded();
    if (!devicePotential)
        devicePotential = cuda::makeCudaPotential(model, options, device, cuda::graphHeadroom);
    cuda::compute(*devicePotential, *device, system, tensors);
}

void SharedPotential::record(const System &system, const cuda::DeviceTensors &tensors,
                             const cuda::CallersRecording &recording) {
    std::lock_guard<std::mutex> lock(mutex);
    refuseFork();
    std::lock_guard<std::mutex> lockRecorded(recordedMutex());
    // Called again in the same recording, as in a graph of several steps: on one stream they run in turn.
    for (Recorded &known : recorded())
        if (known.recording == recording.number && known.stream == tensors.stream && known.device == device &&
            cuda::canRecord(*known.potential, system, tensors))
            return cuda::record(*known.potential, *device, system, tensors);
    if (!devicePotential || !cuda::canRecord(*devicePotential, system, tensors))
        refuseFirstCallInGraph();
    const std::shared_ptr<const std::atomic<bool>> ended = cuda::endOf(recording);
    recorded().push_back({recording.number, tensors.stream, device, std::move(devicePotential), ended});
    cuda::record(*recorded().back().potential, *device, system, tensors);
}

void refuseFirstCallInGraph() {
    throw InputError(
        "a CUDA graph is recorded, and the operator was not called directly before with the same model, "
        "atoms, charge, spin and choice of virial, and cell if it is on the CPU: call it once outside of the "
        "graph, which takes over the memory of that call. openmm-torch does, as often as its property "
        "CUDAGraphWarmupSteps says");
}

Description readDescription(const std::string &text) {
    Json object;
    try {
        object = parseJson(text);
    } catch (const ModelError &error) {
        throw InputError(std::string("the model's description is not valid: ") + error.what());
    }
    if (object.type != Json::Type::Object)
        throw InputError("the model's description must be a JSON object");
    Description description;
    description.model = member(object, "model", Json::Type::String).string;
    description.sha256 = member(object, "sha256", Json::Type::String).string;
    const std::string precision = member(object, "precision", Json::Type::String).string;
    if (precision == "single")
        description.precision = Precision::Single;
    else if (precision == "double")
        description.precision = Precision::Double;
    else if (precision != "auto")
        throw InputError("precision must be 'auto', 'single' or 'double', not '" + precision + "'");
    const Json &cutoff = member(object, "lr_cutoff", Json::Type::Number, true);
    description.options.lrCutoff =
        cutoff.type == Json::Type::Null ? std::numeric_limits<double>::infinity() : cutoff.number;
    const Json &width = member(object, "dispersion_switch_width", Json::Type::Number, true);
    if (width.type == Json::Type::Number)
        description.options.dispersionSwitchWidth = width.number;
    const Json &threads = member(object, "threads", Json::Type::Number);
    if (!threads.isWhole || threads.number < 0 || threads.number > 4096)
        throw InputError("threads must be a whole number from 0 to 4096");
    description.threads = (int)threads.number;
    description.options.radialTable = member(object, "radial_table", Json::Type::Bool).boolean;
    description.options.allowUntrainedElements = member(object, "allow_untrained_elements", Json::Type::Bool).boolean;
    return description;
}

std::shared_ptr<SharedPotential> findPotential(const std::string &description, Precision precision,
                                               std::optional<int> gpu,
                                               const std::function<std::string()> &embeddedFile) {
    std::lock_guard<std::mutex> lock(entriesMutex());
    std::vector<Entry> &list = entries();
    auto found = std::find_if(list.begin(), list.end(), [&](const Entry &entry) {
        return entry.precision == precision && entry.gpu == gpu && entry.description == description;
    });
    if (found != list.end()) {
        std::rotate(list.begin(), found, found + 1);
        return list.front().potential;
    }
    if (!embeddedFile)
        return nullptr;
    const Description read = readDescription(description);
    Options options = read.options;
    options.precision = read.precision.value_or(precision);
    auto potential = std::make_shared<SharedPotential>(loadModel(read, embeddedFile()), options, read.threads, gpu);
    list.insert(list.begin(), {description, precision, gpu, potential});
    if (list.size() > MAX_POTENTIALS)
        list.pop_back();
    return potential;
}

} // namespace so3krates::torch
