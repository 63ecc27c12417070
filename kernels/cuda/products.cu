// Matrix products of many rows, by tiles through shared memory, fused with everything that follows them; those of few rows
// go as few.cu has it. Every sum is taken in a fixed order.

constexpr int TILE = 64;           // rows and columns of out that a block computes at once, 4 x 4 per thread
constexpr int DEPTH = 16;          // terms of a sum that are loaded at once
constexpr int PITCH = TILE + 4;    // of a tile in shared memory, padded to have few bank conflicts
static_assert(2 * DEPTH * PITCH <= SCRATCH && TILE * TILE == 16 * THREADS, "a block's shared memory and threads");

// An operand (n, depth) of a product: element (i, k) at first[i * row + k * column], 0 outside.
struct Operand {
  const real *first;
  long long row, column;
  int n, depth;
};

// tile[k * PITCH + i] = element (i0 + i, k0 + k), neighbouring threads reading neighbouring addresses.
__device__ inline void load_tile(const Operand &a, int i0, int k0, real *tile) {
  for (int e = threadIdx.x; e < TILE * DEPTH; e += THREADS) {
    const int i = a.column == 1 ? e / DEPTH : e % TILE, k = a.column == 1 ? e % DEPTH : e / TILE;
    const bool inside = i0 + i < a.n && k0 + k < a.depth;
    tile[k * PITCH + i] = inside ? a.first[(i0 + i) * a.row + (k0 + k) * a.column] : real(0);
  }
}

// store(i, j, Σ_k a(i, k) b(j, k)) for all i and j, each by one thread; after a tile of the first rows finish(j0), by
// all threads of the block.
template <class Store, class Finish>
__device__ inline void product(const Operand &a, const Operand &b, const Part &part, const Store &store,
                               const Finish &finish) {
  real *tile_a = part.scratch, *tile_b = tile_a + DEPTH * PITCH;
  const int columns = (b.n + TILE - 1) / TILE;
  const int tiles = (a.n + TILE - 1) / TILE * columns;
  const int i = threadIdx.x / 16 * 4, j = threadIdx.x % 16 * 4;
  for (int tile = part.block; tile < tiles; tile += part.blocks) {
    const int i0 = tile / columns * TILE, j0 = tile % columns * TILE;
    real sum[4][4] = {};
    for (int k0 = 0; k0 < a.depth; k0 += DEPTH) {
      __syncthreads();
      load_tile(a, i0, k0, tile_a);
      load_tile(b, j0, k0, tile_b);
      __syncthreads();
#pragma unroll
      for (int k = 0; k < DEPTH; k++) {
        const real4 u = *reinterpret_cast<const real4 *>(tile_a + k * PITCH + i);
        const real4 v = *reinterpret_cast<const real4 *>(tile_b + k * PITCH + j);
        const real p[4] = {u.x, u.y, u.z, u.w}, q[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int r = 0; r < 4; r++)
#pragma unroll
          for (int c = 0; c < 4; c++) sum[r][c] += p[r] * q[c];
      }
    }
#pragma unroll
    for (int r = 0; r < 4; r++)
#pragma unroll
      for (int c = 0; c < 4; c++)
        if (i0 + i + r < a.n && j0 + j + c < b.n) store(i0 + i + r, j0 + j + c, sum[r][c]);
    if (i0 == 0) finish(j0);
  }
}

struct Linear {  // out (B, O) = σ(x w + b); x (B, I), w (I, O); slope (B, O) for the activations that store it
  const real *x, *w, *b;
  int activation;
  real *slope, *out;
  int rows, inputs, outputs;
};

__device__ inline void run_few(const Linear &a, const Part &part) {
  const auto bias = [&](int, int o) { return a.b[o]; };
  few_rows<false>(a.x, a.w, a.rows, a.inputs, a.outputs, part, bias, [&](int r, int o, real sum, real b) {
    real slope;
    const long long at = (long long)r * a.outputs + o;
    a.out[at] = activate(a.activation, sum + b, slope);
    if (stores_slope(a.activation)) a.slope[at] = slope;
  });
}

__device__ void run(const Linear &a, const Part &part) {
  const Operand x{a.x, a.inputs, 1, a.rows, a.inputs}, w{a.w, 1, a.outputs, a.outputs, a.inputs};
  auto store = [&](int i, int o, real sum) {
    real slope;
    const long long at = (long long)i * a.outputs + o;
    a.out[at] = activate(a.activation, sum + a.b[o], slope);
    if (stores_slope(a.activation)) a.slope[at] = slope;
  };
  product(x, w, part, store, [](int) {});
}
OPERATION(linear, Linear)
OPERATION_OF_FEW(linear_few, Linear)

// What the derivative of an activation is computed from, for element `at` of its arrays: a, slope, or nothing.
__device__ inline real known_of(int code, const real *a, const real *slope, long long at) {
  return code == IDENTITY || code == THRESHOLD ? real(0) : stores_slope(code) ? slope[at] : a[at];
}

struct BackwardData {  // out (B, I) = (delta wᵀ) ∘ σ'; delta (B, O), w (I, O), and a, slope (B, I) of the layer below
  const real *delta, *w;
  int activation;
  const real *a, *slope;
  real *out;
  int rows, inputs, outputs;
};

__device__ inline void run_few(const BackwardData &a, const Part &part) {
  const auto known = [&](int r, int i) {
    return known_of(a.activation, a.a, a.slope, (long long)r * a.inputs + i);
  };
  few_rows<true>(a.delta, a.w, a.rows, a.outputs, a.inputs, part, known, [&](int r, int i, real sum, real of) {
    a.out[(long long)r * a.inputs + i] = pullback(a.activation, of, sum);
  });
}

