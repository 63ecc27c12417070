// The first layer's products with compressed rows: row i has values[k] in column columns[k] for k from starts[i] to
// starts[i + 1] (twins of NumpyOps; fastmlp.network.Data has the format).

struct LinearSparse {
  const real *values;
  const int *columns;
  const long long *starts;
  Picks rows;
  const real *w, *b;
  int activation;
  real *slope, *out;
  int n, inputs, outputs;
};

// out (n, outputs) = σ(x[rows] w + b)
__device__ void run(const LinearSparse &a, const Part &part) {
  // A warp computes up to 32 outputs of a row; if there are fewer, its lanes split the row's entries as well.
  int width = 1;
  while (width < 32 && width < a.outputs) width *= 2;
  const int lane = threadIdx.x % 32, column = lane % width, slice = lane / width, slices = 32 / width;
  const int tiles = (a.outputs + width - 1) / width;
  const long long *sample = sample_numbers(a.rows);
  for (long long at = part.thread() / 32; at < (long long)a.n * tiles; at += part.threads() / 32) {
    const long long row = at / tiles;
    const int o = int(at - row * tiles) * width + column;
    const long long begin = a.starts[sample[row]], end = a.starts[sample[row] + 1];
    real sum = 0;
    if (o < a.outputs)
#pragma unroll 4
      for (long long k = begin + slice; k < end; k += slices)
        sum += a.values[k] * a.w[(long long)a.columns[k] * a.outputs + o];
    for (int lanes = 16; lanes >= width; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
    if (slice == 0 && o < a.outputs) {
      real slope = 0;
      a.out[row * a.outputs + o] = activate(a.activation, sum + a.b[o], slope);
      if (stores_slope(a.activation)) a.slope[row * a.outputs + o] = slope;
    }
  }
}
OPERATION(linear_sparse, LinearSparse)

struct AccumulateSparse {
  const real *values;
  const int *columns;
  const long long *starts;
  Picks rows;
  const real *delta;
  Scalar alpha, beta;
  real *out;
  int n, inputs, outputs;
};

// An entry of the batch: alpha x[sample, column].
struct Entry {
  int sample, column;
  real value;
};

constexpr int ROOM = 64;  // entries that a warp collects at a time
static_assert(WARPS * (ROOM * sizeof(Entry) + sizeof(int)) <= SCRATCH * sizeof(real), "a block's shared memory");

// out (inputs, outputs) = beta out + alpha x[rows]ᵀ delta
__device__ void run(const AccumulateSparse &a, const Part &part) {
  // Many samples add to one row of out. So each block owns some rows and searches all entries of the batch for those of
  // its rows. Its warps collect these, sample by sample, each in a list of its own. When lists are full, or all samples
  // are done, the block adds all lists to out, always the same thread to an element of out.
  Entry *lists = reinterpret_cast<Entry *>(part.scratch);
  int *lengths = reinterpret_cast<int *>(lists + WARPS * ROOM);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, outputs = a.outputs, n = a.n;
  const int first = (long long)a.inputs * part.block / part.blocks;
  const int last = (long long)a.inputs * (part.block + 1) / part.blocks;
  const real alpha = real(value(a.alpha)), beta = real(value(a.beta));
  const long long *sample = sample_numbers(a.rows);
  real *own = a.out + (long long)first * outputs;
  const long long size = (long long)(last - first) * outputs;
  if (beta == 0)
    each_of(threadIdx.x, THREADS, size, [](real &out) { out = 0; }, own);
  else if (beta != 1)
    each_of(threadIdx.x, THREADS, size, [=](real &out) { out *= beta; }, own);

  int i = warp;                // the sample that the warp is searching,
  long long k = 0, end = 0;    // and its entries that are left, if `open`; else they are to be looked up
  bool open = false;
  for (bool again = true; again;) {
    __syncthreads();
    int length = 0;
    while (i < n && length <= ROOM - 32) {
      if (!open) k = a.starts[sample[i]], end = a.starts[sample[i] + 1], open = true;
      const int column = k + lane < end ? a.columns[k + lane] : -1;
      const bool mine = first <= column && column < last;
      const unsigned found = __ballot_sync(0xffffffffu, mine);
      const int before = __popc(found & ((1u << lane) - 1));
      if (mine) lists[warp * ROOM + length + before] = {i, column, alpha * a.values[k + lane]};
      length += __popc(found);
      k += 32;
      if (k >= end) i += WARPS, open = false;
    }
    if (lane == 0) lengths[warp] = length;
    __syncthreads();
    again = false;
    for (int w = 0; w < WARPS; w++) {
      const int count = lengths[w];
      again |= count > ROOM - 32;  // there may be more
      for (int e = 0; e < count; e++) {
        const Entry entry = lists[w * ROOM + e];
        real *out = a.out + (long long)entry.column * outputs;
        const real *delta = a.delta + (long long)entry.sample * outputs;
        // 32 outputs of a column belong to one warp, the next 32 to the next
        for (int o = (warp - entry.column & WARPS - 1) * 32 + lane; o < outputs; o += THREADS)
          out[o] += entry.value * delta[o];
      }
    }
  }
}
OPERATION(accumulate_sparse, AccumulateSparse)
