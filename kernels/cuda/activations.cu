// Activations of single numbers and their derivatives (twins of fastmlp.activations, which has the formulas). Softmax
// needs whole rows, see elementwise.cu. A NaN fails all comparisons; they are written so that it stays visible.

constexpr double SQRT_HALF = 0.70710678118654752440;
constexpr double DENSITY = 0.39894228040143267794;     // 1 / sqrt(2π)
constexpr double TANH_SCALE = 0.79788456080286535588;  // sqrt(2/π)
constexpr double TANH_CUBE = 0.044715;

// Whether the derivative cannot be had from the output, so that `activate` gives it.
__device__ inline bool stores_slope(int code) { return code == GELU || code == GELU_TANH || code == SILU; }

// exp overflows to infinity where the result is 0 anyway
__device__ inline real sigmoid(real z) { return 1 / (1 + exp(-z)); }

// log(1 + exp(z)) without overflow
__device__ inline real softplus(real z) { return (z > 0 ? z : real(0)) + log1p(exp(-fabs(z))); }

// σ(z); for the GELUs and SiLU also slope = σ'(z), which is left alone otherwise.
__device__ inline real activate(int code, real z, real &slope) {
  constexpr real half = real(0.5), one = real(1);
  switch (code) {
    case RELU: return z < 0 ? real(0) : z;
    case LEAKY_RELU: return z < 0 ? real(LEAK) * z : z;
    case ELU: return z < 0 ? expm1(z) : z;
    case SIGMOID: return sigmoid(z);
    case TANH: return tanh(z);
    case SOFTPLUS: return softplus(z);
    case GELU: {
      const real cdf = half * (one + erf(z * real(SQRT_HALF)));
      slope = cdf + z * real(DENSITY) * exp(-half * z * z);
      return z * cdf;
    }
    case GELU_TANH: {
      const real scale = real(TANH_SCALE), cube = real(TANH_CUBE) * z * z;
      const real t = tanh(scale * (z + cube * z));
      slope = half * (one + t) + half * z * (one - t * t) * scale * (one + 3 * cube);
      return half * z * (one + t);
    }
    case SILU: {
      const real s = sigmoid(z), a = z * s;
      slope = s + a - a * s;
      return a;
    }
    case THRESHOLD: return z >= 0 ? one : real(0);
    default: return z;
  }
}

// σ'(z) from a = σ(z), or the slope that `activate` gave.
__device__ inline real derivative(int code, real a, real slope) {
  constexpr real one = real(1);
  switch (code) {
    case IDENTITY:
    case THRESHOLD: return one;
    case RELU: return a > 0 ? one : real(0);
    case LEAKY_RELU: return a > 0 ? one : real(LEAK);
    case ELU: return a < 0 ? a + one : one;  // exp(z) = a + 1 left of zero
    case SIGMOID: return a * (one - a);
    case TANH: return one - a * a;
    case SOFTPLUS: return -expm1(-a);  // sigmoid(z) = 1 - exp(-softplus(z))
    default: return slope;
  }
}
