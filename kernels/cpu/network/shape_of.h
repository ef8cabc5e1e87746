#pragma once
// The shape of the model at hand. Compiled with SO3KRATES_SHAPE, the name of a ShapeNumbers, kernels are for that shape
// alone and its sizes are constants to the compiler: loops unroll and sums stay in registers.

#include "cpu/evaluation.h"
#include "cpu/simd/vector.h"

namespace so3krates::cpu::SO3KRATES_ARCH {

#ifdef SO3KRATES_SHAPE
template <class T> inline constexpr Shape fixedShape = paddedShape(SO3KRATES_SHAPE, lanes<T>);
template <class T> SO3K_INLINE constexpr const Shape &shapeOf(const PackedModel<T> &) { return fixedShape<T>; }
constexpr int mostDegrees = SO3KRATES_SHAPE.numDegrees;
#else
constexpr int mostDegrees = maxDegrees;
template <class T> SO3K_INLINE const Shape &shapeOf(const PackedModel<T> &model) { return model.shape; }
#endif

} // namespace so3krates::cpu::SO3KRATES_ARCH
