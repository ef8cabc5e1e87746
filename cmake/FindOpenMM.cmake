# Finds OpenMM: the first folder of these that holds its headers and its library.
#
#   1. OPENMM_DIR, a CMake or an environment variable; an error if OpenMM is not there
#   2. this Python's own prefix: a conda environment with conda's OpenMM
#   3. site-packages/OpenMM.libs of the openmm that this Python would import: PyPI's wheel
#   4. CONDA_PREFIX: an active conda environment, when Python is not its own
#
# Headers and library are never taken from different folders. Defines the imported target OpenMM::OpenMM, OpenMM_LIBRARY
# and OpenMM_VERSION.

execute_process(
  COMMAND ${Python_EXECUTABLE} -c "import sys; print(sys.prefix)"
  OUTPUT_VARIABLE _openmm_python OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(
  COMMAND ${Python_EXECUTABLE} -c
          "import importlib.util as u, os; print(os.path.join(os.path.dirname(os.path.dirname(u.find_spec('openmm').origin)), 'OpenMM.libs'))"
  OUTPUT_VARIABLE _openmm_wheel OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
set(_openmm_asked ${OPENMM_DIR})
if(NOT _openmm_asked)
  set(_openmm_asked $ENV{OPENMM_DIR})
endif()
set(_openmm_prefixes ${_openmm_asked})
if(NOT _openmm_asked)
  set(_openmm_prefixes ${_openmm_python} ${_openmm_wheel} $ENV{CONDA_PREFIX})
endif()

# Nothing is cached: a second build may be for another OpenMM, or the first one's may be gone (pip's isolated builds).
foreach(_openmm_prefix IN LISTS _openmm_prefixes)
  unset(OpenMM_INCLUDE_DIR)
  unset(OpenMM_LIBRARY)
  find_path(OpenMM_INCLUDE_DIR OpenMM.h PATHS ${_openmm_prefix} PATH_SUFFIXES include NO_DEFAULT_PATH NO_CACHE)
  find_library(OpenMM_LIBRARY OpenMM PATHS ${_openmm_prefix} PATH_SUFFIXES lib lib64 NO_DEFAULT_PATH NO_CACHE)
  if(OpenMM_INCLUDE_DIR AND OpenMM_LIBRARY)
    break()
  endif()
endforeach()
if(_openmm_asked AND NOT (OpenMM_INCLUDE_DIR AND OpenMM_LIBRARY))
  message(FATAL_ERROR "OPENMM_DIR is ${_openmm_asked}, but there is no include/OpenMM.h or no lib/libOpenMM.so in it: "
    "set it to the folder that OpenMM was installed to, such as a conda environment's, or unset it")
endif()

# The headers do not tell the version, the library does.
unset(OpenMM_VERSION)
if(OpenMM_LIBRARY AND OpenMM_INCLUDE_DIR)
  set(_openmm_source ${CMAKE_CURRENT_BINARY_DIR}/openmm_version.cpp)
  file(WRITE ${_openmm_source}
    "#include <iostream>\n#include \"openmm/Platform.h\"\n"
    "int main() { std::cout << OpenMM::Platform::getOpenMMVersion(); }\n")
  unset(_openmm_run CACHE)
  unset(_openmm_compiled CACHE)
  # A conda environment's OpenMM may want a newer libstdc++ than this compiler's. It lies beside that OpenMM, where the
  # program will find it; the linker would refuse.
  try_run(_openmm_run _openmm_compiled ${CMAKE_CURRENT_BINARY_DIR}/openmm_version ${_openmm_source}
    CMAKE_FLAGS -DINCLUDE_DIRECTORIES=${OpenMM_INCLUDE_DIR} -DCMAKE_CXX_STANDARD=17
    LINK_OPTIONS -Wl,--allow-shlib-undefined
    LINK_LIBRARIES ${OpenMM_LIBRARY}
    COMPILE_OUTPUT_VARIABLE _openmm_compiler_says
    RUN_OUTPUT_VARIABLE _openmm_program_says)
  if(_openmm_compiled AND _openmm_run EQUAL 0)
    set(OpenMM_VERSION ${_openmm_program_says})
  else()
    message(WARNING "OpenMM is in ${OpenMM_LIBRARY}, but a program that prints its version cannot be compiled or run:\n"
      "${_openmm_compiler_says}\n${_openmm_program_says}")
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenMM
  REQUIRED_VARS OpenMM_LIBRARY OpenMM_INCLUDE_DIR OpenMM_VERSION VERSION_VAR OpenMM_VERSION)

if(OpenMM_FOUND AND NOT TARGET OpenMM::OpenMM)
  add_library(OpenMM::OpenMM SHARED IMPORTED)
  set_target_properties(OpenMM::OpenMM PROPERTIES
    IMPORTED_LOCATION ${OpenMM_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${OpenMM_INCLUDE_DIR})
endif()
