#pragma once
// Evaluations whose input and results stay in device memory:
//   prepare(system, ...);                       // whenever anything but the positions may have changed
//   ... write buffers().positions, on the device's stream ...
//   do enqueue(); while (!finish());            // or replay a recorded enqueue()
//   ... read buffers().forces, on the device's stream; or download() ...

#include "potential.h"

namespace so3krates::cuda {

// Columns of DeviceBuffers::sums. The strain columns are minus the virial.
enum MoleculeSum {
    NetworkEnergy,
    ZblEnergy,
    ElectrostaticEnergy,
    DispersionEnergy,
    Strain, // xx, yy, zz, yz, xz, xy; 0 if virials are not wanted
    Dipole = Strain + 6,
    NumMoleculeSums = Dipole + 3
};

// Addresses in device memory. Valid until prepare() changes generation(); finish() leaves them as they are.
struct DeviceBuffers {
    double *positions = nullptr;             // [N][3] Å, written by the caller; may lie outside the boxes
    double *cells = nullptr;                 // [molecules][3][3] Å, written by the caller where Enqueue::withCells
    const double *forces = nullptr;          // [N][3] eV/Å; null: not wanted
    const double *partialCharges = nullptr;  // [N] e
    const double *hirshfeldRatios = nullptr; // [N]
    const double *sums = nullptr;            // [molecules][NumMoleculeSums] eV, e Å
};

struct Enqueue {
    // Periodic molecules have the boxes in DeviceBuffers::cells and not those of prepare().
    bool withCells = false;
    // False: nobody will call finish(). Where it would have refused the results or asked for another try, and where a
    // box in `cells` is degenerate or has shrunk too much, the energies are NaN, and so they are in all such
    // evaluations after it.
    bool watched = true;
};

class DevicePotential : public Potential {
public:
    // Fixes everything but the positions (system.positions is not read), allocates and uploads what it needs. Costs a
    // comparison of the elements if nothing changed, and an upload of a few numbers per molecule if boxes changed. Not
    // while a graph is recorded. Throws InputError, DeviceError.
    virtual void prepare(const System &system, bool forces, bool virials) = 0;
    virtual DeviceBuffers buffers() const = 0;
    // Whether that prepare() would find everything done. anyBoxes: except for new numbers in boxes.
    virtual bool isPrepared(const System &system, bool forces, bool virials, bool anyBoxes) const = 0;

    // A recorded enqueue() may be replayed whenever this is what it was then. Changes with the atoms, with the wishes,
    // and when buffers had to grow. New numbers in boxes alone do not change it, unless a smaller box needs more
    // periodic images than there is room for. The number comes back with the wishes if nothing else changed.
    virtual unsigned long generation() const = 0;

    // Puts one evaluation of the present positions on the stream. Neither allocates nor waits; may be recorded as a
    // graph and replayed.
    virtual void enqueue(const Enqueue &how) = 0;
    void enqueue() { enqueue(Enqueue()); }

    // To be called after each enqueue() or replay, before the positions change. Waits until the neighbor lists of this
    // very evaluation are made (they are numbered); the later kernels may still run. True: the results are valid, in
    // stream order. False: lists did not fit; they have been given more room (generation() changed): enqueue() again,
    // with the positions that are there. Throws InputError: a position that is not a finite number below 1e8 Å,
    // coincident atoms; a box too small for the cutoff; an energy that is not finite in the evaluation before this one,
    // unless download() has told already.
    virtual bool finish() = 0;

    // Waits for the evaluation and copies what is wanted. Throws InputError if an energy is not finite.
    virtual void download(const Results &results) = 0;
};

} // namespace so3krates::cuda
