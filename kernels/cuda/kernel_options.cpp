#include "cuda/kernel_options.h"

#include <cstdlib>
#include <cstring>

#include "cuda/device/first_layer_arguments.h"

namespace so3krates::cuda {

bool wantTensorCores() {
    const char *wish = std::getenv("SO3KRATES_TENSOR_CORES");
    return !wish || std::strcmp(wish, "0") != 0;
}

Macros kernelMacros(const Hyperparameters &hyper, Precision precision) {
    Macros macros{{"SO3K_REAL", precision == Precision::Double ? "double" : "float"}};
    auto number = [&](const char *name, int value) { macros.emplace_back(name, std::to_string(value)); };
    number("SO3K_F", hyper.numFeatures);
    number("SO3K_HEADS", hyper.numHeads);
    number("SO3K_DEGREES", hyper.numDegrees());
    std::string degrees;
    for (int degree : hyper.degrees)
        degrees += (degrees.empty() ? "" : ",") + std::to_string(degree);
    macros.emplace_back("SO3K_DEGREE_LIST", degrees);
    number("SO3K_M", hyper.numEuclidean());
    number("SO3K_K", hyper.numRadialBasis);
    number("SO3K_S", hyper.numSphericalHidden());
    number("SO3K_LAYERS", hyper.numLayers);
    number("SO3K_ACTIVATION", int(hyper.activation));
    number("SO3K_QK_ACTIVATION", int(hyper.qkActivation));
    number("SO3K_ENERGY_ACTIVATION", int(hyper.energyActivation));
    number("SO3K_RADIAL_BASIS", int(hyper.radialBasis));
    number("SO3K_CUTOFF_FUNCTION", int(hyper.cutoffFunction));
    number("SO3K_CUTOFF_EXPONENT", hyper.cutoffExponent);
    number("SO3K_BESSEL_FIRST", hyper.besselFirst);
    number("SO3K_ENERGY_HIDDEN", hyper.energyHidden);
    number("SO3K_HIRSHFELD_HIDDEN", hyper.hirshfeldRatios ? hyper.numFeatures / 2 : 0);
    number("SO3K_CHARGES", hyper.partialCharges ? 1 : 0);
    // Where FirstLayerTables can be available: the kernels would never be launched elsewhere.
    const bool firstLayer = precision == Precision::Single && hyper.euclideanInit == EuclideanInit::Zero &&
                            2 * (hyper.numHeads + hyper.numDegrees()) <= firstLayerMostRow;
    number("SO3K_FIRST_LAYER", firstLayer ? 1 : 0);
    number("SO3K_TENSOR_CORES", wantTensorCores());
    return macros;
}

} // namespace so3krates::cuda
