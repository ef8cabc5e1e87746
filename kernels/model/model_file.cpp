#include "model/model_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <tuple>

#include "model/cache_folder.h"
#include "model/json.h"
#include "model/sha256.h"

// The container is safetensors: eight bytes with the length of a JSON header (little-endian), the header, the
// numbers. Checks and messages are those of openmm_so3krates/model_file.py.

namespace so3krates {

namespace {

constexpr std::uint64_t maxFileBytes = 4ull << 30;
constexpr std::uint64_t maxHeaderBytes = 16ull << 20;
const std::string formatName = "openmm-so3krates";
const std::string formatVersion = "1";

struct Entry {
    std::string name;
    const Json *description;
    std::uint64_t begin, end; // bytes after the header
};

std::string inQuotes(const std::string &text) { return "'" + text.substr(0, 80) + "'"; }

std::string shapeText(const std::vector<int> &shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); i++)
        text += (i ? ", " : "") + (shape[i] == elementRows ? std::string("rows") : std::to_string(shape[i]));
    return text + "]";
}

Json parseHeader(const std::string &bytes, std::uint64_t &dataStart) {
    if (bytes.size() < 8)
        throw ModelError("the file is too short to be a model file");
    std::uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | (unsigned char)bytes[i];
    if (length > maxHeaderBytes)
        throw ModelError("this is not a safetensors file (its header would be larger than any model's)");
    if (length > bytes.size() - 8)
        throw ModelError("the file ends within its header: it is truncated or not a safetensors file");
    dataStart = 8 + length;
    Json header = parseJson(std::string_view(bytes).substr(8, length));
    if (header.type != Json::Type::Object)
        throw ModelError("the header is not a JSON object: the file is damaged");
    return header;
}

std::map<std::string, std::string> readMetadata(const Json &header) {
    const Json *metadata = header.find("__metadata__");
    std::map<std::string, std::string> strings;
    if (metadata != nullptr)
        for (const auto &[name, value] : metadata->members) {
            if (value.type != Json::Type::String)
                throw ModelError("the metadata of the model file are not all strings");
            strings[name] = value.string;
        }
    if (strings["format"] != formatName)
        throw ModelError("this is a safetensors file but not a model of openmm-so3krates");
    if (strings["format_version"] != formatVersion)
        throw ModelError("model file format version " + inQuotes(strings["format_version"]) +
                         "; this version of openmm-so3krates reads version " + formatVersion);
    bool good = true;
    try {
        good = parseJson(strings["provenance"]).type == Json::Type::Object;
    } catch (const ModelError &) {
        good = false;
    }
    if (!good)
        throw ModelError("the provenance in the model file is not a JSON object");
    return strings;
}

const Json &describe(const Entry &entry, const std::string &name, Json::Type type) {
    const Json *value = entry.description->find(name);
    if (value == nullptr || value->type != type)
        throw ModelError("the header describes tensor " + inQuotes(entry.name) + " without a proper " + name);
    return *value;
}

std::uint64_t toOffset(const Json &value, std::uint64_t size) {
    if (!value.isWhole || value.number < 0 || value.number > (double)size)
        throw ModelError("the file is damaged or truncated: a tensor lies beyond its end");
    return (std::uint64_t)value.number;
}

