// Losses fused with their gradients, each row by a team of threads.

struct LossGradient {
  int loss;
  const double *parameter;
  int parameters, value_is_mean, gradient_is_mean;  // number of parameters; over the outputs, or their sum
  const real *z;
  const long long *labels;
  const real *targets, *weights;
  Picks rows;
  Scalar scale;
  real *out;
  int n, outputs;
  Reduction sum;
};

constexpr real EPSILON = sizeof(real) == 4 ? 0x1p-23 : 0x1p-52;  // probabilities are clipped to [EPSILON, 1 - EPSILON]

__device__ inline real clipped_log(real p) {
  return log(p < EPSILON ? EPSILON : p > 1 - EPSILON ? 1 - EPSILON : p);
}

// A sample's target, which is its class or a number for each output, and its weight.
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
__device__ inline double softmax_loss(const LossGradient &a, const Part &part) {
  const long long *sample = sample_numbers(a.rows);
  const real of_all = real(value(a.scale));
  const bool clipped = a.loss == CLIPPED_SOFTMAX_CROSS_ENTROPY, soft = !a.labels && !clipped;
  double sum = 0;
  over_rows(part, a.n, a.outputs, [&](const Team &team, long long row, int columns) {
    const real *z = a.z + row * a.outputs;
    real *out = a.out + row * a.outputs;
    const Exponentials of_row = exponentials([=](int j) { return z[j]; }, columns, team, part.scratch);
    const Truth y(a, columns ? sample[row] : 0);
    const real scale = of_all * y.weight;
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
      out[j] = scale * (mass * p - target);
    }
  });
  return sum;
}

// The losses that are sums or means over the outputs: ℓ of one output, and ∂ℓ/∂x. scikit-learn's loss of clipped
// probabilities is written by hand, since its gradient is that of the loss without clipping; the others are generated
// from fastmlp.losses.
__device__ inline real loss_of_output(int loss, const double *parameter, real x, real y, real &gradient) {
  switch (loss) {
    case CLIPPED_BINARY_CROSS_ENTROPY: {
      const real p = sigmoid(x);
      gradient = p - y;
      return -(y == 0 ? 0 : y * clipped_log(p)) - (y == 1 ? 0 : (1 - y) * clipped_log(1 - p));
    }
// generated: losses
    default: return gradient = NOT_A_NUMBER;
  }
}

__device__ inline double loss_of_outputs(const LossGradient &a, const Part &part) {
  const long long *sample = sample_numbers(a.rows);
  const int loss = a.loss;
  const real factor = a.gradient_is_mean ? real(1) / a.outputs : real(1);
  const real of_all = real(value(a.scale));
  const bool several = a.parameters > 1;  // one for each output
  double sum = 0;
  over_rows(part, a.n, a.outputs, [&](const Team &team, long long row, int columns) {
    const Truth y(a, columns ? sample[row] : 0);
    const real scale = of_all * y.weight;
    const real *z = a.z + row * a.outputs;
    real *out = a.out + row * a.outputs;
    for (int j = team.member; j < columns; j += team.size) {
      real gradient;
      sum += double(y.weight) * loss_of_output(loss, a.parameter + (several ? j : 0), z[j], y(j), gradient);
      out[j] = scale * (factor * gradient);
    }
  });
  return a.value_is_mean ? sum / a.outputs : sum;
}

// With exp, log and log1p of doubles side by side the compiler would else take more registers than four blocks have.
template <> constexpr int BLOCKS_AT_ONCE<LossGradient> = 4;

// out (n, outputs) = scale s ∂ℓ/∂z, *sum.out = Σ s ℓ. Targets are targets[rows], or one-hot rows of labels[rows] if there
// are labels; s is weights[rows], or 1 without weights.
__device__ void run(const LossGradient &a, const Part &part) {
  const bool softmax = a.loss == SOFTMAX_CROSS_ENTROPY || a.loss == CLIPPED_SOFTMAX_CROSS_ENTROPY;
  over_grid<Sum>(softmax ? softmax_loss(a, part) : loss_of_outputs(a, part), a.sum, part);
}
OPERATION(loss_gradient, LossGradient)
