#include "cuda/device_memory.h"

#include <cmath>
#include <map>

#include "cuda/cuda_potential.h"
#include "cuda/kernel_options.h"
#include "cuda/neighbor_lists.h"

namespace so3krates::cuda {

namespace {

// Counts, computes nothing. What the lists' kernels would tell the host is that the rows were as long as given.
class CountingDevice : public Device {
public:
    explicit CountingDevice(const LongestRows &rows) {
        status.candidatesNeeded = rows.candidates;
        status.edgesNeeded = rows.edges;
        status.farNeeded = rows.far;
    }
    size_t bytes() const { return live; }

    void *allocate(size_t bytes) override {
        void *address = reinterpret_cast<void *>(next += 256); // never followed
        sizes[address] = bytes;
        live += bytes;
        return address;
    }
    void release(void *pointer) noexcept override {
        const auto block = sizes.find(pointer);
        live -= block->second;
        sizes.erase(block);
    }
    std::unique_ptr<Notice> notice(size_t) override { return std::make_unique<Rows>(status); }
    void upload(void *, const void *, size_t) override {}
    void download(void *, const void *, size_t) override {}
    void clear(void *, size_t) override {}
    void launch(const char *, const LaunchSize &, const void *, size_t) override {}
    void copy(void *, const void *, size_t) override {}
    void synchronize() override {}
    void follow(void *) override {}
    void recordInto(void *, const std::function<void()> &work) override { work(); }
    void checkAddress(const void *, const std::string &) const override {}
    bool hasTensorCores() const override { return wantTensorCores(); } // as of GPUs from compute capability 8.0 on
    int numMultiprocessors() const override { return 1; }
    std::string name() const override { return "counted"; }

private:
    struct Rows : Notice {
        explicit Rows(ListStatus &status) : status(status) {}
        void post(const void *) override { status.builds++; }
        void join() override {}
        const void *wait() override { return &status; }
        ListStatus &status;
    };
    ListStatus status{};
    std::map<void *, size_t> sizes;
    size_t next = 0, live = 0;
};

// The same prepare(), enqueue(), accept() as in an evaluation.
size_t listBytes(const System &system, const LongestRows &rows, double cutoff, double lrCutoff) {
    const auto device = std::make_shared<CountingDevice>(rows);
    DeviceNeighborLists lists(device);
    std::vector<int> offsets{0, system.numAtoms};
    if (system.offsets)
        offsets.assign(system.offsets, system.offsets + system.numMolecules + 1);
    std::vector<Box> boxes;
    for (int m = 0; m < system.numMolecules; m++)
        boxes.push_back(Box::from(system.cells ? system.cells + 9L * m : nullptr));
    Atoms atoms{};
    atoms.numAtoms = system.numAtoms;
    atoms.numMolecules = system.numMolecules;
    lists.prepare(atoms, offsets, boxes, cutoff, lrCutoff);
    do {
        lists.enqueue();
        lists.join();
        lists.wait();
    } while (!lists.accept());
    return device->bytes();
}

} // namespace

DeviceMemory deviceMemory(std::shared_ptr<const Model> model, const Options &options, const System &system,
                          const LongestRows &rows, bool forces, bool virials) {
    const Hyperparameters &hyper = model->hyperparameters();
    const auto device = std::make_shared<CountingDevice>(rows);
    DeviceMemory memory;
    const auto potential = makeCudaPotential(model, options, device);
    memory.model = device->bytes();
    potential->prepare(system, forces, virials);
    do
        potential->enqueue();
    while (!potential->finish());
    memory.total = device->bytes();
    const bool longRange = hyper.electrostatics || hyper.dispersion;
    memory.lists = listBytes(system, rows, hyper.cutoff, longRange ? options.lrCutoff : 0);
    return memory;
}

double listSkin() { return DeviceNeighborLists::Settings().skin; }

} // namespace so3krates::cuda
