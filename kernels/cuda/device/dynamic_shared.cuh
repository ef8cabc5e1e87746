// SO3K_DYNAMIC_SHARED(type, name): the shared memory that a launch asks for, as an array. The emulation has its own.
#pragma once

#ifndef SO3K_DYNAMIC_SHARED
// One name and type for all kernels, since declarations of one name must agree; aligned for any type.
extern __shared__ __align__(16) unsigned char so3kDynamicShared[];
#define SO3K_DYNAMIC_SHARED(type, name) type *name = reinterpret_cast<type *>(so3kDynamicShared)
#endif
