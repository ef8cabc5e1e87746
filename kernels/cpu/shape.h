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
    constexpr int total() const { return count * stride; }
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
    constexpr int queryX() const { return 0; }
    constexpr int keyX() const { return block[0].total(); }
    constexpr int queryEv() const { return 2 * block[0].total(); }
    constexpr int keyEv() const { return queryEv() + block[1].total(); }
    constexpr int valueX() const { return queryEv() + 2 * block[1].total(); }
    constexpr int attentionRow() const { return valueX() + block[0].total(); }
    constexpr int query(int m) const { return m == 0 ? queryX() : queryEv(); }
    constexpr int key(int m) const { return m == 0 ? keyX() : keyEv(); }
    // One pair's row of attention coefficients [x i<-j | x j<-i | ev i<-j | ev j<-i]
    constexpr int alpha(int m, int direction) const {
        return m == 0 ? direction * block[0].count : 2 * block[0].count + direction * block[1].count;
    }
    constexpr int alphaRow() const { return 2 * (block[0].count + block[1].count); }
    // One row of gradients collected for an atom by pairs: as attentionRow, then dE/dev
    constexpr int gradientRow() const { return attentionRow() + euclidean; }
};

// The sizes before padding.
struct ShapeNumbers {
    int numFeatures, numHeads, numDegrees, degree[maxDegrees], numRadial, numSpherical, numLayers;
    int energyHidden, hirshfeldHidden; // 0: none
    constexpr bool operator==(const ShapeNumbers &o) const {
        for (int d = 0; d < numDegrees && numDegrees == o.numDegrees; d++)
            if (degree[d] != o.degree[d])
                return false;
        return numFeatures == o.numFeatures && numHeads == o.numHeads && numDegrees == o.numDegrees &&
               numRadial == o.numRadial && numSpherical == o.numSpherical && numLayers == o.numLayers &&
               energyHidden == o.energyHidden && hirshfeldHidden == o.hirshfeldHidden;
    }
};

// For vectors of `lanes` numbers.
constexpr Shape paddedShape(const ShapeNumbers &n, int lanes) {
    const auto pad = [lanes](int size) { return (size + lanes - 1) / lanes * lanes; };
    Shape s;
    s.numFeatures = n.numFeatures;
    s.features = pad(n.numFeatures);
    const int counts[2] = {n.numHeads, n.numDegrees};
    for (int m = 0; m < 2; m++) {
        s.block[m].count = counts[m];
        s.block[m].width = n.numFeatures / counts[m];
        s.block[m].stride = pad(s.block[m].width);
    }
    s.numDegrees = n.numDegrees;
    for (int d = 0; d < n.numDegrees; d++) {
        s.degree[d] = n.degree[d];
        s.degreeStart[d + 1] = s.degreeStart[d] + 2 * n.degree[d] + 1;
    }
    s.numEuclidean = s.degreeStart[n.numDegrees];
    s.euclidean = pad(s.numEuclidean);
    s.numRadial = n.numRadial;
    s.radial = pad(n.numRadial);
    s.numSpherical = n.numSpherical;
    s.spherical = pad(n.numSpherical);
    s.numLayers = n.numLayers;
    s.exchange = pad(n.numFeatures + n.numDegrees);
    s.energyHidden = n.energyHidden;
    s.energyHiddenPadded = pad(n.energyHidden);
    s.hirshfeldHidden = n.hirshfeldHidden;
    s.hirshfeldPadded = pad(n.hirshfeldHidden);
    return s;
}

// SO3LR (Kabylda et al., JACS 2025), for which there are kernels with these sizes known to the compiler.
constexpr ShapeNumbers so3lrShape = {128, 4, 4, {1, 2, 3, 4}, 32, 32, 3, 128, 64};

} // namespace so3krates::cpu
