#pragma once
// The sizes of a model as the CPU kernels see them: every row is padded to whole vectors, so loops have no remainder.
// Padded entries hold zeros (weights, features) and never influence a result.

namespace so3krates::cpu {

constexpr int maxDegrees = 5;
constexpr int maxEuclidean = 25;
constexpr int maxRadial = 512;

// The two attention blocks of a layer: 0 updates the features x (blocks = heads), 1 updates the Euclidean variables
// (blocks = degrees). Each cuts the F features in `count` blocks of `width`, stored `stride` apart.
struct BlockLayout {
    int count = 0, width = 0, stride = 0;
    int total() const { return count * stride; }
};

struct Shape {
    int numFeatures = 0, features = 0;                   // F and F padded
    BlockLayout block[2];                                // x, ev
    int numDegrees = 0, numEuclidean = 0, euclidean = 0; // D, M and M padded
    int degree[maxDegrees] = {};                         // l of degree index d
    int degreeStart[maxDegrees + 1] = {};                // first component of degree index d
    int numRadial = 0, radial = 0;                       // K and K padded
    int numSpherical = 0, spherical = 0;                 // S and S padded; the two filters' rows lie side by side
    int numLayers = 0;
    int exchange = 0;                             // F + D padded
    int energyHidden = 0, energyHiddenPadded = 0; // 0: no hidden layer
    int hirshfeldHidden = 0, hirshfeldPadded = 0;

    // One atom's row [q_x | k_x | q_ev | k_ev | v_x]
    int queryX() const { return 0; }
    int keyX() const { return block[0].total(); }
    int queryEv() const { return 2 * block[0].total(); }
    int keyEv() const { return queryEv() + block[1].total(); }
    int valueX() const { return queryEv() + 2 * block[1].total(); }
    int attentionRow() const { return valueX() + block[0].total(); }
    int query(int m) const { return m == 0 ? queryX() : queryEv(); }
    int key(int m) const { return m == 0 ? keyX() : keyEv(); }
    // One pair's row of attention coefficients [x i<-j | x j<-i | ev i<-j | ev j<-i]
    int alpha(int m, int direction) const {
        return m == 0 ? direction * block[0].count : 2 * block[0].count + direction * block[1].count;
    }
    int alphaRow() const { return 2 * (block[0].count + block[1].count); }
    // One row of gradients collected for an atom by pairs: as attentionRow, then dE/dev
    int gradientRow() const { return attentionRow() + euclidean; }
};

} // namespace so3krates::cpu
