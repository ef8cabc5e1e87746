#pragma once
// What depends on the atoms' elements, the molecules and their charges and spins, but not on positions: kept in device
// memory for as long as these stay the same.

#include <memory>
#include <vector>

#include "cpu/physics/parameters.h"
#include "cuda/buffer.h"
#include "cuda/first_layer.h"
#include "model/model.h"
#include "potential.h"

namespace so3krates::cuda {

template <class T> class Composition {
public:
    // table: null, or the splines in place of the radial networks.
    Composition(std::shared_ptr<const Model> model, std::shared_ptr<const RadialTable> table,
                const cpu::LongRangeParameters &longRange, std::shared_ptr<Device> device);
    // Whether these are the system's elements, molecules, charges and spins.
    bool isOf(const System &system) const;
    // Takes them.
    void update(const System &system);

    // On the host.
    std::vector<int> offsets;   // [molecules+1]
    int numSpecies = 0;         // different elements
    int numChunks = 0;          // runs of at most two thousand atoms of one molecule
    bool severalChunks = false; // in any molecule
    // In device memory.
    Buffer<int> atomicNumbers, molecule, moleculeOffsets, species; // [N], [N], [B+1], [N]
    Buffer<int> chunkStarts, moleculeChunks; // [chunks+1] first atom; [B+1] a molecule's first chunk
    Buffer<double> totalCharges;             // [B]
    Buffer<T> initialFeatures;               // [N][F]
    Buffer<T> freePolarizability, c6;        // [species], [species][species]
    FirstLayerAttention<T> firstLayer;

private:
    void updateSpecies(const System &system);
    std::shared_ptr<const Model> model;
    const cpu::LongRangeParameters &longRange;
    std::vector<int> lastNumbers;
    std::vector<double> lastCharges, lastSpins;
};

} // namespace so3krates::cuda
