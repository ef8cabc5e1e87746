#pragma once
// How much device memory an evaluation takes, without a device: the backend's own code allocates from one that counts.

#include <memory>

#include "model/model.h"
#include "potential.h"

namespace so3krates::cuda {

// The longest rows of the neighbor lists: neighbors of one atom, periodic images counted.
struct LongestRows {
    int edges = 0;      // within the model's cutoff
    int far = 0;        // within the long-range cutoff, if it has one
    int candidates = 0; // within the longer of the two and listSkin()
};

// In bytes, as asked of the driver. What the driver, its context, compiled kernels and recorded graphs take is not in
// it.
struct DeviceMemory {
    size_t total = 0;
    size_t model = 0; // weights and radial tables, whatever the system
    size_t lists = 0; // neighbor lists, with positions and boxes
};

// After evaluations of the system with lists that have grown to these rows. Positions are not read. Throws InputError:
// as an evaluation would, of elements, boxes and the shape of the model.
DeviceMemory deviceMemory(std::shared_ptr<const Model> model, const Options &options, const System &system,
                          const LongestRows &rows, bool forces, bool virials);

double listSkin(); // Å

} // namespace so3krates::cuda
