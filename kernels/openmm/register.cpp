#include "register.h"

#include <mutex>
#include <typeinfo>

#include "cpu_so3krates_kernel.h"
#include "openmm/KernelFactory.h"
#include "openmm/OpenMMException.h"
#include "openmm/Platform.h"
#include "openmm/reference/ReferencePlatform.h"
#include "so3krates_force_proxy.h"

using OpenMM::Platform;

namespace SO3kratesPlugin {

class CpuKernelFactory : public OpenMM::KernelFactory {
public:
    OpenMM::KernelImpl *createKernelImpl(std::string name, const Platform &platform,
                                         OpenMM::ContextImpl &) const override {
        if (name == CalcSO3kratesForceKernel::Name())
            return new CpuCalcSO3kratesForceKernel(name, platform);
        throw OpenMM::OpenMMException("SO3krates has no kernel named '" + name + "'");
    }
};

void registerSO3krates() {
    static std::once_flag proxyRegistered;
    std::call_once(proxyRegistered, [] {
        OpenMM::SerializationProxy::registerProxy(typeid(SO3kratesForce), new SO3kratesForceProxy());
    });
    for (int i = 0; i < Platform::getNumPlatforms(); i++) {
        Platform &platform = Platform::getPlatform(i);
        // CpuPlatform is a subclass of ReferencePlatform.
        if (dynamic_cast<OpenMM::ReferencePlatform *>(&platform) != nullptr &&
            !platform.supportsKernels({CalcSO3kratesForceKernel::Name()}))
            platform.registerKernelFactory(CalcSO3kratesForceKernel::Name(), new CpuKernelFactory());
    }
}

} // namespace SO3kratesPlugin

// The names Platform::loadPluginLibrary() calls: C++ programs need nothing of Python.
extern "C" SO3KRATES_OPENMM_EXPORT void registerPlatforms() {}
extern "C" SO3KRATES_OPENMM_EXPORT void registerKernelFactories() { SO3kratesPlugin::registerSO3krates(); }
