// All CPU kernels for one instruction set, and for one shape of model or all: compiled several times, see
// CMakeLists.txt, simd/vector.h and network/shape_of.h.

#include "cpu/kernel_table.h"
#include "cpu/network/atom_backward.h"
#include "cpu/network/attention_backward.h"
#include "cpu/network/first_layer.h"
#include "cpu/network/geometry.h"
#include "cpu/network/heads.h"
#include "cpu/physics/long_range.h"
#include "cpu/physics/zbl.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

namespace {

// Cuts one thread's scratch memory into the blocks' rows; with null memory it only counts.
template <class T> struct ScratchCutter {
    T *memory;
    size_t used = 0;
    T *take(size_t size) {
        T *p = memory ? memory + used : nullptr;
        used += (size + 15) / 16 * 16;
        return p;
    }
};

template <class T>
size_t cutPairBlocks(const PackedModel<T> &model, T *memory, FilterBlock<T> &f, FilterGradientBlock<T> &g) {
    const Shape &s = shapeOf(model);
    ScratchCutter<T> cut{memory};
    f.basis = cut.take(2 * pairBlock * s.radial);
    f.radialHidden = cut.take(2 * pairBlock * s.features);
    f.differences = cut.take(pairBlock * degreeRow);
    f.hidden = cut.take(2 * pairBlock * s.spherical);
    f.hiddenSlope = cut.take(2 * pairBlock * s.spherical);
    g.hidden = cut.take(2 * pairBlock * s.spherical);
    g.alphaGradient = cut.take(pairBlock * s.alphaRow());
    for (int m = 0; m < 2; m++) {
        f.values[m] = cut.take(pairBlock * s.block[m].total());
        f.slopes[m] = cut.take(pairBlock * s.block[m].total());
        g.values[m] = cut.take(pairBlock * s.block[m].total());
    }
    return cut.used;
}

template <class T> size_t cutAtomBlock(const PackedModel<T> &model, T *memory, AtomBlock<T> &b) {
    const Shape &s = shapeOf(model);
    const int widths[] = {s.features + s.exchange, s.gradientRow(), s.energyHiddenPadded, s.hirshfeldPadded};
    b.width = 0;
    for (int w : widths)
        b.width = w > b.width ? w : b.width;
    ScratchCutter<T> cut{memory};
    b.rowsA = cut.take(size_t(atomBlock) * b.width);
    b.rowsB = cut.take(size_t(atomBlock) * b.width);
    return cut.used;
}

template <class T> size_t scratchSize(const PackedModel<T> &model) {
    FilterBlock<T> f;
    FilterGradientBlock<T> g;
    AtomBlock<T> a;
    const size_t pairs = cutPairBlocks<T>(model, nullptr, f, g), atoms = cutAtomBlock<T>(model, nullptr, a);
    return pairs > atoms ? pairs : atoms;
}

template <class T> void attentionForwardCall(const Evaluation<T> &e, int layer, int begin, int end, T *scratch) {
    FilterBlock<T> f;
    FilterGradientBlock<T> g;
    cutPairBlocks<T>(*e.model, scratch, f, g);
    attentionForward<T>(e, layer, begin, end, f);
}

template <class T> void attentionBackwardCall(const Evaluation<T> &e, int layer, int tile, bool atoms, T *scratch) {
    FilterBlock<T> f;
    FilterGradientBlock<T> g;
    cutPairBlocks<T>(*e.model, scratch, f, g);
    attentionBackward<T>(e, layer, tile, atoms, f, g);
}

template <class T, void KERNEL(const Evaluation<T> &, int, int, int, AtomBlock<T> &)>
void layerCall(const Evaluation<T> &e, int layer, int begin, int n, T *scratch) {
    AtomBlock<T> b;
    cutAtomBlock<T>(*e.model, scratch, b);
    KERNEL(e, layer, begin, n, b);
}

template <class T, void KERNEL(const Evaluation<T> &, int, int, AtomBlock<T> &)>
void headsCall(const Evaluation<T> &e, int begin, int n, T *scratch) {
    AtomBlock<T> b;
    cutAtomBlock<T>(*e.model, scratch, b);
    KERNEL(e, begin, n, b);
}

#ifdef SO3KRATES_SHAPE
constexpr bool oneShape = true;
#else
constexpr bool oneShape = false;
#endif

template <class T>
const KernelTable<T> table = {SO3KRATES_INSTRUCTIONS,
                              oneShape,
                              {lanes<T>},
                              scratchSize<T>,
                              pairGeometry<T>,
                              initialEuclidean<T>,
                              project<T>,
                              firstLayerForward<T>,
                              attentionForwardCall<T>,
                              layerCall<T, atomForward<T>>,
                              headsCall<T, headsForward<T>>,
                              headsCall<T, headsBackward<T>>,
                              layerCall<T, atomBackward<T>>,
                              attentionBackwardCall<T>,
                              layerCall<T, collectGradients<T>>,
                              initialEuclideanBackward<T>,
                              pairGradients<T>,
                              zblPair,
                              longRangeAtom<T>};

} // namespace

const KernelTable<float> &singleKernels() { return table<float>; }
#ifndef SO3KRATES_SHAPE // speed is for single precision
const KernelTable<double> &doubleKernels() { return table<double>; }
#endif

} // namespace so3krates::cpu::SO3KRATES_ARCH
