// Sums and maxima over a warp, a block, the grid. All are taken in a fixed order, so a result is the same every time.

struct Sum {
  template <class T> __device__ static T of(T a, T b) { return a + b; }
  __device__ static double identity() { return 0.0; }
};

struct Max {
  // NaN if either is NaN
  template <class T> __device__ static T of(T a, T b) { return a > b || a != a ? a : b; }
  __device__ static double identity() { return -INFINITE; }
};

template <class Op, class T> __device__ inline T over_warp(T v) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes >>= 1) v = Op::of(v, __shfl_xor_sync(0xffffffffu, v, lanes));
  return v;
}

// The result on every thread of the block, all of which must call it.
template <class Op, class T> __device__ inline T over_block(T v, real *scratch) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  T *of_warp = reinterpret_cast<T *>(scratch);
  v = over_warp<Op>(v);
  __syncthreads();  // scratch may still be read
  if (lane == 0) of_warp[warp] = v;
  __syncthreads();
  return over_warp<Op>(lane < THREADS / 32 ? of_warp[lane] : T(Op::identity()));
}

// Whether this is the last block of the part to arrive here, and so sees what all have written before.
__device__ inline bool last_to_arrive(const Reduction &to, const Part &part) {
  __syncthreads();
  unsigned *arrived = reinterpret_cast<unsigned *>(part.scratch);
  if (threadIdx.x == 0) *arrived = atom_add_acq_rel(to.ticket, 1);
  __syncthreads();
  const bool last = *arrived == unsigned(part.blocks - 1);
  if (last && threadIdx.x == 0) atom_add_acq_rel(to.ticket, -part.blocks);
  return last;
}

// *to.out = the result over all threads of the part, each with its v. The last block to arrive combines the blocks'
// results, in the order of the blocks; only there, on all its threads, true is returned.
template <class Op> __device__ inline bool over_grid(double v, const Reduction &to, const Part &part) {
  v = over_block<Op>(v, part.scratch);
  if (part.blocks > 1) {
    if (threadIdx.x == 0) to.partial[part.block] = v;
    if (!last_to_arrive(to, part)) return false;
    v = Op::identity();
    for (int i = threadIdx.x; i < part.blocks; i += THREADS) v = Op::of(v, __ldcg(to.partial + i));
    v = over_block<Op>(v, part.scratch);
  }
  if (threadIdx.x == 0) *to.out = v;
  return true;
}
