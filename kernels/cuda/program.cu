// A program: the operations of a step, run one after another by a grid that stays for many steps. A launch costs about
// as much as a small network's whole layer; here an operation costs a barrier, or none between operations that are so
// small that one block does them alone. Programs are for batches of up to FEW rows.

constexpr int MAX_INSTRUCTIONS = 48;

struct alignas(16) Instruction {
  unsigned char arguments[240];  // of the operation
  int code, alone;               // alone: for the first block
};

struct Program {  // `steps` times the n instructions; arrivals: 0 at the start
  const void *instructions;
  int n, steps;
  unsigned *arrivals;
};

// All blocks have arrived, and what each wrote before can be read by all after. arrivals only grows, and may wrap.
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

// The same by the hardware, for blocks of one cluster.
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
      const bool alone = own[i].alone;
      const int blocks = alone ? 1 : part.blocks;
      if (part.block < blocks) run_instruction(own[i].code, own[i].arguments, {part.block, blocks, part.scratch});
      if (part.blocks == 1 || (alone && own[i + 1 < a.n ? i + 1 : 0].alone))
        __syncthreads();
      else
        barrier.wait();
    }
}

// To be launched cooperatively if on several blocks: all must be there for a barrier to end.
__device__ void run(const Program &a, const Part &part) { run_program<GridBarrier>(a, part); }
OPERATION(program, Program)

// On 8 blocks, which are one cluster where there are clusters (compute capability 9.0).
extern "C" __global__ void CLUSTER __launch_bounds__(THREADS, 1) cluster_program(const Program arguments) {
  SHARED(scratch, real[SCRATCH]);
  run_program<ClusterBarrier>(arguments, Part{int(blockIdx.x), int(gridDim.x), scratch});
}
