#include "model/model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "model/json.h"
#include "model/model_file.h"

namespace so3krates {

namespace {

void require(bool condition, const std::string &message) {
    if (!condition)
        throw ModelError(message);
}

// Takes the members of a JSON object one by one, with their types and ranges.
class Fields {
public:
    explicit Fields(const Json &object) : object(object) {}

    int whole(const std::string &name, int low, int high) {
        const Json &value = take(name);
        require(value.isWhole && value.number >= low && value.number <= high,
                name + " must be a whole number from " + std::to_string(low) + " to " + std::to_string(high));
        return (int)value.number;
    }

    double positive(const std::string &name, int high = 1000000) {
        const Json &value = take(name);
        require(value.type == Json::Type::Number && value.number > 0 && value.number <= high,
                name + " must be a positive number up to " + std::to_string(high));
        return value.number;
    }

    bool flag(const std::string &name) {
        const Json &value = take(name);
        require(value.type == Json::Type::Bool, name + " must be true or false");
        return value.boolean;
    }

    bool isNull(const std::string &name) { return take(name).type == Json::Type::Null; }

    // The enumerators of Choice are in the order of `options`.
    template <typename Choice> Choice choice(const std::string &name, const std::vector<std::string> &options) {
        const Json &value = take(name);
        std::string list;
        for (std::size_t i = 0; i < options.size(); i++) {
            if (value.type == Json::Type::String && value.string == options[i])
                return (Choice)i;
            list += (i ? ", " : "") + options[i];
        }
        throw ModelError(name + " must be one of " + list);
    }

    std::vector<int> risingNumbers(const std::string &name, int low, int high) {
        const Json &value = take(name);
        bool good = value.type == Json::Type::Array && !value.items.empty();
        std::vector<int> numbers;
        for (const Json &item : value.items) {
            good = good && item.isWhole && item.number >= low && item.number <= high &&
                   (numbers.empty() || item.number > numbers.back());
            if (good)
                numbers.push_back((int)item.number);
        }
        require(good, name + " must be different whole numbers from " + std::to_string(low) + " to " +
                          std::to_string(high) + " in rising order");
        return numbers;
    }

    void checkAllTaken() const {
        for (const auto &[name, value] : object.members)
            require(taken.count(name) != 0,
                    "the model's hyperparameters do not fit this version of openmm-so3krates; unknown: " + name);
    }

private:
    const Json &object;
    std::set<std::string> taken;

