// A program: the operations of a step, run one after another by a persistent kernel, for many steps. A launch takes
// about as long as a whole layer of a small network. Here an operation costs a barrier of the grid instead; not even
// that between two operations so small that a single block does them. Programs are for batches of up to FEW rows.

constexpr int MAX_INSTRUCTIONS = 48;

struct alignas(16) Instruction {
  unsigned char arguments[240];  // of the operation
  int code, single_block;        // single_block: whether the first block does it, without the others
};

struct Program {  // the n instructions, `steps` times; arrivals: 0 at the start
  const void *instructions;
  int n, steps;
  unsigned *arrivals;
};

// Waits until all blocks have arrived; what each wrote before, all can read after. `arrivals` only grows, and may wrap.
struct GridBarrier {
  unsigned *arrivals, all = 0;
  __device__ explicit GridBarrier(unsigned *arrivals) : arrivals(arrivals) {}
  __device__ void wait() {
    all += gridDim.x;
    __syncthreads();
    if (threadIdx.x == 0 && atom_add_acq_rel(arrivals, 1) + 1 != all)
      while ((int)(ld_acquire(arrivals) - all) < 0) __nanosleep(20);
    __syncthreads();
  }
};

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define CLUSTER __cluster_dims__(8, 1, 1)

// The same for the blocks of one cluster, by the hardware's barrier.
struct ClusterBarrier {
  __device__ explicit ClusterBarrier(unsigned *) {}
  __device__ void wait() {
    asm volatile("barrier.cluster.arrive.release; barrier.cluster.wait.acquire;" ::: "memory");
  }
};
#else
#define CLUSTER
using ClusterBarrier = GridBarrier;
#endif

template <class Barrier> __device__ inline void run_program(const Program &a, const Part &part) {
  SHARED(own, Instruction[MAX_INSTRUCTIONS]);
  for (int i = threadIdx.x; i < a.n; i += THREADS) own[i] = static_cast<const Instruction *>(a.instructions)[i];
  __syncthreads();
  Barrier barrier(a.arrivals);
  for (int step = 0; step < a.steps; step++)
    for (int i = 0; i < a.n; i++) {
      const bool single = own[i].single_block;
      const int blocks = single ? 1 : part.blocks;
      if (part.block < blocks) run_instruction(own[i].code, own[i].arguments, {part.block, blocks, part.scratch});
      if (part.blocks == 1 || (single && own[i + 1 < a.n ? i + 1 : 0].single_block))
        __syncthreads();
      else
        barrier.wait();
    }
}

// On several blocks it must be launched cooperatively: a barrier ends only if all of them are running.
__device__ void run(const Program &a, const Part &part) { run_program<GridBarrier>(a, part); }
OPERATION(program, Program)

// For 8 blocks, which are one cluster on devices that have clusters (compute capability 9.0 or more).
extern "C" __global__ void CLUSTER __launch_bounds__(THREADS, 1) cluster_program(const Program arguments) {
  SHARED(scratch, real[SCRATCH]);
  run_program<ClusterBarrier>(arguments, Part{int(blockIdx.x), int(gridDim.x), scratch});
}
