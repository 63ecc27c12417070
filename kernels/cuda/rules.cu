// Penalties, clipping and update rules, each in one pass over flat buffers (twins of NumpyOps, which has the formulas).

struct Penalty {
  const real *w;
  Scalar l1, l2;
  long long n;
  Reduction sum;
};

// *sum.out = l1 Σ|w| + ½ l2 Σ w²
__device__ void run(const Penalty &a, const Part &part) {
  double sizes = 0, squares = 0;
  each(part, a.n, [&](const real &w) { sizes += fabs(w), squares += double(w) * w; }, a.w);
  over_grid<Sum>(value(a.l1) * sizes + 0.5 * value(a.l2) * squares, a.sum, part);
}
OPERATION(penalty, Penalty)

struct Regularize {
  const real *w;
  Scalar l1, l2;
  real *out;
  long long n;
};

// out += l2 w + l1 sign(w)
__device__ void run(const Regularize &a, const Part &part) {
  const real l1 = real(value(a.l1)), l2 = real(value(a.l2));
  each(part, a.n, [=](const real &w, real &out) { out += l2 * w + (w > 0 ? l1 : w < 0 ? -l1 : w); }, a.w, a.out);
}
OPERATION(regularize, Regularize)

// Clipping: g is scaled down to the norm max_norm if it is longer. Its norm is taken relative to the largest entry,
// since the squares of an exploding gradient overflow where clipping is for.

struct Peak {
  const real *g;
  long long n;
  Reduction peak;
};

// *peak.out = max |g|, NaN if there is one
__device__ void run(const Peak &a, const Part &part) {
  real peak = 0;
  each(part, a.n, [&](const real &g) { peak = Max::of(real(fabs(g)), peak); }, a.g);
  over_grid<Max>(peak, a.peak, part);
}
OPERATION(peak, Peak)

struct GradientNorm {
  const real *g;
  long long n;
  const double *peak;
  Reduction norm;
};

// *norm.out = the Euclidean norm; the peak itself if that is infinity or NaN. (`norm` is a function of CUDA.)
__device__ void run(const GradientNorm &a, const Part &part) {
  const double peak = *a.peak, unit = peak < 0x1p-1000 ? 0x1p-1000 : peak, inverse = 1 / unit;
  double sum = 0;
  each(part, a.n, [&](const real &g) { sum += g * inverse * (g * inverse); }, a.g);
  if (over_grid<Sum>(sum, a.norm, part) && threadIdx.x == 0)
    *a.norm.out = peak < INFINITE ? unit * sqrt(*a.norm.out) : peak;
}
OPERATION(gradient_norm, GradientNorm)

struct Rescale {
  real *g;
  long long n;
  const double *norm;
  double max_norm;
};

__device__ void run(const Rescale &a, const Part &part) {
  if (!(*a.norm > a.max_norm)) return;
  const real factor = real(a.max_norm / *a.norm);
  each(part, a.n, [=](real &g) { g *= factor; }, a.g);
}
OPERATION(rescale, Rescale)

struct Sgd {
  real *w;
  const real *g;
  real *velocity;
  Scalar lr;
  real momentum;
  int nesterov;
  long long n;
};

// velocity null: no momentum
__device__ void run(const Sgd &a, const Part &part) {
  const real lr = real(value(a.lr)), momentum = a.momentum;
  const bool nesterov = a.nesterov;
  if (!a.velocity) return each(part, a.n, [=](real &w, const real &g) { w -= lr * g; }, a.w, a.g);
  const auto rule = [=](real &w, const real &g, real &velocity) {
    velocity = momentum * velocity - lr * g;
    w += nesterov ? momentum * velocity - lr * g : velocity;
  };
  each(part, a.n, rule, a.w, a.g, a.velocity);
}
OPERATION(sgd, Sgd)

// 1 - β is taken of the double: in float32 it would have no more than three or four digits.

struct Adam {
  real *w;
  const real *g;
  real *m, *v;
  Scalar step_size, epsilon;
  double beta1, beta2;
  long long n;
};

__device__ void run(const Adam &a, const Part &part) {
  const real step_size = real(value(a.step_size)), epsilon = real(value(a.epsilon));
  const real beta1 = real(a.beta1), beta2 = real(a.beta2), rest1 = real(1 - a.beta1), rest2 = real(1 - a.beta2);
  const auto rule = [=](real &w, const real &g, real &m, real &v) {
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * (g * g);
    w -= step_size * (m / (sqrt(v) + epsilon));
  };
  each(part, a.n, rule, a.w, a.g, a.m, a.v);
}
OPERATION(adam, Adam)

struct Rmsprop {
  real *w;
  const real *g;
  real *v;
  Scalar lr, epsilon;
  double rho;
  long long n;
};

__device__ void run(const Rmsprop &a, const Part &part) {
  const real lr = real(value(a.lr)), epsilon = real(value(a.epsilon)), rho = real(a.rho), rest = real(1 - a.rho);
  const auto rule = [=](real &w, const real &g, real &v) {
    v = rho * v + rest * (g * g);
    w -= lr * (g / (sqrt(v) + epsilon));
  };
  each(part, a.n, rule, a.w, a.g, a.v);
}
OPERATION(rmsprop, Rmsprop)
