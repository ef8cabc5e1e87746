#pragma once
// An AttentionOperator on a GPU between addresses of somebody else's arrays.

#include <mutex>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "attention_operator.h"
#include "cuda/device.h"
#include "potential.h"

namespace so3krates {

// rows: query_x, key_x, value_x, query_ev, key_ev, ev; upstream: none, or the gradients by both messages; outputs: both
// messages and, with upstream, the gradients by rows and by positions. All contiguous, positions double; 0: not there.
template <class T>
void computeAttention(AttentionOperator<T> &operation, cuda::Device &device, std::mutex &mutex, int layer, int numAtoms,
                      std::uintptr_t positions, const pybind11::array_t<double> &cell,
                      const std::vector<std::uintptr_t> &rows, const std::vector<std::uintptr_t> &upstream,
                      const std::vector<std::uintptr_t> &outputs, std::uintptr_t stream) {
    auto at = [](std::uintptr_t address) { return reinterpret_cast<T *>(address); };
    AttentionInput<T> input;
    input.layer = layer;
    input.numAtoms = numAtoms;
    input.positions = reinterpret_cast<const double *>(positions);
    input.cell = cell.size() ? cell.data() : nullptr;
    input.queryX = at(rows.at(0));
    input.keyX = at(rows.at(1));
    input.valueX = at(rows.at(2));
    input.queryEv = at(rows.at(3));
    input.keyEv = at(rows.at(4));
    input.ev = at(rows.at(5));
    AttentionOutput<T> output{};
    output.message = at(outputs.at(0));
    output.evMessage = at(outputs.at(1));
    if (!upstream.empty()) {
        input.messageGradient = at(upstream.at(0));
        input.evGradient = at(upstream.at(1));
        T **const gradients[6] = {&output.queryX,  &output.keyX,  &output.valueX,
                                  &output.queryEv, &output.keyEv, &output.ev};
        for (int k = 0; k < 6; k++)
            *gradients[k] = at(outputs.at(2 + k));
        output.positions = reinterpret_cast<double *>(outputs.at(8));
    }
    {
        pybind11::gil_scoped_release release;
        std::lock_guard<std::mutex> lock(mutex); // one work space: calls take turns
        for (const auto *addresses : {&rows, &upstream, &outputs})
            for (std::uintptr_t address : *addresses)
                if (address)
                    device.checkAddress(at(address), "an array of the attention");
        device.checkAddress(input.positions, "positions");
        device.follow(reinterpret_cast<void *>(stream));
        operation.compute(input, output);
    }
}

} // namespace so3krates
