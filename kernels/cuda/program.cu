// A program: the operations of a step, run one after another by a grid that stays for many steps. A launch costs about
// as long as a small network's whole layer; here an operation costs a barrier.

constexpr int MAX_INSTRUCTIONS = 48;

struct alignas(16) Instruction {
  unsigned char arguments[240];  // of the operation
  int code;
};

// All blocks have arrived, and what each wrote before can be read by all after. arrivals only grows (and may wrap).
__device__ inline void grid_barrier(unsigned *arrivals, unsigned &passed) {
  __syncthreads();
  if (gridDim.x == 1) return;
  if (threadIdx.x == 0) {
    const unsigned all = ++passed * gridDim.x;
    if (atom_add_acq_rel(arrivals, 1) + 1 != all)
      while ((int)(ld_acquire(arrivals) - all) < 0) __nanosleep(20);
  }
  __syncthreads();
}

struct Program {  // `steps` times the n instructions; arrivals: 0 at the start
  const void *instructions;
  int n, steps;
  unsigned *arrivals;
};

// To be launched cooperatively if on several blocks: all must be there for a barrier to end.
__device__ void run(const Program &a, real *scratch) {
  SHARED(own, Instruction[MAX_INSTRUCTIONS]);
  for (int i = threadIdx.x; i < a.n; i += THREADS) own[i] = static_cast<const Instruction *>(a.instructions)[i];
  __syncthreads();
  unsigned passed = 0;
  for (int step = 0; step < a.steps; step++)
    for (int i = 0; i < a.n; i++) {
      run_instruction(own[i].code, own[i].arguments, scratch);
      grid_barrier(a.arrivals, passed);
    }
}
OPERATION(program, Program)
