// Products for batches of up to FEW rows. Such a product is bound by latency and by reading the weights, each of which
// is used only once or a few times. So a thread loads 16 weights at once, four times four adjacent ones, uses them for
// up to 8 rows (4 of doubles), and many such loads are under way together. Every sum is taken in a fixed order.
//
// A block always does the same columns of a matrix of n columns, whatever the operation (see `share`). So in a program
// what a block has written of a layer, its outputs, δ or weights, it can read in the next operation without a barrier.

constexpr int FEW = 32;                               // rows of a small batch, at most
constexpr int GROUP = 32 / sizeof(real);              // rows that a weight is multiplied with while it is in a register
constexpr int UNIT = 8;                               // columns: in float32 32 bytes, the smallest transaction of memory
constexpr int LOG_WARPS = 3, WARPS = 1 << LOG_WARPS;  // of a block
static_assert(32 * WARPS == THREADS, "warps");

struct Interval {
  int begin, end;
  __device__ int size() const { return end - begin; }
};

// The columns of a matrix of n columns that this block does.
__device__ inline Interval share(int n, const Part &part) {
  const int units = (n + UNIT - 1) / UNIT, begin = units * part.block / part.blocks * UNIT;
  const int end = units * (part.block + 1) / part.blocks * UNIT;
  return {begin, end < n ? end : n};
}

// Four adjacent numbers, of which `left` exist; those beyond count as 0. WHOLE: all exist, and are aligned.
template <bool WHOLE> __device__ inline Pack<real> four(const real *p, int left) {
  Pack<real> v{};
  if constexpr (WHOLE) {
    v = pack(p);
  } else {
#pragma unroll
    for (int k = 0; k < 4; k++)
      if (k < left) v.of[k] = p[k];
  }
  return v;
}

// store(r, c, Σ_k x(r, k) w(k, c), known(r, c)) for rows r < n <= FEW and the columns c of `own`. x (n, depth);
// w (depth, columns), or TRANSPOSED (columns, depth). Of a single row `known` is read early, so that nothing waits for it
// in the end.
template <bool TRANSPOSED, int ROWS, bool WHOLE, class Known, class Store>
__device__ inline void few_rows(const real *x, const real *w, int n, int depth, int columns, const Interval &own,
                                real *scratch, const Known &known, const Store &store) {
  // A warp's lanes are `quads` times `slices`: each lane has four columns, and every slice its terms of the sums.
  // Warps split the rows into groups of ROWS; those with the same rows split the terms further.
  constexpr int QUADS = ROWS == 1 ? 32 : 8;
  static_assert(WARPS * ROWS * 4 * QUADS <= SCRATCH, "partial sums");
  static_assert(ROWS == 1 || WARPS * ROWS >= FEW, "each group of rows has a warp");
  int log = 0;
  while (1 << log < QUADS && 4 << log < own.size()) log++;
  const int quads = 1 << log, slices = 32 >> log, width = 4 << log;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int quad = TRANSPOSED ? lane / slices : lane % quads, slice = TRANSPOSED ? lane % slices : lane / quads;
  int log_groups = 0;  // of rows
  while (ROWS << log_groups < n) log_groups++;
  const int groups = 1 << log_groups, warps = WARPS >> log_groups, piece = warp & (warps - 1);
  const int first = warp / warps * ROWS, rows = n - first, k0 = 4 * (piece * slices + slice);
  const int log_step = 2 + LOG_WARPS - log_groups + 5 - log;  // all warps of a group take 1 << log_step terms at once
  x += (long long)first * depth;
  for (int c0 = own.begin; c0 < own.end; c0 += width) {
    const int c = c0 + 4 * quad, left = own.end - c;
    real before = 0;  // of a single row each thread has one result at most
    if (ROWS == 1 && threadIdx.x < width && c0 + threadIdx.x < own.end) before = known(0, c0 + threadIdx.x);
    const bool idle = left <= 0 || rows <= 0;  // the lane has no columns, or the warp no rows
    real sum[ROWS][4] = {};
#pragma unroll(ROWS == 1 && WHOLE && sizeof(real) == 4 ? 4 : 1)
    // by the number of turns, for which the compiler would divide
    for (int turn = 0, turns = idle ? 0 : (depth - k0 + (1 << log_step) - 1) >> log_step; turn < turns; turn++) {
      const int k = k0 + (turn << log_step);
      Pack<real> v[4], u[ROWS];
#pragma unroll
      for (int i = 0; i < 4; i++)
        if constexpr (TRANSPOSED)
          v[i] = four<WHOLE>(w + (long long)(c + i) * depth + k, WHOLE || i < left ? depth - k : 0);
        else
          v[i] = four<WHOLE>(w + (long long)(k + i) * columns + c, WHOLE || k + i < depth ? left : 0);
#pragma unroll
      for (int r = 0; r < ROWS; r++)  // beyond the last row it once more, of which nothing is stored
        u[r] = four<WHOLE>(x + (r < rows ? r : rows - 1) * depth + k, depth - k);
#pragma unroll
      for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
          for (int j = 0; j < 4; j++) sum[r][j] += u[r].of[i] * (TRANSPOSED ? v[j].of[i] : v[i].of[j]);
    }
    for (int lanes = TRANSPOSED ? slices / 2 : 16; lanes >= (TRANSPOSED ? 1 : quads); lanes /= 2)
#pragma unroll
      for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int j = 0; j < 4; j++) sum[r][j] += __shfl_xor_sync(0xffffffffu, sum[r][j], lanes);
    __syncthreads();
    if (slice == 0)
#pragma unroll
      for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int j = 0; j < 4; j++)
          scratch[(piece * groups * ROWS + first + r) * width + 4 * quad + j] = sum[r][j];
    __syncthreads();
