// Activations of single numbers and their derivatives. Written by hand are those that other kernels name; the others are
// generated from fastmlp.activations. Softmax needs whole rows, see elementwise.cu. Comparisons are written so that a
// NaN, which fails all of them, stays a NaN.

// exp overflows to infinity where the result is 0 anyway
__device__ inline real sigmoid(real z) { return 1 / (1 + exp(-z)); }

// log(exp(a) + exp(b)) without overflow
__device__ inline real log_add_exp(real a, real b) { return (a > b ? a : b) + log1p(exp(-fabs(a - b))); }

// The result for an unknown code, which the host refuses before any launch.
#define NOT_A_NUMBER real(__longlong_as_double(0x7ff8000000000000LL))

// Whether the derivative cannot be computed from the output: then `activate` gives it as the slope.
__device__ inline bool stores_slope(int code) {
  switch (code) {
// generated: whether σ' is stored
    default: return false;
  }
}

// σ(x), and slope = σ'(x) if the activation stores it; else slope stays as it is.
__device__ inline real activate(int code, real x, real &slope) {
  switch (code) {
    case IDENTITY: return x;
    case RELU: return x < 0 ? real(0) : x;
    case THRESHOLD: return x >= 0 ? real(1) : real(0);
// generated: values
    default: return NOT_A_NUMBER;
  }
}

// ∂L/∂z from d = ∂L/∂σ and x, which is σ(z), or the slope if the activation stores it.
__device__ inline real pullback(int code, real x, real d) {
  switch (code) {
    case IDENTITY:
    case THRESHOLD: return d;
    case RELU: return x > 0 ? d : real(0);
// generated: derivatives
    default: return stores_slope(code) ? d * x : NOT_A_NUMBER;
  }
}
