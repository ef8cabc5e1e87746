// A library of its own for each platform that the engine cannot compute on: OpenCL and, with SO3KRATES_HIP, HIP.

#include "gpu/compute_context.h"
#include "gpu/hosted_so3krates_kernel.h"
#include "openmm/KernelFactory.h"
#include "openmm/OpenMMException.h"
#include "openmm/Platform.h"
#ifdef SO3KRATES_HIP
#include "openmm/hip/HipPlatform.h"
using GpuPlatform = OpenMM::HipPlatform;
static const char *const platformName = "HIP";
#else
#include "openmm/opencl/OpenCLPlatform.h"
using GpuPlatform = OpenMM::OpenCLPlatform;
static const char *const platformName = "OpenCL";
#endif

namespace SO3kratesPlugin {

class HostedKernelFactory : public OpenMM::KernelFactory {
public:
    OpenMM::KernelImpl *createKernelImpl(std::string name, const OpenMM::Platform &platform,
                                         OpenMM::ContextImpl &context) const override {
        if (name == CalcSO3kratesForceKernel::Name())
            return new HostedCalcSO3kratesForceKernel(name, platform,
                                                      computeContextOf<GpuPlatform::PlatformData>(context));
        throw OpenMM::OpenMMException("SO3krates has no kernel named '" + name + "'");
    }
};

} // namespace SO3kratesPlugin

// The names Platform::loadPluginLibrary() calls.
extern "C" SO3KRATES_OPENMM_EXPORT void registerPlatforms() {}
extern "C" SO3KRATES_OPENMM_EXPORT void registerKernelFactories() {
    using SO3kratesPlugin::CalcSO3kratesForceKernel;
    OpenMM::Platform &platform = OpenMM::Platform::getPlatformByName(platformName);
    if (!platform.supportsKernels({CalcSO3kratesForceKernel::Name()}))
        platform.registerKernelFactory(CalcSO3kratesForceKernel::Name(), new SO3kratesPlugin::HostedKernelFactory());
}
