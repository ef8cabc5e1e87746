#pragma once
// The Euclidean attention of one layer by itself, with its gradients: for research beside the model. Formulas:
// docs/theory.md. Rows are not padded; N atoms, F features, M Euclidean variables.

#include <memory>

#include "model/model.h"
#include "threads/thread_team.h"

namespace so3krates {

template <class T> struct AttentionInput {
    int layer = 0, numAtoms = 0;
    const double *positions = nullptr;  // [N][3] Å
    const double *cell = nullptr;       // on the host, [3][3] Å, rows are box vectors; null or zeros: no periodicity
    const T *queryX, *keyX, *valueX;    // [N][F], cut in heads
    const T *queryEv, *keyEv;           // [N][F], cut in degrees
    const T *ev;                        // [N][M]
    const T *messageGradient = nullptr; // [N][F] derivative of a number E by the message to the features
    const T *evGradient = nullptr;      // [N][M] by the message to ev; both null: no gradients are wanted
};

template <class T> struct AttentionOutput {
    T *message, *evMessage; // [N][F], [N][M] what the layer adds to the features and to ev
    // dE/d(input); written if gradients are wanted
    T *queryX, *keyX, *valueX, *queryEv, *keyEv, *ev;
    double *positions; // [N][3]
    double *strain;    // [6]: xx, yy, zz, yz, xz, xy of the derivative by a symmetric strain; not on a device
};

// Input and output lie in the operator's own kind of memory: on the host, or on a device.
template <class T> class AttentionOperator {
public:
    virtual ~AttentionOperator() = default;
    // Neighbors are those inside the model's cutoff. Throws InputError: as Potential::compute; a layer the model lacks.
    virtual void compute(const AttentionInput<T> &input, const AttentionOutput<T> &output) = 0;
};

namespace cpu {
// With the exact radial networks. The team is the operator's from then on.
template <class T>
std::unique_ptr<AttentionOperator<T>> makeAttentionOperator(std::shared_ptr<const Model> model,
                                                            std::unique_ptr<ThreadTeam> team);
} // namespace cpu

} // namespace so3krates
