#include "gpu/compute_context.h"
#include "gpu/cuda_so3krates_kernel.h"
#include "openmm/KernelFactory.h"
#include "openmm/OpenMMException.h"
#include "openmm/Platform.h"
#include "openmm/cuda/CudaPlatform.h"

namespace SO3kratesPlugin {

class CudaKernelFactory : public OpenMM::KernelFactory {
public:
    OpenMM::KernelImpl *createKernelImpl(std::string name, const OpenMM::Platform &platform,
                                         OpenMM::ContextImpl &context) const override {
        if (name == CalcSO3kratesForceKernel::Name())
            return new CudaCalcSO3kratesForceKernel(name, platform,
                                                    computeContextOf<OpenMM::CudaPlatform::PlatformData>(context));
        throw OpenMM::OpenMMException("SO3krates has no kernel named '" + name + "'");
    }
};

} // namespace SO3kratesPlugin

// The names Platform::loadPluginLibrary() calls.
extern "C" SO3KRATES_OPENMM_EXPORT void registerPlatforms() {}
extern "C" SO3KRATES_OPENMM_EXPORT void registerKernelFactories() {
    using SO3kratesPlugin::CalcSO3kratesForceKernel;
    OpenMM::Platform &platform = OpenMM::Platform::getPlatformByName("CUDA");
    if (!platform.supportsKernels({CalcSO3kratesForceKernel::Name()}))
        platform.registerKernelFactory(CalcSO3kratesForceKernel::Name(), new SO3kratesPlugin::CudaKernelFactory());
}
