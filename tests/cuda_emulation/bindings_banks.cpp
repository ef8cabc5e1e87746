// What bank_conflicts.h has counted, from Python.

#include "bindings.h"

#include <pybind11/stl.h>

#include "bank_conflicts.h"

namespace py = pybind11;
using namespace so3krates::emulation;

void bindBanks(py::module_ &m) {
    m.def("take_access_counts", [] {
        py::list rows;
        for (const AccessCount &count : takeAccessCounts()) {
            py::dict row;
            row["kernel"] = count.kernel;
            row["library"] = count.library;
            row["site"] = count.site;
            row["is_write"] = count.isWrite;
            row["bytes"] = count.bytes;
            row["accesses"] = count.accesses;
            row["wavefronts"] = count.wavefronts.taken;
            row["ideal"] = count.wavefronts.ideal;
            rows.append(row);
        }
        return rows;
    });
}
