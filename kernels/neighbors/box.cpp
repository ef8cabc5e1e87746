#include "neighbors/box.h"

#include <cmath>

#include "potential.h"

namespace so3krates {

namespace {
constexpr double mostImages = 1e6; // their shifts are stored, and their numbers fit an int
} // namespace

Box Box::from(const double *cell) {
    Box box;
    if (!cell)
        return box;
    bool zero = true;
    for (int k = 0; k < 9; k++) {
        if (!std::isfinite(cell[k]))
            throw InputError("the box has a component that is not a finite number");
        zero = zero && cell[k] == 0;
        box.vectors[k / 3][k % 3] = cell[k];
    }
    if (zero)
        return box;
    box.periodic = true;
    double cross[3][3]; // a_{k+1} x a_{k+2}
    for (int k = 0; k < 3; k++) {
        const double *b = box.vectors[(k + 1) % 3], *c = box.vectors[(k + 2) % 3];
        for (int x = 0; x < 3; x++)
            cross[k][x] = b[(x + 1) % 3] * c[(x + 2) % 3] - b[(x + 2) % 3] * c[(x + 1) % 3];
    }
    const double volume =
        box.vectors[0][0] * cross[0][0] + box.vectors[0][1] * cross[0][1] + box.vectors[0][2] * cross[0][2];
    for (int k = 0; k < 3; k++) {
        const double area =
            std::sqrt(cross[k][0] * cross[k][0] + cross[k][1] * cross[k][1] + cross[k][2] * cross[k][2]);
        box.heights[k] = area > 0 ? std::abs(volume) / area : 0;
        if (!(box.heights[k] >= 0.5))
            throw InputError("the box is degenerate: its opposite faces are less than 0.5 Å apart. Give three box "
                             "vectors (rows, in Å) that span a volume, or no box");
        for (int x = 0; x < 3; x++)
            box.inverse[x][k] = cross[k][x] / volume;
    }
    return box;
}

void Box::wrap(double position[3], int shift[3]) const {
    double fraction[3], out[3] = {position[0], position[1], position[2]};
    for (int k = 0; k < 3; k++) {
        fraction[k] = position[0] * inverse[0][k] + position[1] * inverse[1][k] + position[2] * inverse[2][k];
        const double whole = std::floor(fraction[k]);
        shift[k] = -int(whole);
        for (int x = 0; x < 3; x++)
            out[x] -= whole * vectors[k][x];
    }
    for (int x = 0; x < 3; x++)
        position[x] = out[x];
}

void Images::set(const Box &box, const int newRange[3]) {
    double count = 1;
    for (int k = 0; k < 3; k++)
        count *= 2.0 * newRange[k] + 1;
    if (count > mostImages)
        throw InputError("the cutoff (lr_cutoff) spans more than a million periodic images of the box. Use a smaller "
                         "lr_cutoff, for example 12 Å, or a larger box");
    for (int k = 0; k < 3; k++)
        range[k] = newRange[k];
    shifts.clear();
    for (int a = -range[0]; a <= range[0]; a++)
        for (int b = -range[1]; b <= range[1]; b++)
            for (int c = -range[2]; c <= range[2]; c++)
                for (int x = 0; x < 3; x++)
                    shifts.push_back(a * box.vectors[0][x] + b * box.vectors[1][x] + c * box.vectors[2][x]);
}

void Images::vector(int image, int out[3]) const {
    const int nc = 2 * range[2] + 1, nb = 2 * range[1] + 1;
    out[2] = image % nc - range[2];
    out[1] = image / nc % nb - range[1];
    out[0] = image / (nc * nb) - range[0];
}

} // namespace so3krates
