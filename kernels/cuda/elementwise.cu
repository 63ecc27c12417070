// Activations and their derivatives over matrices, sums over rows and columns, dropout (twins of NumpyOps).

// The threads that share a row: one thread, as many lanes of a warp as have about four columns each, or a block.
struct Team {
  int size, member;
  __device__ explicit Team(int columns) : size(columns < 512 ? 1 : THREADS) {
    while (size < 32 && 4 * size < columns) size *= 2;
    member = threadIdx.x % size;
  }
};

// The result on every thread of the team. All threads of the block must call it.
template <class Op, class T> __device__ inline T over_team(T v, const Team &team, real *scratch) {
  if (team.size == THREADS) return over_block<Op>(v, scratch);
  for (int lanes = team.size / 2; lanes > 0; lanes /= 2) v = Op::of(v, __shfl_xor_sync(0xffffffffu, v, lanes));
  return v;
}

// body(team, row, columns) for every row, by its team. Teams for which no row is left get one of 0 columns, so that all
// threads reach the barriers of the reductions.
template <class Body> __device__ inline void over_rows(const Part &part, int rows, int columns, Body body) {
  const Team team(columns);
  const int teams = THREADS / team.size;
  for (int turn = part.block; turn < (rows + teams - 1) / teams; turn += part.blocks) {
    const int row = turn * teams + threadIdx.x / team.size;
    body(team, (long long)row, row < rows ? columns : 0);
  }
}

constexpr real LARGEST = sizeof(real) == 4 ? 3.402823466385288598e38 : 1.797693134862315708e308;

// What the softmax of a row needs: its largest z, and total = Σ exp(z - highest).
struct Exponentials {
  real highest, total;
  __device__ real softmax(real z) const { return exp(z - highest) / total; }
};

// In one pass over z(j): if z is a new maximum, exp(-|z - highest|) rescales the total so far; else it is z's own term.
template <class Z>
__device__ inline Exponentials exponentials(Z z, int columns, const Team &team, real *scratch) {
  real highest = -LARGEST, total = 0;
  for (int j = team.member; j < columns; j += team.size) {
    const real v = z(j), e = exp(-fabs(v - highest));
    if (v > highest)
      highest = v, total = total * e + 1;
    else
      total += e;
  }
  const real of_all = over_team<Max>(highest, team, scratch);
  return {of_all, over_team<Sum>(total * exp(highest - of_all), team, scratch)};
}

struct BiasActivation {
  real *a;
  const real *b;
  real *slope;
  int activation, rows, columns;
};

// a (rows, columns) = σ(a + b) in place; b may be null
__device__ void run(const BiasActivation &o, const Part &part) {
  const real *b = o.b;
  if (o.activation == SOFTMAX) {
    over_rows(part, o.rows, o.columns, [&](const Team &team, long long row, int columns) {
      real *a = o.a + row * o.columns;
      const auto z = [=](int j) { return b ? a[j] + b[j] : a[j]; };
      const Exponentials of_row = exponentials(z, columns, team, part.scratch);
      for (int j = team.member; j < columns; j += team.size) a[j] = of_row.softmax(z(j));
    });
    return;
  }
  const int code = o.activation;
  const bool stores = stores_slope(code);
  if (code == IDENTITY && !b) return;
  const long long n = (long long)o.rows * o.columns;
  const long long end = aligned(o.a) && (!stores || aligned(o.slope)) ? n / 4 * 4 : 0;
  Place at(part, o.columns, 4);
  for (long long i = 4LL * part.thread(); i < end; i += 4LL * part.threads(), at.move()) {
    Pack<real> v = pack(o.a + i), slope{};
    int j = at.column;
    // not unrolled, so that the code of all activations is there once: the four elements rotate through the first place
#pragma unroll 1
    for (int k = 0; k < 4; k++) {
      real s = 0;
      const real a = activate(code, b ? v.of[0] + b[j] : v.of[0], s);
      v = {v.of[1], v.of[2], v.of[3], a};
      slope = {slope.of[1], slope.of[2], slope.of[3], s};
      if (++j == o.columns) j = 0;
    }
    pack(o.a + i) = v;
    if (stores) pack(o.slope + i) = slope;
  }
  for (long long i = end + part.thread(); i < n; i += part.threads()) {
    real s = 0;
    o.a[i] = activate(code, b ? o.a[i] + b[i % o.columns] : o.a[i], s);
    if (stores) o.slope[i] = s;
  }
}
OPERATION(bias_activation, BiasActivation)

struct ActivationBackward {
  int activation;
  const real *a, *slope;
  real *delta;
  int rows, columns;
};

