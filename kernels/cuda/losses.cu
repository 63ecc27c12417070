// Losses fused with their gradients, each row by a team of threads (twin of fastmlp.losses.loss_and_gradient, which has
// the formulas).

struct LossGradient {
  int loss;
  const double *parameter;
  int parameters;  // their number
  const real *z;
  const long long *labels;
  const real *targets, *weights;
  Picks rows;
  real *out;
  int n, outputs;
  Reduction sum;
};

constexpr real EPSILON = sizeof(real) == 4 ? 0x1p-23 : 0x1p-52;  // probabilities are clipped to [EPSILON, 1 - EPSILON]

__device__ inline real clipped_log(real p) {
  return log(p < EPSILON ? EPSILON : p > 1 - EPSILON ? 1 - EPSILON : p);
}

// What is known of a sample: its class, or a target for each output; its weight.
struct Truth {
  const real *target;
  int label;
  real weight;
  __device__ Truth(const LossGradient &a, long long sample)
      : target(a.labels ? nullptr : a.targets + sample * a.outputs), label(a.labels ? int(a.labels[sample]) : 0),
        weight(a.weights ? a.weights[sample] : real(1)) {}
  __device__ real operator()(int j) const { return target ? target[j] : real(j == label); }
};

// ℓ = -Σ y log softmax(z), with soft targets of any mass; or, as scikit-learn reports it, of clipped probabilities.
__device__ inline double of_softmax(const LossGradient &a, const Part &part) {
  const long long *sample = numbers(a.rows);
  const bool clipped = a.loss == CLIPPED_SOFTMAX_CROSS_ENTROPY, soft = !a.labels && !clipped;
  double sum = 0;
  over_rows(part, a.n, a.outputs, [&](const Team &team, long long row, int columns) {
    const real *z = a.z + row * a.outputs;
    real *out = a.out + row * a.outputs;
    const Exponentials of_row = exponentials([=](int j) { return z[j]; }, columns, team, part.scratch);
    const Truth y(a, columns ? sample[row] : 0);
    real mass = 1;
    if (soft) {
      mass = 0;
      for (int j = team.member; j < columns; j += team.size) mass += y(j);
      mass = over_team<Sum>(mass, team, part.scratch);
    }
    const double log_total = double(of_row.highest) + log(of_row.total);
    for (int j = team.member; j < columns; j += team.size) {
      const real p = of_row.softmax(z[j]), target = y(j);
      if (target != 0) sum += double(y.weight) * target * (clipped ? double(-clipped_log(p)) : log_total - z[j]);
      out[j] = y.weight * (mass * p - target);
    }
  });
  return sum;
}

// The losses that are sums or means over the outputs: ℓ of one output, and ∂ℓ/∂z; of squares ½ r² and r.
__device__ inline real of_output(int loss, const double *parameter, real z, real y, real &gradient) {
  const real r = z - y;
  switch (loss) {
    case BINARY_CROSS_ENTROPY:
      gradient = sigmoid(z) - y;
      return softplus(z) - y * z;
    case CLIPPED_BINARY_CROSS_ENTROPY: {
      const real p = sigmoid(z);
      gradient = p - y;
      return -(y == 0 ? 0 : y * clipped_log(p)) - (y == 1 ? 0 : (1 - y) * clipped_log(1 - p));
    }
    case POISSON: {
      const real rate = exp(z);
      gradient = rate - y;
      return rate - y + (y > 0 ? y * (log(y) - z) : 0);
    }
    // where r is neither positive nor negative the gradient is r: 0, or NaN
    case ABSOLUTE_ERROR:
      gradient = r > 0 ? 1 : r < 0 ? -1 : r;
      return fabs(r);
    case QUANTILE: {
      const real q = real(*parameter), slope = r > 0 ? 1 - q : -q;
      gradient = r != 0 && r == r ? slope : r;
      return slope * r;
    }
    case HUBER: {
      const real bend = real(*parameter), size = fabs(r);
      const bool outside = size > bend;
      gradient = outside ? (r > 0 ? bend : -bend) : r;
      return outside ? bend * (size - real(0.5) * bend) : real(0.5) * r * r;
    }
#ifdef CUSTOM_LOSS
    case CUSTOM:
      gradient = custom_gradient(z, y);
      return custom_value(z, y);
#endif
    default:
      gradient = r;
      return real(0.5) * r * r;
  }
}

__device__ inline double of_outputs(const LossGradient &a, const Part &part) {
  const long long *sample = numbers(a.rows);
  const int loss = a.loss;
  const real mean = real(1) / a.outputs;
  // what becomes of ℓ and its gradient as `of_output` has them
  const bool is_mean = loss == MEAN_SQUARED_ERROR || loss == ABSOLUTE_ERROR || loss == HUBER || loss == QUANTILE;
  const bool doubled = loss == SQUARED_ERROR || loss == MEAN_SQUARED_ERROR;
  const real factor = (doubled ? 2 : 1) * (is_mean ? mean : 1);
  const real loss_factor = loss == HALF_MEAN_SQUARED_ERROR ? mean : factor;
  const bool several = a.parameters > 1;  // one for each output
  double sum = 0;
  over_rows(part, a.n, a.outputs, [&](const Team &team, long long row, int columns) {
    const Truth y(a, columns ? sample[row] : 0);
    const real *z = a.z + row * a.outputs;
    real *out = a.out + row * a.outputs;
    for (int j = team.member; j < columns; j += team.size) {
      real gradient;
      sum += double(y.weight) * of_output(loss, a.parameter + (several ? j : 0), z[j], y(j), gradient);
      out[j] = y.weight * (factor * gradient);
    }
  });
  return loss_factor * sum;
}

// out (n, outputs) = s ∂ℓ/∂z, *sum.out = Σ s ℓ. Targets are targets[rows], or one-hot rows of labels[rows] if there are
// labels; s is weights[rows], or 1 without weights.
__device__ void run(const LossGradient &a, const Part &part) {
  const bool softmax = a.loss == SOFTMAX_CROSS_ENTROPY || a.loss == CLIPPED_SOFTMAX_CROSS_ENTROPY;
  over_grid<Sum>(softmax ? of_softmax(a, part) : of_outputs(a, part), a.sum, part);
}
OPERATION(loss_gradient, LossGradient)
