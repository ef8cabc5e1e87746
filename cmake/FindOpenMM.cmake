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

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenMM REQUIRED_VARS OpenMM_LIBRARY OpenMM_INCLUDE_DIR)

if(OpenMM_FOUND AND NOT TARGET OpenMM::OpenMM)
  add_library(OpenMM::OpenMM SHARED IMPORTED)
  set_target_properties(OpenMM::OpenMM PROPERTIES
    IMPORTED_LOCATION ${OpenMM_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${OpenMM_INCLUDE_DIR})
endif()
