// Matrix products, fused with everything that follows them. Batches of a few rows are bound by reading the weights,
// each of which is used only once or twice: there, threads split the terms of a sum. Larger batches go by tiles through
// shared memory. Every sum is taken in a fixed order.

constexpr int FEW = 32;            // rows of a small batch, at most
constexpr int GROUP = 8;           // rows that a weight is multiplied with while it is in a register
constexpr int TILE = 64;           // rows and columns of out that a block computes at once, 4 x 4 per thread
constexpr int DEPTH = 16;          // terms of a sum that are loaded at once
constexpr int PITCH = TILE + 4;    // of a tile in shared memory, padded to have few bank conflicts
static_assert(2 * DEPTH * PITCH <= SCRATCH && TILE * TILE == 16 * THREADS, "a block's shared memory and threads");
static_assert(GROUP * THREADS <= SCRATCH, "partial sums of a group");

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

// A block computes 8 outputs, whose weights are 32 bytes of a row of w in float32, for a group of rows. Its threads
// split the inputs into 32 interleaved slices.
__device__ inline void run_few(const Linear &a, const Part &part) {
  constexpr int COLUMNS = 8, SLICES = THREADS / COLUMNS;
  const int column = threadIdx.x % COLUMNS, slice = threadIdx.x / COLUMNS;
  const int across = (a.outputs + COLUMNS - 1) / COLUMNS, items = across * ((a.rows + GROUP - 1) / GROUP);
  for (int item = part.block; item < items; item += part.blocks) {
    const int o = item % across * COLUMNS + column, r0 = item / across * GROUP;
    const real *x = a.x + (long long)r0 * a.inputs;
    const int rows = a.rows - r0;
    real sum[GROUP] = {};
    if (o < a.outputs)
#pragma unroll(32 / sizeof(real))
      for (int i = slice; i < a.inputs; i += SLICES) {
        const real w = a.w[(long long)i * a.outputs + o];
#pragma unroll
        for (int r = 0; r < GROUP; r++)
          if (r < rows) sum[r] += x[(long long)r * a.inputs + i] * w;
      }
    __syncthreads();
#pragma unroll
    for (int r = 0; r < GROUP; r++) part.scratch[(r * SLICES + slice) * COLUMNS + column] = sum[r];
    __syncthreads();
    if (slice < GROUP && slice < rows && o < a.outputs) {
      real z = a.b[o], slope;
      for (int p = 0; p < SLICES; p++) z += part.scratch[(slice * SLICES + p) * COLUMNS + column];
      const long long at = (long long)(r0 + slice) * a.outputs + o;
      a.out[at] = activate(a.activation, z, slope);
      if (stores_slope(a.activation)) a.slope[at] = slope;
    }
  }
}

__device__ void run(const Linear &a, const Part &part) {
  if (a.rows <= FEW) return run_few(a, part);
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

// ∂L/∂z from ∂L/∂a = delta, for element `at` of the arrays; reads a or slope, as the activation needs.
__device__ inline real times_derivative(int code, const real *a, const real *slope, long long at, real delta) {
  if (code == IDENTITY || code == THRESHOLD) return delta;
  return pullback(code, stores_slope(code) ? slope[at] : a[at], delta);
}

struct BackwardData {  // out (B, I) = (delta wᵀ) ∘ σ'; delta (B, O), w (I, O), and a, slope (B, I) of the layer below
  const real *delta, *w;
  int activation;
  const real *a, *slope;
  real *out;
  int rows, inputs, outputs;
};

// A warp computes one column of out, from a row of w, for a group of rows of delta.
__device__ inline void run_few(const BackwardData &a, const Part &part) {
  constexpr int WARPS = THREADS / 32;
  const int lane = threadIdx.x % 32, items = a.inputs * ((a.rows + GROUP - 1) / GROUP);
  for (int item = part.block * WARPS + threadIdx.x / 32; item < items; item += part.blocks * WARPS) {
    const int i = item % a.inputs, r0 = item / a.inputs * GROUP, rows = a.rows - r0;
    const real *delta = a.delta + (long long)r0 * a.outputs;
    real sum[GROUP] = {};
    for (int o = lane; o < a.outputs; o += 32) {
      const real w = a.w[(long long)i * a.outputs + o];
#pragma unroll
      for (int r = 0; r < GROUP; r++)
        if (r < rows) sum[r] += delta[(long long)r * a.outputs + o] * w;
    }
#pragma unroll
    for (int r = 0; r < GROUP; r++) {
      const real whole = over_warp<Sum>(sum[r]);
      const long long at = (long long)(r0 + r) * a.inputs + i;
      if (lane == r && r < rows) a.out[at] = times_derivative(a.activation, a.a, a.slope, at, whole);
    }
  }
}

__device__ void run(const BackwardData &a, const Part &part) {
  if (a.rows <= FEW) return run_few(a, part);
  const Operand delta{a.delta, a.outputs, 1, a.rows, a.outputs}, w{a.w, a.outputs, 1, a.inputs, a.outputs};
  auto store = [&](int r, int i, real sum) {
    const long long at = (long long)r * a.inputs + i;
    a.out[at] = times_derivative(a.activation, a.a, a.slope, at, sum);
  };
  product(delta, w, part, store, [](int) {});
}
OPERATION(backward_data, BackwardData)

struct Accumulate {  // out (I, O) = beta out + alpha xᵀ delta, bias (O,) = bias_beta bias + alpha Σ_i delta[i]
  const real *x, *delta;
  Scalar alpha, beta, bias_beta;
  real *out, *bias;
  int rows, inputs, outputs;
};

__device__ inline real accumulated(real beta, const real &old, real term) {
  return beta == 0 ? term : beta * old + term;
}

__device__ inline void run_few(const Accumulate &a, const Part &part) {
  const real alpha = value(a.alpha), beta = value(a.beta), bias_beta = value(a.bias_beta);
  const long long n = (long long)a.inputs * a.outputs, stride = (long long)part.blocks * THREADS;
  for (long long at = (long long)part.block * THREADS + threadIdx.x; at < n; at += stride) {
    const long long i = at / a.outputs, o = at % a.outputs;
    real sum = 0;
    bool zero = true;
#pragma unroll 4
    for (int r = 0; r < a.rows; r++) {
      const real x = a.x[(long long)r * a.inputs + i];
      zero &= x == 0;
      if (x != 0) sum += x * a.delta[(long long)r * a.outputs + o];
    }
    // nothing is stored for inputs that are all zero, as are most pixels of images
    if (!zero || beta != 1) a.out[at] = accumulated(beta, a.out[at], alpha * sum);
  }
  for (long long o = (long long)part.block * THREADS + threadIdx.x; o < a.outputs; o += stride) {
    real sum = 0;
    for (int r = 0; r < a.rows; r++) sum += a.delta[(long long)r * a.outputs + o];
    a.bias[o] = accumulated(bias_beta, a.bias[o], alpha * sum);
  }
}

__device__ void run(const Accumulate &a, const Part &part) {
  if (a.rows <= FEW) return run_few(a, part);
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
