#include "cpu/kernel_table.h"

#include <cstdlib>
#include <cstring>

namespace so3krates::cpu {

#define SO3K_DECLARE(ARCH)                                                                                             \
    namespace ARCH {                                                                                                   \
    const KernelTable<float> &singleKernels();                                                                         \
    const KernelTable<double> &doubleKernels();                                                                        \
    }

SO3K_DECLARE(baseline)
#ifdef SO3KRATES_X86_KERNELS
SO3K_DECLARE(avx2)
SO3K_DECLARE(avx512)
SO3K_DECLARE(avx2_so3lr)
SO3K_DECLARE(avx512_so3lr)
#endif

namespace {

enum class Arch { Baseline, Avx2, Avx512 };

Arch chooseArch() {
    Arch best = Arch::Baseline;
#ifdef SO3KRATES_X86_KERNELS
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        best = Arch::Avx2;
    if (best == Arch::Avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        best = Arch::Avx512;
#endif
    const char *wanted = std::getenv("SO3KRATES_CPU_ARCH");
    if (wanted && !std::strcmp(wanted, "baseline"))
        return Arch::Baseline;
    if (wanted && !std::strcmp(wanted, "avx2") && best == Arch::Avx512)
        return Arch::Avx2;
    return best;
}

} // namespace

template <> const KernelTable<float> &selectKernels<float>(const ShapeNumbers &shape) {
#ifdef SO3KRATES_X86_KERNELS
    const char *wanted = std::getenv("SO3KRATES_CPU_SHAPE");
    const bool so3lr = shape == so3lrShape && !(wanted && !std::strcmp(wanted, "any"));
#else
    (void)shape;
#endif
    switch (chooseArch()) {
#ifdef SO3KRATES_X86_KERNELS
    case Arch::Avx512:
        return so3lr ? avx512_so3lr::singleKernels() : avx512::singleKernels();
    case Arch::Avx2:
        return so3lr ? avx2_so3lr::singleKernels() : avx2::singleKernels();
#endif
    default:
        return baseline::singleKernels();
    }
}

template <> const KernelTable<double> &selectKernels<double>(const ShapeNumbers &) {
    switch (chooseArch()) {
#ifdef SO3KRATES_X86_KERNELS
    case Arch::Avx512:
        return avx512::doubleKernels();
    case Arch::Avx2:
        return avx2::doubleKernels();
#endif
    default:
        return baseline::doubleKernels();
    }
}

} // namespace so3krates::cpu
