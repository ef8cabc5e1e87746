#pragma once
// A frozen SO3krates model: hyperparameters and weights, as read from a model file.
// Names, shapes and meaning: docs/model_file.md; formulas: docs/theory.md. Units: Å and eV.

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace so3krates {

// A model file cannot be used; what() says what is wrong and what to do about it.
class ModelError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

enum class RadialBasis { Bernstein, Gaussian, PhysNet, Bessel };
enum class CutoffFunction { Phys, Cosine, Polynomial, Exponential };
enum class Activation { Identity, Silu, Softplus, Tanh, Relu };
enum class MessageNormalization { Identity, SqrtNumFeatures, AvgNumNeighbors };
enum class EuclideanInit { Zero, Neighborhood };

// In most models the first layer's Euclidean variables are 0, which makes its spherical filters constants.
enum class FirstLayer { ByModel, AsTheOthers }; // AsTheOthers: for any Euclidean variables

// The C++ twin of openmm_so3krates/hyperparameters.py, field for field.
struct Hyperparameters {
    int numFeatures = 0;      // F
    int numLayers = 0;        // T
    int numHeads = 0;         // H
    std::vector<int> degrees; // D of them, rising, each 0..4
    double cutoff = 0;        // Å
    CutoffFunction cutoffFunction = CutoffFunction::Phys;
    int cutoffExponent = 6;
    RadialBasis radialBasis = RadialBasis::Bernstein;
    int numRadialBasis = 0;    // K
    double bernsteinGamma = 0; // 1/Å
    int besselFirst = 1;
    Activation activation = Activation::Silu;
    Activation qkActivation = Activation::Identity;
    MessageNormalization messageNormalization = MessageNormalization::AvgNumNeighbors;
    double avgNumNeighbors = 1;
    bool useSphericalFilter = true;
    bool layerNorm1 = true, layerNorm2 = true;
    bool residualMlp1 = true, residualMlp2 = false;
    bool useChargeEmbedding = false, useSpinEmbedding = false;
    EuclideanInit euclideanInit = EuclideanInit::Zero;
    int energyHidden = 0; // 0: none (null in the file)
    Activation energyActivation = Activation::Silu;
    bool partialCharges = false, hirshfeldRatios = false;
    bool zbl = false, electrostatics = false, dispersion = false;
    double electrostaticsSigma = 4; // Å
    double dispersionGammaScale = 1.2;
    double lrCutoff = 12;             // Å; infinity: none (null in the file)
    double dispersionSwitchWidth = 2; // Å
    std::vector<int> elements;        // atomic numbers the model was trained for, rising

    int numDegrees() const { return (int)degrees.size(); }
    int numEuclidean() const { // M
        int m = 0;
        for (int l : degrees)
            m += 2 * l + 1;
        return m;
    }
    int numSphericalHidden() const { return numFeatures / 4; }
    // The constant every attention coefficient is multiplied with; numBlocks: number of heads or degrees.
    double messageScale(int numBlocks) const;
};

// Row-major numbers with their shape. Double whatever the file's type: the engine packs its own copy.
struct Tensor {
    std::vector<int> shape;
    std::vector<double> data;
};

class Model {
public:
    // Reads and checks a model file. `name` is a path or the name of an installed model ("so3lr").
    // Throws ModelError: file missing, truncated, hostile or of another format version, a tensor missing or
    // of the wrong shape or type or not finite, a hyperparameter out of range.
    static std::shared_ptr<const Model> load(const std::string &name);
    // The same from the bytes of a model file; `name` is only used in messages and by name().
    static std::shared_ptr<const Model> fromBytes(std::string bytes, const std::string &name);
    // Where a name leads: a path is returned as it is; otherwise $SO3KRATES_HOME/NAME.safetensors, or
    // (unset) $XDG_CACHE_HOME/openmm-so3krates/NAME.safetensors, or ~/.cache/openmm-so3krates/NAME.safetensors.
    // A name is taken for a path if it has a '/' or ends in ".safetensors".
    static std::string resolve(const std::string &name);

    const Hyperparameters &hyperparameters() const { return hyper; }
    bool hasTensor(const std::string &name) const { return tensors.count(name) != 0; }
    const Tensor &tensor(const std::string &name) const; // throws ModelError if absent
    // Rows of the element tables (of the shortest): atomic numbers below it have parameters, trained or not.
    int elementRows() const;
    const std::string &name() const { return modelName; }  // as given to load()
    const std::string &sha256() const { return hash; }     // of the whole file, lower-case hexadecimal
    const std::string &bytes() const { return fileBytes; } // the whole file, for embedding
    const std::map<std::string, std::string> &metadata() const { return meta; } // the header's strings

private:
    Model() = default;
    Hyperparameters hyper;
    std::map<std::string, Tensor> tensors;
    std::map<std::string, std::string> meta;
    std::string modelName, hash, fileBytes;
};

} // namespace so3krates
