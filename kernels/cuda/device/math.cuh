// Elementary functions by one name for float and double. The host's compiler knows the same functions, so that the
// emulation computes what a GPU does, up to the last bits of the library.
#pragma once

namespace so3krates {
namespace cuda {

constexpr double pi = 3.141592653589793;

__device__ inline double notANumber() { return __longlong_as_double(0x7ff8000000000000LL); }
__device__ inline float exponential(float x) { return expf(x); }
__device__ inline double exponential(double x) { return exp(x); }
__device__ inline float squareRoot(float x) { return sqrtf(x); }
__device__ inline double squareRoot(double x) { return sqrt(x); }
__device__ inline float absolute(float x) { return fabsf(x); }
__device__ inline double absolute(double x) { return fabs(x); }
__device__ inline float largerOf(float x, float y) { return x > y ? x : y; }
__device__ inline double largerOf(double x, double y) { return x > y ? x : y; }
// 1 / x to the last bit or two: division to the last bit takes a dozen instructions and a branch. 0 for |x| > 2^126.
__device__ inline float reciprocal(float x) { return __fdividef(1.0f, x); }
__device__ inline double reciprocal(double x) { return 1 / x; }
// log(1 + x), exact for small x
__device__ inline float logOnePlus(float x) { return log1pf(x); }
__device__ inline double logOnePlus(double x) { return log1p(x); }
__device__ inline float hyperbolicTangent(float x) { return tanhf(x); }
__device__ inline double hyperbolicTangent(double x) { return tanh(x); }
__device__ inline float errorFunction(float x) { return erff(x); }
__device__ inline double errorFunction(double x) { return erf(x); }

__device__ inline float sinus(float x) { return sinf(x); }
__device__ inline double sinus(double x) { return sin(x); }
__device__ inline float cosinus(float x) { return cosf(x); }
__device__ inline double cosinus(double x) { return cos(x); }

// x^(1/7) for x > 0. In single precision by the fast logarithm, and one step of Newton's method to all digits.
__device__ inline double seventhRoot(double x) { return pow(x, 1.0 / 7); }
__device__ inline float seventhRoot(float x) {
    const float u = exp2f(log2f(x) * (1.0f / 7)), u3 = u * u * u;
    return u - (u - x / (u3 * u3)) * (1.0f / 7);
}

// x^n for n >= 0, exact for n = 0 and 1.
template <class T> __device__ inline T integerPower(T x, int n) {
    T y = 1;
    for (; n > 0; n /= 2, x *= x)
        if (n & 1)
            y *= x;
    return y;
}

} // namespace cuda
} // namespace so3krates