#pragma unroll 1
    for (int e = threadIdx.x; e < n * width; e += THREADS) {
      const int r = e >> (log + 2), column = c0 + (e & (width - 1));
      if (column >= own.end) continue;
      real whole = 0;
      for (int p = 0; p < warps; p++) whole += scratch[p * groups * ROWS * width + e];
      store(r, column, whole, ROWS == 1 ? before : known(r, column));
    }
  }
}

template <bool TRANSPOSED, class Known, class Store>
__device__ inline void few_rows(const real *x, const real *w, int n, int depth, int columns, const Part &part,
                                const Known &known, const Store &store) {
  const Interval own = share(columns, part);
  const bool whole = depth % 4 == 0 && columns % 4 == 0 && aligned(x) && aligned(w);
  real *scratch = part.scratch;
  if (n == 1 && whole)
    few_rows<TRANSPOSED, 1, true>(x, w, n, depth, columns, own, scratch, known, store);
  else if (n == 1)
    few_rows<TRANSPOSED, 1, false>(x, w, n, depth, columns, own, scratch, known, store);
  else if (whole)
    few_rows<TRANSPOSED, GROUP, true>(x, w, n, depth, columns, own, scratch, known, store);
  else  // addresses of single numbers take registers as well: as few rows as eight warps can share
    few_rows<TRANSPOSED, FEW / WARPS, false>(x, w, n, depth, columns, own, scratch, known, store);
}

// Σ_r x(r, row + p) delta(r, column + q) for four adjacent rows and columns of a gradient; those of a SINGLE sample are
// computed where they are used, which saves registers. An input that is 0 adds 0 then, whatever delta is.
template <bool SINGLE> struct Tile {
  int row, column;
  Pack<real> x, delta, sum[SINGLE ? 1 : 4];
  __device__ Pack<real> operator()(int p) const {
    if constexpr (!SINGLE) {
      return sum[p];
    } else {
      const real u = x.of[p];
      return u == 0 ? Pack<real>{} : Pack<real>{u * delta.of[0], u * delta.of[1], u * delta.of[2], u * delta.of[3]};
    }
  }
};

// add(tiles) for tiles that cover the rows `down` and the columns `across` of xᵀ delta: for a SINGLE sample four at a
// time (two of doubles), so that their loads are under way together. Tiles beyond the last have no rows within `down`.
template <bool WHOLE, bool SINGLE, class Add>
__device__ inline void few_outer(const real *x, const real *delta, int n, int inputs, int outputs, const Interval down,
                                 const Interval across, const Add add) {
  constexpr int TILES = SINGLE && WHOLE ? 16 / sizeof(real) : 1;
  const int quads = (across.size() + 3) / 4;
  if (quads <= 0) return;
  const int rows = THREADS / quads * 4, rest = THREADS % quads;  // from one tile of a thread to its next
  int row = down.begin + threadIdx.x / quads * 4, quad = threadIdx.x % quads;
  while (row < down.end) {
    Tile<SINGLE> tiles[TILES];
#pragma unroll
    for (int t = 0; t < TILES; t++) {
      tiles[t].row = row, tiles[t].column = across.begin + 4 * quad;
      row += rows, quad += rest;
      if (quad >= quads) quad -= quads, row += 4;
    }
    if constexpr (SINGLE) {
#pragma unroll
      for (int t = 0; t < TILES; t++) {
        const bool beyond = tiles[t].row >= down.end;
        tiles[t].x = beyond ? Pack<real>{} : four<WHOLE>(x + tiles[t].row, down.end - tiles[t].row);
        tiles[t].delta = four<WHOLE>(delta + tiles[t].column, across.end - tiles[t].column);
      }
    } else {
      Tile<SINGLE> &tile = tiles[0];
#pragma unroll
      for (int p = 0; p < 4; p++) tile.sum[p] = {};
#pragma unroll(!WHOLE ? 1 : sizeof(real) == 4 ? 8 : 2)
      for (int r = 0; r < n; r++) {
        const Pack<real> u = four<WHOLE>(x + (long long)r * inputs + tile.row, down.end - tile.row);
        const Pack<real> d = four<WHOLE>(delta + (long long)r * outputs + tile.column, across.end - tile.column);
#pragma unroll
        for (int p = 0; p < 4; p++)
#pragma unroll
          for (int q = 0; q < 4; q++) tile.sum[p].of[q] += u.of[p] * d.of[q];
      }
    }
    add(tiles);
  }
}
