// The attention of one layer between arrays; openmm_so3krates/ops.py is the user's interface.

#include "attention_bindings.h"

#include <unistd.h>

#include <mutex>

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "attention_operator.h"
#include "cuda/cuda_attention.h"
#include "cuda_bindings.h"
#include "potential.h"
#include "python/device_attention.h"

namespace py = pybind11;
using namespace so3krates;

namespace {

// On the host. Rows as in AttentionInput; ops.py has checked the shapes.
template <class T> class PythonAttention {
public:
    using Rows = py::array_t<T, py::array::c_style | py::array::forcecast>;
    using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;

    PythonAttention(const std::shared_ptr<Model> &model, int threads)
        : operation(cpu::makeAttentionOperator<T>(model, makeThreadTeam(threads))) {}
    // In a child process after fork() the threads are not there to be joined. (ops.py makes a new one to compute with.)
    ~PythonAttention() {
        if (getpid() != process)
            (void)operation.release();
    }

    // rows: query_x, key_x, value_x, query_ev, key_ev, ev; upstream: none, or the gradients by both messages. Returns
    // the messages and, with upstream, the gradients by rows, by positions, and by strain (6,).
    py::tuple compute(int layer, const Doubles &positions, const Doubles &cell, const std::vector<Rows> &rows,
                      const std::vector<Rows> &upstream) {
        const py::ssize_t N = positions.shape(0), F = rows[0].shape(1), M = rows[5].shape(1);
        AttentionInput<T> input;
        input.layer = layer;
        input.numAtoms = int(N);
        input.positions = positions.data();
        input.cell = cell.size() ? cell.data() : nullptr;
        const T **const in[6] = {&input.queryX, &input.keyX, &input.valueX, &input.queryEv, &input.keyEv, &input.ev};
        for (int k = 0; k < 6; k++)
            *in[k] = rows[k].data();
        AttentionOutput<T> output{};
        auto newRows = [&](std::vector<py::ssize_t> shape, T *&pointer) {
            Rows array(shape);
            pointer = array.mutable_data();
            return array;
        };
        const Rows message = newRows({N, F}, output.message), ev = newRows({N, M}, output.evMessage);
        py::list gradients;
        Doubles byPositions(std::vector<py::ssize_t>{N, 3}), byStrain(6);
        if (!upstream.empty()) {
            input.messageGradient = upstream[0].data();
            input.evGradient = upstream[1].data();
            T **const out[6] = {&output.queryX,  &output.keyX,  &output.valueX,
                                &output.queryEv, &output.keyEv, &output.ev};
            for (int k = 0; k < 6; k++)
                gradients.append(newRows({N, k < 5 ? F : M}, *out[k]));
            output.positions = byPositions.mutable_data();
            output.strain = byStrain.mutable_data();
        }
        {
            py::gil_scoped_release release;
            std::lock_guard<std::mutex> lock(mutex); // one work space: calls take turns
            operation->compute(input, output);
        }
        if (upstream.empty())
            return py::make_tuple(message, ev);
        return py::make_tuple(message, ev, gradients, byPositions, byStrain);
    }

private:
    std::unique_ptr<AttentionOperator<T>> operation;
    std::mutex mutex;
    pid_t process = getpid();
};

// On the GPU that "cuda" or "cuda:INDEX" names.
template <class T> class PythonDeviceAttention {
public:
    PythonDeviceAttention(const std::shared_ptr<Model> &model, std::optional<int> index)
        : device(openCudaDevice(model->hyperparameters(),
                                sizeof(T) == sizeof(double) ? Precision::Double : Precision::Single, index)),
          operation(cuda::makeAttentionOperator<T>(model, device)) {}
    void compute(int layer, int numAtoms, std::uintptr_t positions, const py::array_t<double> &cell,
                 const std::vector<std::uintptr_t> &rows, const std::vector<std::uintptr_t> &upstream,
                 const std::vector<std::uintptr_t> &outputs, std::uintptr_t stream) {
        computeAttention(*operation, *device, mutex, layer, numAtoms, positions, cell, rows, upstream, outputs, stream);
    }

private:
    std::shared_ptr<cuda::Device> device;
    std::unique_ptr<AttentionOperator<T>> operation;
    std::mutex mutex;
};

template <class T> void bindOnDevice(py::module_ &m, const char *name) {
    py::class_<PythonDeviceAttention<T>>(m, name)
        .def(py::init<const std::shared_ptr<Model> &, std::optional<int>>(), py::arg("model"), py::arg("index"))
        .def("compute", &PythonDeviceAttention<T>::compute);
}

template <class T> void bind(py::module_ &m, const char *name) {
    py::class_<PythonAttention<T>>(m, name)
        .def(py::init<const std::shared_ptr<Model> &, int>(), py::arg("model"), py::arg("threads"))
        .def("compute", &PythonAttention<T>::compute, py::arg("layer"), py::arg("positions"), py::arg("cell"),
             py::arg("rows"), py::arg("upstream"));
}

} // namespace

void bindAttention(py::module_ &m) {
    bind<float>(m, "AttentionSingle");
    bind<double>(m, "AttentionDouble");
    bindOnDevice<float>(m, "DeviceAttentionSingle");
    bindOnDevice<double>(m, "DeviceAttentionDouble");
}