// delta = ∂L/∂a becomes ∂L/∂z
__device__ void run(const ActivationBackward &o, const Part &part) {
  const int code = o.activation;
  if (code == SOFTMAX) {
    // ∂a_i/∂z_j = a_i (δ_ij - a_j), so ∂L/∂z = a (∂L/∂a - Σ_i a_i ∂L/∂a_i)
    over_rows(part, o.rows, o.columns, [&](const Team &team, long long row, int columns) {
      const real *a = o.a + row * o.columns;
      real *delta = o.delta + row * o.columns;
      real sum = 0;
      for (int j = team.member; j < columns; j += team.size) sum += a[j] * delta[j];
      sum = over_team<Sum>(sum, team, part.scratch);
      for (int j = team.member; j < columns; j += team.size) delta[j] = a[j] * (delta[j] - sum);
    });
  } else if (code != IDENTITY && code != THRESHOLD) {
    // the derivative is computed from the slope where it is stored, else from a
    const auto rule = [=](const real &known, real &delta) { delta = pullback(code, known, delta); };
    each(part, (long long)o.rows * o.columns, rule, stores_slope(code) ? o.slope : o.a, o.delta);
  }
}
OPERATION(activation_backward, ActivationBackward)

struct BiasGradient {
  const real *delta;
  Scalar alpha, beta;
  real *bias;
  int rows, columns, splits;  // pieces of the rows; columns * splits <= MAX_BLOCKS, or one piece
  Reduction sum;
};

// bias (columns,) = beta bias + alpha Σ_i delta[i]
__device__ void run(const BiasGradient &a, const Part &part) {
  // A block sums 8 columns: in float32 32 bytes, the smallest memory transaction, so that as many blocks as possible
  // share the work; of few columns, pieces of the rows, whose sums the last block adds. A warp reads 4 rows at a time.
  constexpr int COLUMNS = 8, SLICES = THREADS / COLUMNS;
  const real alpha = real(value(a.alpha)), beta = real(value(a.beta));
  const int column = threadIdx.x % COLUMNS, slice = threadIdx.x / COLUMNS, warp = threadIdx.x / 32;
  const int across = (a.columns + COLUMNS - 1) / COLUMNS;
  const auto store = [&](int j, real sum) { a.bias[j] = beta == 0 ? alpha * sum : beta * a.bias[j] + alpha * sum; };
  for (int item = part.block; item < across * a.splits; item += part.blocks) {
    const int j = item % across * COLUMNS + column, split = item / across;
    const int end = (long long)a.rows * (split + 1) / a.splits;
    real sum = 0;
    if (j < a.columns)
#pragma unroll 4
      for (int i = int((long long)a.rows * split / a.splits) + slice; i < end; i += SLICES)
        sum += a.delta[(long long)i * a.columns + j];
    for (int lanes = 16; lanes >= COLUMNS; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
    __syncthreads();
    if (threadIdx.x % 32 < COLUMNS) part.scratch[warp * COLUMNS + column] = sum;
    __syncthreads();
    if (threadIdx.x < COLUMNS && j < a.columns) {
      sum = part.scratch[column];
      for (int w = 1; w < THREADS / 32; w++) sum += part.scratch[w * COLUMNS + column];
      if (a.splits == 1)
        store(j, sum);
      else
        a.sum.partial[split * a.columns + j] = sum;
    }
  }
  if (a.splits == 1 || !last_to_arrive(a.sum, part)) return;
  for (int j = threadIdx.x; j < a.columns; j += THREADS) {
    double sum = 0;
#pragma unroll 4
    for (int split = 0; split < a.splits; split++) sum += __ldcg(a.sum.partial + split * a.columns + j);
    store(j, real(sum));
  }
}
OPERATION(bias_gradient, BiasGradient)

struct Dropout {
  const real *x;
  real *out;
  double keep;
  unsigned long long seed;
  Scalar step;
  int layer, first_row, rows, columns;
};

// out (rows, columns) = x / keep where the mask keeps, else 0; out may be x. The four words of the counter (column / 4,
// row, step, layer) decide on four neighbouring columns.
__device__ void run(const Dropout &a, const Part &part) {
  const unsigned long long limit = (unsigned long long)(a.keep * 0x1p32);
  const real factor = real(1 / a.keep);
  const unsigned step = unsigned((long long)value(a.step));
  const bool fours = a.columns % 4 == 0 && aligned(a.x) && aligned(a.out);
  for (Place at(part, (a.columns + 3) / 4); at.row < a.rows; at.move()) {
    const Words word = philox({{unsigned(at.column), unsigned(a.first_row + at.row), step, unsigned(a.layer)}}, a.seed);
    const auto kept = [=](real x, unsigned w) { return w < limit ? x * factor : real(0); };
    const long long first = (long long)at.row * a.columns + at.column * 4;
    const real *x = a.x + first;
    real *out = a.out + first;
    if (fours) {
      const Pack<real> v = pack(x);
      pack(out) = {kept(v.of[0], word.of[0]), kept(v.of[1], word.of[1]), kept(v.of[2], word.of[2]),
                   kept(v.of[3], word.of[3])};
    } else {
#pragma unroll
      for (int k = 0; k < 4; k++)
        if (at.column * 4 + k < a.columns) out[k] = kept(x[k], word.of[k]);
    }
  }
}
OPERATION(dropout, Dropout)

struct Scale {
  real *w;
  Scalar factor;
  long long n;
};

__device__ void run(const Scale &a, const Part &part) {
  const real factor = real(value(a.factor));
  each(part, a.n, [=](real &w) { w *= factor; }, a.w);
}
OPERATION(scale, Scale)