    const Json &take(const std::string &name) {
        const Json *value = object.find(name);
        require(value != nullptr,
                "the model's hyperparameters do not fit this version of openmm-so3krates; missing: " + name);
        taken.insert(name);
        return *value;
    }
};

void checkConsistency(const Hyperparameters &hyper) {
    require(hyper.numFeatures % hyper.numHeads == 0 && hyper.numFeatures % hyper.numDegrees() == 0,
            "num_features (" + std::to_string(hyper.numFeatures) + ") must be divisible by num_heads (" +
                std::to_string(hyper.numHeads) + ") and by the number of degrees (" +
                std::to_string(hyper.numDegrees()) + ")");
    require(!hyper.electrostatics || hyper.partialCharges, "electrostatics needs the partial_charges head");
    require(!hyper.dispersion || hyper.hirshfeldRatios, "dispersion needs the hirshfeld_ratios head");
    require(!hyper.hirshfeldRatios || hyper.numFeatures % 2 == 0,
            "the hirshfeld_ratios head needs an even num_features");
}

} // namespace

double Hyperparameters::messageScale(int numBlocks) const {
    switch (messageNormalization) {
    case MessageNormalization::Identity:
        return 1;
    case MessageNormalization::SqrtNumFeatures:
        return 1 / std::sqrt((double)(numFeatures / numBlocks));
    case MessageNormalization::AvgNumNeighbors:
        break;
    }
    return 1 / avgNumNeighbors;
}

Hyperparameters readHyperparameters(const std::string &text) {
    Json object;
    try {
        object = parseJson(text);
    } catch (const ModelError &error) {
        throw ModelError(std::string("the model's hyperparameters are not valid: ") + error.what());
    }
    require(object.type == Json::Type::Object, "the model's hyperparameters must be a JSON object");
    const std::vector<std::string> activations = {"identity", "silu", "softplus", "tanh", "relu"};
    Fields fields(object);
    Hyperparameters hyper;
    hyper.numFeatures = fields.whole("num_features", 4, 4096);
    hyper.numLayers = fields.whole("num_layers", 1, 64);
    hyper.numHeads = fields.whole("num_heads", 1, hyper.numFeatures);
    hyper.degrees = fields.risingNumbers("degrees", 0, 4);
    hyper.cutoff = fields.positive("cutoff", 100);
    hyper.cutoffFunction =
        fields.choice<CutoffFunction>("cutoff_function", {"phys", "cosine", "polynomial", "exponential"});
    hyper.cutoffExponent = fields.whole("cutoff_exponent", 2, 64);
    hyper.radialBasis = fields.choice<RadialBasis>("radial_basis", {"bernstein", "gaussian", "physnet", "bessel"});
    hyper.numRadialBasis = fields.whole("num_radial_basis", 2, 512);
    hyper.bernsteinGamma = fields.positive("bernstein_gamma");
    hyper.besselFirst = fields.whole("bessel_first", 0, 1);
    hyper.activation = fields.choice<Activation>("activation", activations);
    hyper.qkActivation = fields.choice<Activation>("qk_activation", activations);
    hyper.messageNormalization = fields.choice<MessageNormalization>(
        "message_normalization", {"identity", "sqrt_num_features", "avg_num_neighbors"});
    hyper.avgNumNeighbors = fields.positive("avg_num_neighbors");
    hyper.useSphericalFilter = fields.flag("use_spherical_filter");
    hyper.layerNorm1 = fields.flag("layer_norm_1");
    hyper.layerNorm2 = fields.flag("layer_norm_2");
    hyper.residualMlp1 = fields.flag("residual_mlp_1");
    hyper.residualMlp2 = fields.flag("residual_mlp_2");
    hyper.useChargeEmbedding = fields.flag("use_charge_embedding");
    hyper.useSpinEmbedding = fields.flag("use_spin_embedding");
    hyper.euclideanInit = fields.choice<EuclideanInit>("euclidean_init", {"zero", "neighborhood"});
    hyper.energyHidden = fields.isNull("energy_hidden") ? 0 : fields.whole("energy_hidden", 1, 4096);
    hyper.energyActivation = fields.choice<Activation>("energy_activation", activations);
    hyper.partialCharges = fields.flag("partial_charges");
    hyper.hirshfeldRatios = fields.flag("hirshfeld_ratios");
    hyper.zbl = fields.flag("zbl");
    hyper.electrostatics = fields.flag("electrostatics");
    hyper.electrostaticsSigma = fields.positive("electrostatics_sigma");
    hyper.dispersion = fields.flag("dispersion");
    hyper.dispersionGammaScale = fields.positive("dispersion_gamma_scale");
    hyper.lrCutoff =
        fields.isNull("lr_cutoff") ? std::numeric_limits<double>::infinity() : fields.positive("lr_cutoff", 1000);
    hyper.dispersionSwitchWidth = fields.positive("dispersion_switch_width", 100);
    hyper.elements = fields.risingNumbers("elements", 1, 118);
    fields.checkAllTaken();
    checkConsistency(hyper);
    return hyper;
}

std::map<std::string, std::vector<int>> expectedTensors(const Hyperparameters &hyper) {
    const int F = hyper.numFeatures, H = hyper.numHeads, D = hyper.numDegrees();
    const int K = hyper.numRadialBasis, S = hyper.numSphericalHidden();
    std::map<std::string, std::vector<int>> shapes;
    auto dense = [&](const std::string &name, int numOut, int numIn) {
        shapes[name + ".weight"] = {numOut, numIn};
        shapes[name + ".bias"] = {numOut};
    };
    auto chargeOrSpin = [&](const std::string &name) {
        shapes[name + ".query.weight"] = {elementRows, F};
        shapes[name + ".key.weight"] = shapes[name + ".value.weight"] = {2, F};
        shapes[name + ".residual.0.weight"] = shapes[name + ".residual.1.weight"] = {F, F};
    };
    auto normAndMlp = [&](const std::string &layer, const std::string &number, bool norm, bool mlp) {
        if (norm)
            shapes[layer + "norm_" + number + ".weight"] = shapes[layer + "norm_" + number + ".bias"] = {F};
        if (mlp) {
            dense(layer + "mlp_" + number + ".0", F, F);
            dense(layer + "mlp_" + number + ".1", F, F);
        }
    };

    shapes["embedding.element.weight"] = {elementRows, F};
    if (hyper.useChargeEmbedding)
        chargeOrSpin("embedding.charge");
    if (hyper.useSpinEmbedding)
        chargeOrSpin("embedding.spin");
    if (hyper.radialBasis == RadialBasis::Gaussian)
        shapes["radial_basis.centers"] = shapes["radial_basis.widths"] = {K};
    for (int index = 0; index < hyper.numLayers; index++) {
        const std::string layer = "layers." + std::to_string(index) + ".";
        const std::string attention = layer + "attention.";
        for (const std::string &filter : {attention + "filter_x.", attention + "filter_ev."}) {
            dense(filter + "radial.0", F, K);
            dense(filter + "radial.1", F, F);
            if (hyper.useSphericalFilter) {
                dense(filter + "spherical.0", S, D);
                dense(filter + "spherical.1", F, S);
            }
        }
        for (const char *name : {"query_x", "key_x", "value_x"})
            shapes[attention + name] = {H, F / H, F / H};
        for (const char *name : {"query_ev", "key_ev"})
            shapes[attention + name] = {D, F / D, F / D};
        normAndMlp(layer, "1", hyper.layerNorm1, hyper.residualMlp1);
        dense(layer + "exchange", F + D, F + D);
        normAndMlp(layer, "2", hyper.layerNorm2, hyper.residualMlp2);
    }
    if (hyper.energyHidden > 0)
        dense("energy.hidden", hyper.energyHidden, F);
    dense("energy.out", 1, hyper.energyHidden > 0 ? hyper.energyHidden : F);
    shapes["energy.scales"] = shapes["energy.shifts"] = {elementRows};
    if (hyper.partialCharges) {
        dense("charges.hidden", F, F);
        dense("charges.out", 1, F);
        shapes["charges.element"] = {elementRows};
    }
    if (hyper.hirshfeldRatios) {
        dense("hirshfeld.hidden", F / 2, F);
        dense("hirshfeld.out", F / 2, F / 2);
        shapes["hirshfeld.element_shift"] = {elementRows};
        shapes["hirshfeld.element_query"] = {elementRows, F / 2};
    }
    if (hyper.zbl) {
        shapes["zbl.a"] = shapes["zbl.c"] = {4};
        shapes["zbl.p"] = shapes["zbl.d"] = {1};
    }
    if (hyper.dispersion)
        shapes["dispersion.polarizability"] = shapes["dispersion.c6"] = {elementRows};
    return shapes;
}

int Model::elementRows() const {
    int rows = std::numeric_limits<int>::max();
    for (const auto &[name, shape] : expectedTensors(hyper))
        if (shape[0] == so3krates::elementRows)
            rows = std::min(rows, tensor(name).shape[0]);
    return rows;
}

const Tensor &Model::tensor(const std::string &name) const {
    const auto found = tensors.find(name);
    if (found == tensors.end())
        throw ModelError("the model " + modelName + " has no tensor " + name);
    return found->second;
}

} // namespace so3krates
