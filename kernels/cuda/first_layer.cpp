#include "cuda/first_layer.h"

#include <algorithm>

#include "cuda/spline_grid.h"

namespace so3krates::cuda {

template <class T>
FirstLayerAttention<T>::FirstLayerAttention(std::shared_ptr<const Model> model,
                                            std::shared_ptr<const RadialTable> table, std::shared_ptr<Device> device)
    : model(model), grid(splineGrid(table ? table->grid : RadialGrid())), tables(model, table, 1, firstLayerMostRow),
      deviceTables(device), products(device), kind(device), example(device), slot(device) {
    static_assert(FirstLayerTables<T>::mostKinds == firstLayerKinds, "the kernels' shared memory");
}

template <class T> void FirstLayerAttention<T>::update(const std::vector<double> &initialFeatures, int numAtoms) {
    tables.prepare(initialFeatures, numAtoms);
    if (!tables.available())
        return;
    const int slots = tables.numKinds();
    if (uploaded != tables.generation()) {
        uploaded = 0; // should the upload fail
        std::vector<T> all;
        all.reserve(tables.tableSize() * slots * slots);
        for (int receiver = 0; receiver < slots; receiver++)
            for (int sender = 0; sender < slots; sender++) {
                const T *table = tables.table(receiver, sender);
                all.insert(all.end(), table, table + tables.tableSize());
            }
        deviceTables.upload(all);
        uploaded = tables.generation();
    }
    std::vector<int> kinds(numAtoms), examples, slotOf, kindOf(slots, -1);
    for (int i = 0; i < numAtoms; i++) {
        int &number = kindOf[tables.kinds()[i]];
        if (number < 0) {
            number = int(examples.size());
            examples.push_back(i);
            slotOf.push_back(tables.kinds()[i]);
        }
        kinds[i] = number;
    }
    kind.upload(kinds);
    example.upload(examples);
    slot.upload(slotOf);
    numKinds = int(examples.size());
    products.ensure(size_t(numAtoms) * numKinds * model->hyperparameters().numHeads);
}

template <class T> FirstLayerArguments<T> FirstLayerAttention<T>::arguments() const {
    const Hyperparameters &h = model->hyperparameters();
    FirstLayerArguments<T> a{};
    a.cutoff = h.cutoff;
    a.grid = grid;
    a.tableRow = tables.row();
    a.table = deviceTables.get();
    a.slot = slot.get();
    a.kind = kind.get();
    a.example = example.get();
    a.numKinds = numKinds;
    a.numSlots = tables.numKinds();
    a.products = products.get();
    return a;
}

template <class T> FirstLayerProducts<T> FirstLayerAttention<T>::productArguments(const T *values) const {
    FirstLayerProducts<T> a{};
    a.values = values;
    a.example = example.get();
    a.products = products.get();
    a.numKinds = numKinds;
    return a;
}

template class FirstLayerAttention<float>;
template class FirstLayerAttention<double>;

} // namespace so3krates::cuda
