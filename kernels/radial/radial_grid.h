#pragma once
// The grid of the radial splines: fine where networks bend, near zero, and wider beyond, so that the intervals that
// most pairs fall into take little memory and stay in a processor's caches.

namespace so3krates {

struct RadialGrid {
    double inverseStep = 0; // 1/Å, of the fine intervals
    int fine = 0;           // of them, the first ones
    int coarsening = 1;     // how much wider the others are
    int intervals = 0;      // all; 0: no grid

    // From 0 Å to the cutoff, where `fine` + coarsening * (intervals - fine) fine intervals would fit.
    double start(int interval) const { // Å; of interval `intervals`: the cutoff
        return (interval < fine ? interval : fine + (interval - fine) * coarsening) / inverseStep;
    }
    int width(int interval) const { return interval < fine ? 1 : coarsening; } // fine intervals

    struct Place {
        int interval;
        double position;    // in it, 0 to 1
        double inverseStep; // 1/Å, of the interval
    };
    Place place(double distance) const { // 0 Å to the cutoff
        double x = distance * inverseStep, inverse = inverseStep;
        if (x >= fine) {
            const double narrower = 1.0 / coarsening;
            x = fine + (x - fine) * narrower;
            inverse *= narrower;
        }
        const int interval = x < intervals ? int(x) : intervals - 1;
        return {interval, x - interval, inverse};
    }
};

} // namespace so3krates
