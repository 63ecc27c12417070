// Instructions of a program (see program.cu): operations with their arguments, in the shared memory of each block.

constexpr int MAX_INSTRUCTIONS = 48;

struct alignas(16) Instruction {
  unsigned char arguments[240];  // of the operation
  int code, block, wait;         // block: the one that does it, -1: all; wait: whether all blocks wait for it to be done
  int number;                    // in the program
  template <class Arguments> __device__ const Arguments &of() const {
    return *reinterpret_cast<const Arguments *>(arguments);
  }
  __device__ Part part() const;
};

// A block's shared memory. An operation gets all it needs by the address of its instruction: arguments of a call each take
// registers of their own, in all that are called.
struct Memory {
  Instruction own[MAX_INSTRUCTIONS];
  alignas(32) real scratch[SCRATCH];
};

__device__ inline Part Instruction::part() const {
  Memory *memory = reinterpret_cast<Memory *>(const_cast<Instruction *>(this - number));
  return block < 0 ? Part{int(blockIdx.x), int(gridDim.x), memory->scratch} : Part{0, 1, memory->scratch};
}
