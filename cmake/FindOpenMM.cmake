# Finds the OpenMM that this Python would import, or the one in OPENMM_DIR or CONDA_PREFIX.
# Layouts: the PyPI wheel (site-packages/OpenMM.libs) and conda or a plain install (PREFIX/include, PREFIX/lib).
# Defines the imported target OpenMM::OpenMM and OpenMM_VERSION.

execute_process(
  COMMAND ${Python_EXECUTABLE} -c
          "import importlib.util as u, os; print(os.path.join(os.path.dirname(os.path.dirname(u.find_spec('openmm').origin)), 'OpenMM.libs'))"
  OUTPUT_VARIABLE _openmm_wheel OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)

find_path(OpenMM_INCLUDE_DIR OpenMM.h
  HINTS ${OPENMM_DIR} $ENV{OPENMM_DIR} ${_openmm_wheel} $ENV{CONDA_PREFIX} PATH_SUFFIXES include NO_DEFAULT_PATH)
find_library(OpenMM_LIBRARY OpenMM
  HINTS ${OPENMM_DIR} $ENV{OPENMM_DIR} ${_openmm_wheel} $ENV{CONDA_PREFIX} PATH_SUFFIXES lib NO_DEFAULT_PATH)

# The headers do not tell the version, the library does.
if(OpenMM_LIBRARY AND OpenMM_INCLUDE_DIR AND NOT OpenMM_VERSION)
  set(_openmm_source ${CMAKE_CURRENT_BINARY_DIR}/openmm_version.cpp)
  file(WRITE ${_openmm_source}
    "#include <iostream>\n#include \"openmm/Platform.h\"\n"
    "int main() { std::cout << OpenMM::Platform::getOpenMMVersion(); }\n")
  try_run(_openmm_run _openmm_compiled ${CMAKE_CURRENT_BINARY_DIR}/openmm_version ${_openmm_source}
    CMAKE_FLAGS -DINCLUDE_DIRECTORIES=${OpenMM_INCLUDE_DIR} -DCMAKE_CXX_STANDARD=17
    LINK_LIBRARIES ${OpenMM_LIBRARY}
    RUN_OUTPUT_VARIABLE _openmm_version)
  if(_openmm_compiled AND _openmm_run EQUAL 0)
    set(OpenMM_VERSION ${_openmm_version} CACHE STRING "Version of the OpenMM that is compiled against")
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
