// What all kernels share. The same text goes to NVRTC for a GPU and to a C++ compiler for the emulation on a CPU, which
// brings its own threads, shared memory and atomics (FASTMLP_EMULATION).

typedef REAL real;  // float or double, by -DREAL

struct alignas(4 * sizeof(real)) real4 {
  real x, y, z, w;
};

constexpr int THREADS = 256;     // of a block
constexpr int SCRATCH = 2176;    // reals of shared memory of a block: two tiles of a product
constexpr int MAX_BLOCKS = 1024; // of a launch, at most: each leaves a partial result of a Reduction
#define INFINITE __longlong_as_double(0x7ff0000000000000LL)  // a constant of <math.h>, which is not included

// A number that only the device knows when a kernel runs: a learning rate, 1 / Σ weights, or a product of such.
struct Scalar {
  double offset, factor;
  const double *first, *second;  // null: 1
};

__device__ inline double value(const Scalar &s) {
  return s.offset + s.factor * (s.first ? *s.first : 1.0) * (s.second ? *s.second : 1.0);
}

// The numbers of a batch's samples, order[position + i]. The position moves from step to step, in device memory, so
// that the launches of one captured step serve all batches of an epoch.
struct Picks {
  const long long *order;
  const long long *position;  // null: 0
};

// Where a sum or maximum over the whole grid goes (see reductions.cu).
struct Reduction {
  double *partial;   // (MAX_BLOCKS,)
  unsigned *ticket;  // 0 between launches
  double *out;
};

// The blocks that do an operation, and this block's number among them: the whole grid in a launch of its own, in a
// program perhaps a single block.
struct Part {
  int block, blocks;
  real *scratch;  // SCRATCH numbers of the block's shared memory
  __device__ int thread() const { return block * THREADS + threadIdx.x; }
  __device__ int threads() const { return blocks * THREADS; }
};

#ifndef FASTMLP_EMULATION
// __shared__ takes no type with brackets, such as real[32]
template <class T> struct type_of { using type = T; };
#define SHARED(name, ...) __shared__ alignas(32) type_of<__VA_ARGS__>::type name

__device__ inline unsigned ld_acquire(const unsigned *p) {
  unsigned v;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}

__device__ inline unsigned atom_add_acq_rel(unsigned *p, unsigned v) {
  unsigned old;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(old) : "l"(p), "r"(v) : "memory");
  return old;
}
#endif

// How many blocks of an operation a multiprocessor shall be able to run at once, which bounds the registers of a thread.
template <class Arguments> constexpr int BLOCKS_AT_ONCE = 1;

// The kernel of an operation: one parameter, the struct of its arguments. The operation itself is the function `run` of
// that struct, or for a batch of up to FEW rows `run_few`; the persistent kernel calls the same. A translation compiles,
// by -DOPERATIONS, -DPROGRAM and -DCLUSTER_PROGRAM, what a run needs: the program, which has all operations in it, takes
// as long as all of them.
#ifdef OPERATIONS
#define KERNEL(name, Arguments, run)                                                                                 \
  extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AT_ONCE<Arguments>) name(const Arguments arguments) { \
    SHARED(scratch, real[SCRATCH]);                                                                                  \
    run(arguments, Part{int(blockIdx.x), int(gridDim.x), scratch});                                                  \
  }
#else
#define KERNEL(name, Arguments, run)
#endif
#define OPERATION(name, Arguments) KERNEL(name, Arguments, run)
#define OPERATION_OF_FEW(name, Arguments) KERNEL(name, Arguments, run_few)
