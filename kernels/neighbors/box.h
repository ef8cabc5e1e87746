#pragma once
// One molecule's periodic box (or none), in Å.

#include <vector>

namespace so3krates {

struct Box {
    bool periodic = false;
    double vectors[3][3] = {}; // rows
    double inverse[3][3] = {}; // fractional = position * inverse
    double heights[3] = {};    // distance between opposite faces

    // cell: nine numbers or null; all 0 means no periodicity. Throws InputError if they are not finite or the box is
    // degenerate (a height below 0.5 Å).
    static Box from(const double *cell);
    // Moves a position into the box; shift: how many box vectors were added.
    void wrap(double position[3], int shift[3]) const;
};

// Translations by whole box vectors, up to range[k] of them along each.
struct Images {
    int range[3] = {0, 0, 0};
    std::vector<double> shifts; // [images][3] Å

    void set(const Box &box, const int range[3]);
    int index(int a, int b, int c) const {
        return ((a + range[0]) * (2 * range[1] + 1) + b + range[1]) * (2 * range[2] + 1) + c + range[2];
    }
    void vector(int image, int out[3]) const;
};

} // namespace so3krates
