#pragma once
// OpenMM's common compute context of a Context on CUDA, HIP or OpenCL.

#include "openmm/common/ComputeContext.h"

namespace SO3kratesPlugin {

// PlatformData: the platform's own. Its contexts' class is declared only: its header needs the vendor's. It derives
// from ComputeContext alone, so that both have one address. The minor version of OpenMM is fixed, and the tests run on
// both.
template <class PlatformData> OpenMM::ComputeContext &computeContextOf(OpenMM::ContextImpl &context) {
    auto &data = *static_cast<PlatformData *>(context.getPlatformData());
    return *reinterpret_cast<OpenMM::ComputeContext *>(data.contexts[0]);
}

} // namespace SO3kratesPlugin