__device__ void run(const BackwardData &a, const Part &part) {
  const Operand delta{a.delta, a.outputs, 1, a.rows, a.outputs}, w{a.w, a.outputs, 1, a.inputs, a.outputs};
  auto store = [&](int r, int i, real sum) {
    const long long at = (long long)r * a.inputs + i;
    a.out[at] = pullback(a.activation, known_of(a.activation, a.a, a.slope, at), sum);
  };
  product(delta, w, part, store, [](int) {});
}
OPERATION(backward_data, BackwardData)
OPERATION_OF_FEW(backward_data_few, BackwardData)

struct Accumulate {  // out (I, O) = beta out + alpha xᵀ delta, bias (O,) = bias_beta bias + alpha Σ_i delta[i]
  const real *x, *delta;
  Scalar alpha, beta, bias_beta;
  real *out, *bias;
  int by_columns;  // of few rows: whether the blocks share the columns of out, or its rows
  int rows, inputs, outputs;
};

__device__ inline real accumulated(real beta, const real &old, real term) {
  return beta == 0 ? term : beta * old + term;
}

template <bool WHOLE, bool SINGLE> __device__ inline void accumulate_few(const Accumulate &a, const Part &part) {
  const real alpha = value(a.alpha), beta = value(a.beta);
  const Part whole{0, 1, part.scratch};
  const Interval down = share(a.inputs, a.by_columns ? whole : part);
  const Interval across = share(a.outputs, a.by_columns ? part : whole);
  real *const out = a.out;
  const int outputs = a.outputs;
  // All loads of several tiles are under way before the first store, which the compiler must keep in order. With
  // beta = 1 nothing is loaded or stored where nothing is added, as for inputs that are 0: most pixels of images.
  few_outer<WHOLE, SINGLE>(a.x, a.delta, a.rows, a.inputs, outputs, down, across, [=](const auto &tiles) {
    constexpr int TILES = sizeof(tiles) / sizeof(tiles[0]);
    Pack<real> old[TILES][4];
    bool touched[TILES][4];
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
      for (int p = 0; p < 4; p++) {
        const Pack<real> sum = tiles[t](p);
        const bool zero = sum.of[0] == 0 && sum.of[1] == 0 && sum.of[2] == 0 && sum.of[3] == 0;
        touched[t][p] = tiles[t].row + p < down.end && !(zero && beta == 1);
        const real *at = out + (long long)(tiles[t].row + p) * outputs + tiles[t].column;
        old[t][p] = Pack<real>{};
        if (touched[t][p] && beta != 0) old[t][p] = four<WHOLE>(at, across.end - tiles[t].column);
      }
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
      for (int p = 0; p < 4; p++) {
        if (!touched[t][p]) continue;
        Pack<real> v = tiles[t](p);
#pragma unroll
        for (int q = 0; q < 4; q++) v.of[q] = accumulated(beta, old[t][p].of[q], alpha * v.of[q]);
        real *at = out + (long long)(tiles[t].row + p) * outputs + tiles[t].column;
        if constexpr (WHOLE) {
          pack(at) = v;
        } else {
#pragma unroll
          for (int q = 0; q < 4; q++)
            if (tiles[t].column + q < across.end) at[q] = v.of[q];
        }
      }
  });
}

__device__ inline void run_few(const Accumulate &a, const Part &part) {
  const bool whole = a.inputs % 4 == 0 && a.outputs % 4 == 0 && aligned(a.x) && aligned(a.delta) && aligned(a.out);
  if (whole && a.rows == 1)
    accumulate_few<true, true>(a, part);
  else if (whole)
    accumulate_few<true, false>(a, part);
  else if (a.rows == 1)
    accumulate_few<false, true>(a, part);
  else
    accumulate_few<false, false>(a, part);
  const real alpha = value(a.alpha), beta = value(a.bias_beta);
  const Interval own = share(a.outputs, part);
  for (int o = own.begin + (THREADS - 1 - threadIdx.x); o < own.end; o += THREADS) {  // the last warps have fewer tiles
    real sum = 0;
#pragma unroll 8
    for (int r = 0; r < a.rows; r++) sum += a.delta[(long long)r * a.outputs + o];
    a.bias[o] = accumulated(beta, a.bias[o], alpha * sum);
  }
}

__device__ void run(const Accumulate &a, const Part &part) {
  const real alpha = value(a.alpha), beta = value(a.beta), bias_beta = value(a.bias_beta);
  const Operand x{a.x, 1, a.inputs, a.inputs, a.rows}, delta{a.delta, 1, a.outputs, a.outputs, a.rows};
  auto store = [&](int i, int o, real sum) {
    real &out = a.out[(long long)i * a.outputs + o];
    out = accumulated(beta, out, alpha * sum);
  };
  auto bias = [&](int o0) {  // four threads to a column
    const int o = o0 + threadIdx.x % TILE, slice = threadIdx.x / TILE;
    real sum = 0;
    if (o < a.outputs)
      for (int r = slice; r < a.rows; r += THREADS / TILE) sum += a.delta[(long long)r * a.outputs + o];
    __syncthreads();
    part.scratch[threadIdx.x] = sum;
    __syncthreads();
    if (slice == 0 && o < a.outputs) {
      for (int p = 1; p < THREADS / TILE; p++) sum += part.scratch[p * TILE + threadIdx.x];
      a.bias[o] = accumulated(bias_beta, a.bias[o], alpha * sum);
    }
  };
  product(x, delta, part, store, bias);
}
OPERATION(accumulate, Accumulate)
OPERATION_OF_FEW(accumulate_few, Accumulate)
