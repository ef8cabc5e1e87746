#include "cuda/composition.h"

#include <algorithm>

#include "cpu/embedding.h"

namespace so3krates::cuda {

namespace {
constexpr int atomsPerChunk = 2048;
} // namespace

template <class T>
Composition<T>::Composition(std::shared_ptr<const Model> model, std::shared_ptr<const RadialTable> table,
                            const cpu::LongRangeParameters &longRange, std::shared_ptr<Device> device)
    : atomicNumbers(device), molecule(device), moleculeOffsets(device), species(device), chunkStarts(device),
      moleculeChunks(device), totalCharges(device), initialFeatures(device), freePolarizability(device), c6(device),
      firstLayer(model, std::move(table), device), model(std::move(model)), longRange(longRange) {}

template <class T> bool Composition<T>::isOf(const System &system) const {
    const int N = system.numAtoms, B = system.numMolecules;
    if (lastNumbers.empty() || N != int(lastNumbers.size()) || B != int(lastCharges.size()))
        return false;
    const int whole[2] = {0, N}, *starts = system.offsets ? system.offsets : whole;
    auto same = [B](const double *values, const std::vector<double> &last) {
        for (int m = 0; m < B; m++)
            if ((values ? values[m] : 0) != last[m])
                return false;
        return true;
    };
    return (system.offsets || B == 1) && std::equal(offsets.begin(), offsets.end(), starts) &&
           std::equal(lastNumbers.begin(), lastNumbers.end(), system.atomicNumbers) &&
           same(system.charges, lastCharges) && same(system.spins, lastSpins);
}

template <class T> void Composition<T>::update(const System &system) {
    const int N = system.numAtoms, B = system.numMolecules;
    std::vector<int> numbers(system.atomicNumbers, system.atomicNumbers + N), starts{0, N};
    if (system.offsets)
        starts.assign(system.offsets, system.offsets + B + 1);
    auto perMolecule = [&](const double *values) {
        return values ? std::vector<double>(values, values + B) : std::vector<double>(B, 0.0);
    };
    std::vector<double> charges = perMolecule(system.charges), spins = perMolecule(system.spins);
    lastNumbers.clear(); // if anything below throws, the next call starts afresh
    offsets = starts;
    atomicNumbers.upload(numbers);
    moleculeOffsets.upload(starts);
    totalCharges.upload(charges);
    const std::vector<double> x = cpu::initialFeatures(*model, system);
    initialFeatures.upload(std::vector<T>(x.begin(), x.end()));
    firstLayer.update(x, N);
    std::vector<int> moleculeOf(N), chunks{0}, firstChunk{0};
    severalChunks = false;
    for (int m = 0; m < B; m++) {
        std::fill(moleculeOf.begin() + starts[m], moleculeOf.begin() + starts[m + 1], m);
        for (int atom = starts[m]; atom < starts[m + 1]; atom += atomsPerChunk)
            chunks.push_back(std::min(atom + atomsPerChunk, starts[m + 1]));
        firstChunk.push_back(int(chunks.size()) - 1);
        severalChunks = severalChunks || firstChunk[m + 1] > firstChunk[m] + 1;
    }
    numChunks = int(chunks.size()) - 1;
    molecule.upload(moleculeOf);
    chunkStarts.upload(chunks);
    moleculeChunks.upload(firstChunk);
    updateSpecies(system);
    lastNumbers = std::move(numbers);
    lastCharges = std::move(charges);
    lastSpins = std::move(spins);
}

template <class T> void Composition<T>::updateSpecies(const System &system) {
    std::vector<int> elements, speciesOf(120, -1), speciesOfAtom(system.numAtoms);
    for (int i = 0; i < system.numAtoms; i++) {
        int &s = speciesOf[system.atomicNumbers[i]];
        if (s < 0) {
            s = int(elements.size());
            elements.push_back(system.atomicNumbers[i]);
        }
        speciesOfAtom[i] = s;
    }
    species.upload(speciesOfAtom);
    numSpecies = int(elements.size());
    if (!longRange.dispersion)
        return;
    std::vector<T> polarizability, combined;
    for (int a : elements) {
        const double alphaA = longRange.polarizability[a], c6A = longRange.c6[a];
        polarizability.push_back(T(alphaA));
        for (int b : elements) {
            const double alphaB = longRange.polarizability[b], c6B = longRange.c6[b];
            const double below = alphaA * alphaA * c6B + alphaB * alphaB * c6A;
            combined.push_back(below > 0 ? T(2 * c6A * c6B * alphaA * alphaB / below) : T(0));
        }
    }
    freePolarizability.upload(polarizability);
    c6.upload(combined);
}

template class Composition<float>;
template class Composition<double>;

} // namespace so3krates::cuda
