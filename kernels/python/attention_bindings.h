#pragma once

#include <pybind11/pybind11.h>

void bindAttention(pybind11::module_ &m);