// The tensors as the header lists them; together they fill the file without gap or overlap.
std::vector<Entry> readEntries(const Json &header, std::uint64_t dataSize) {
    std::vector<Entry> entries;
    for (const auto &[name, description] : header.members) {
        if (name == "__metadata__")
            continue;
        Entry entry{name, &description, 0, 0};
        const Json &offsets = describe(entry, "data_offsets", Json::Type::Array);
        if (offsets.items.size() != 2)
            throw ModelError("the header describes tensor " + inQuotes(name) + " without a proper data_offsets");
        entry.begin = toOffset(offsets.items[0], dataSize);
        entry.end = toOffset(offsets.items[1], dataSize);
        entries.push_back(entry);
    }
    std::sort(entries.begin(), entries.end(),
              [](const Entry &a, const Entry &b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
    std::uint64_t position = 0;
    for (const Entry &entry : entries) {
        if (entry.begin != position || entry.end < entry.begin)
            throw ModelError("the file is damaged: tensor " + inQuotes(entry.name) +
                             " overlaps another or leaves a gap");
        position = entry.end;
    }
    if (position != dataSize)
        throw ModelError("the file is damaged or truncated: its tensors do not fill it");
    return entries;
}

void checkNames(const std::vector<Entry> &entries, const std::map<std::string, std::vector<int>> &expected) {
    std::map<std::string, std::vector<int>> missing = expected;
    for (const Entry &entry : entries) {
        if (expected.count(entry.name) == 0)
            throw ModelError("the model's tensors do not fit its hyperparameters; unknown: " + inQuotes(entry.name));
        missing.erase(entry.name);
    }
    if (!missing.empty())
        throw ModelError("the model's tensors do not fit its hyperparameters; missing: " + missing.begin()->first);
}

std::vector<int> readShape(const Entry &entry, const std::vector<int> &expected, int minRows) {
    const Json &sizes = describe(entry, "shape", Json::Type::Array);
    std::vector<int> shape;
    for (const Json &size : sizes.items) {
        if (!size.isWhole || size.number < 0 || size.number > 1e9 || shape.size() == 8)
            throw ModelError("the header describes tensor " + inQuotes(entry.name) + " without a proper shape");
        shape.push_back((int)size.number);
    }
    bool good = shape.size() == expected.size();
    for (std::size_t i = 0; good && i < shape.size(); i++)
        good = expected[i] == elementRows || shape[i] == expected[i];
    if (!good)
        throw ModelError("tensor " + entry.name + " has shape " + shapeText(shape) + ", expected " +
                         shapeText(expected));
    if (expected[0] == elementRows && (shape[0] < minRows || shape[0] > maxRows))
        throw ModelError("tensor " + entry.name + " has " + std::to_string(shape[0]) +
                         " rows; one per atomic number, from " + std::to_string(minRows) + " to " +
                         std::to_string(maxRows) + ", is needed");
    return shape;
}

// By the bits, so that it also holds in a build with -ffast-math.
template <typename Bits> bool isFinite(Bits bits, Bits exponent) { return (bits & exponent) != exponent; }

template <typename Number, typename Bits>
void readNumbers(const char *source, Tensor &tensor, Bits exponent, const std::string &name) {
    for (std::size_t i = 0; i < tensor.data.size(); i++) {
        Bits bits;
        Number number;
        std::memcpy(&bits, source + i * sizeof(Bits), sizeof(Bits));
        std::memcpy(&number, source + i * sizeof(Bits), sizeof(Bits));
        if (!isFinite(bits, exponent))
            throw ModelError("tensor " + name + " holds values that are not finite numbers");
        tensor.data[i] = (double)number;
    }
}

// `shape` has been checked, so its product is small.
Tensor readTensor(const Entry &entry, std::vector<int> shape, const char *data) {
    const std::string &type = describe(entry, "dtype", Json::Type::String).string;
    if (type != "F32" && type != "F64")
        throw ModelError("tensor " + entry.name + " has type " + inQuotes(type) + "; F32 and F64 are possible");
    const std::uint64_t width = type == "F32" ? 4 : 8;
    std::uint64_t count = 1;
    for (int size : shape)
        count *= (std::uint64_t)size;
    if (entry.end - entry.begin != count * width)
        throw ModelError("the file is damaged: tensor " + entry.name + " has " +
                         std::to_string(entry.end - entry.begin) + " bytes, its shape asks for " +
                         std::to_string(count * width));
    Tensor tensor;
    tensor.shape = std::move(shape);
    tensor.data.resize(count);
    if (width == 4)
        readNumbers<float, std::uint32_t>(data + entry.begin, tensor, 0x7f800000u, entry.name);
    else
        readNumbers<double, std::uint64_t>(data + entry.begin, tensor, 0x7ff0000000000000ull, entry.name);
    return tensor;
}

void checkValues(const Hyperparameters &hyper, const std::map<std::string, Tensor> &tensors) {
    if (hyper.radialBasis == RadialBasis::Gaussian)
        for (double width : tensors.at("radial_basis.widths").data)
            if (width == 0)
                throw ModelError("tensor radial_basis.widths holds a zero");
    if (hyper.dispersion)
        for (const char *name : {"dispersion.polarizability", "dispersion.c6"})
            for (int element : hyper.elements)
                if (!(tensors.at(name).data[element] > 0))
                    throw ModelError(std::string("tensor ") + name +
                                     " must be positive for each of the model's elements");
}

bool isPath(const std::string &name) {
    const std::string ending = ".safetensors";
    return name.find('/') != std::string::npos ||
           (name.size() >= ending.size() && name.compare(name.size() - ending.size(), ending.size(), ending) == 0);
}

std::string readFile(const std::string &path) {
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status))
        throw ModelError("No such file or directory");
    if (!fs::is_regular_file(status))
        throw ModelError("it is not a file");
    const std::uintmax_t size = fs::file_size(path, error);
    if (error)
        throw ModelError(error.message());
    if (size > maxFileBytes)
        throw ModelError("it is larger than any model file may be (4 GiB)");
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw ModelError(std::strerror(errno));
    std::string bytes((std::size_t)size, '\0');
    if (size > 0 && !file.read(&bytes[0], (std::streamsize)size))
        throw ModelError("it cannot be read to its end");
    return bytes;
}

} // namespace

std::string Model::resolve(const std::string &name) {
    return isPath(name) ? name : cacheFolder() + "/" + name + ".safetensors";
}

std::shared_ptr<const Model> Model::load(const std::string &name) {
    if (name.empty())
        throw ModelError("no model named: give the name of an installed model (so3lr) or the path of a model file");
    const std::string path = resolve(name);
    std::error_code error;
    if (!isPath(name) && !std::filesystem::exists(path, error))
        throw ModelError("no model " + inQuotes(name) + " is installed (there is no " + path +
                         "): run 'so3krates install " + name + "', or give the path of a model file");
    std::string bytes;
    try {
        bytes = readFile(path);
    } catch (const ModelError &reason) {
        throw ModelError("cannot read the model file " + path + ": " + reason.what());
    }
    return fromBytes(std::move(bytes), name);
}

std::shared_ptr<const Model> Model::fromBytes(std::string bytes, const std::string &name) {
    std::shared_ptr<Model> model(new Model);
    model->modelName = name;
    try {
        std::uint64_t dataStart = 0;
        const Json header = parseHeader(bytes, dataStart);
        model->meta = readMetadata(header);
        model->hyper = readHyperparameters(model->meta["hyperparameters"]);
        const std::vector<Entry> entries = readEntries(header, bytes.size() - dataStart);
        const auto expected = expectedTensors(model->hyper);
        checkNames(entries, expected);
        for (const Entry &entry : entries) {
            const int minRows = model->hyper.elements.back() + 1;
            std::vector<int> shape = readShape(entry, expected.at(entry.name), minRows);
            model->tensors[entry.name] = readTensor(entry, std::move(shape), bytes.data() + dataStart);
        }
        checkValues(model->hyper, model->tensors);
    } catch (const ModelError &error) {
        throw ModelError(name + ": " + error.what());
    }
    model->hash = so3krates::sha256(bytes);
    model->fileBytes = std::move(bytes);
    return model;
}

} // namespace so3krates
