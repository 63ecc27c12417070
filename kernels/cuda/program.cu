// A program: the operations of some steps, run one after another by a persistent kernel, again and again. A launch takes
// about as long as a whole layer of a small network. Here an operation costs a barrier of all blocks instead, and not
// even that where no block needs what another has written: between operations that one block does, or in which each
// block reads its own columns alone (see few.cu). Programs are for batches of up to FEW rows.

struct Program {  // the n instructions, so many `times`; arrivals: 0 at the start
  const void *instructions;
  int n, times;
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

template <class Barrier> __device__ inline void run_program(const Program &a) {
  SHARED(memory, Memory);
  for (int i = threadIdx.x; i < a.n; i += THREADS) memory.own[i] = static_cast<const Instruction *>(a.instructions)[i];
  __syncthreads();
  Barrier barrier(a.arrivals);
  for (int time = 0; time < a.times; time++)
    for (int i = 0; i < a.n; i++) {
      const Instruction *one = memory.own + i;
      if (one->block < 0 || one->block == int(blockIdx.x)) run_instruction(one);
      if (one->wait && gridDim.x > 1)
        barrier.wait();
      else
        __syncthreads();
    }
}

#ifdef PROGRAM
// On several blocks it must be launched cooperatively: a barrier ends only if all of them are running.
extern "C" __global__ void __launch_bounds__(THREADS, 1) program(const Program arguments) {
  run_program<GridBarrier>(arguments);
}
#endif

#ifdef CLUSTER_PROGRAM
// For 8 blocks, which are one cluster on devices that have clusters (compute capability 9.0 or more).
extern "C" __global__ void CLUSTER __launch_bounds__(THREADS, 1) cluster_program(const Program arguments) {
  run_program<ClusterBarrier>(arguments);
}
#endif
