// Penalties, clipping and update rules, each in one pass over flat buffers.

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
  Scalar l1, l2, scale;
  real *out;
  long long n, n_weights;
};

// out = scale (out + l2 w + l1 sign(w)) for the weights w, which are the first of n, and scale out for the rest
__device__ void run(const Regularize &a, const Part &part) {
  const real l1 = real(value(a.l1)), l2 = real(value(a.l2)), scale = real(value(a.scale));
  const auto weight = [=](const real &w, real &out) {
    out = scale * (out + (l2 * w + (w > 0 ? l1 : w < 0 ? -l1 : w)));
  };
  each(part, a.n_weights, weight, a.w, a.out);
  each(part, a.n - a.n_weights, [=](real &out) { out *= scale; }, a.out + a.n_weights);
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

struct ApplyRule {
  int rule;
  real *w;
  const real *g;
  real *moments;  // (M, n)
  Scalar rate1, rate2, rate3;
  const double *constants;
  long long n;
};

// Adam of doubles would else take 68 registers a thread, and only three blocks have so many.
template <> constexpr int BLOCKS_AT_ONCE<ApplyRule> = 4;

// w and the moments after an update along g. The rules are generated from fastmlp.optimizers.
__device__ void run(const ApplyRule &a, const Part &part) {
  switch (a.rule) {
// generated: rules
    default: each(part, a.n, [=](real &w) { w = NOT_A_NUMBER; }, a.w);
  }
}
OPERATION(apply_rule, ApplyRule)
