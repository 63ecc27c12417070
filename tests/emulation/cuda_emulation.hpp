// Runs CUDA C++ kernels on the CPU, for tests without a GPU. Included before their source; g++ or clang++, C++17.
//
// Every CUDA thread is a fiber: a stack of its own, entered by setcontext once and by longjmp from then on. A thread
// runs until it has to wait (for its block, for its warp, in a spin loop) and then jumps back to the scheduler.
// Blocks run one after another, or all at once in a cooperative launch, which may have barriers of the whole grid.
//
// What the kernels keep to: one parameter, a struct by value; blocks of 256 threads in one dimension; shared memory by
// SHARED(name, type); spin loops that call __nanosleep or ld_acquire.
//
// Schedules: 0 lets each warp run as far as it can before the next one does; 1 does the same backward; 2, 3, ... pick
// single threads at random, each number in another order. A result that depends on the schedule has a race.
//
// With EMULATION_TSAN (and -fsanitize=thread) every CUDA thread is also a fiber of ThreadSanitizer, and only what
// orders memory in CUDA does so here: __syncthreads, __syncwarp, acquire and release. Shuffles and relaxed atomics do
// not. With EMULATION_ASAN (and -fsanitize=address) the sanitizer is told of each change of stacks.
#pragma once
#include <csetjmp>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <math.h>  // not <cmath>: this one brings the overloads for float into the global namespace, as CUDA has them
#include <memory>
#include <string>
#include <sys/mman.h>
#include <type_traits>
#include <ucontext.h>
#include <utility>
#include <vector>

#define FASTMLP_EMULATION 1
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)

#ifdef EMULATION_TSAN
#define IF_TSAN(...) __VA_ARGS__
extern "C" {
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void *__tsan_get_current_fiber();
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *token);
void __tsan_release(void *token);
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
}
#else
#define IF_TSAN(...)
#endif

#ifdef EMULATION_ASAN
#define IF_ASAN(...) __VA_ARGS__
extern "C" {
void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *saved, const void **bottom, size_t *size);
}
#else
#define IF_ASAN(...)
#endif

namespace emulation {
namespace {  // each shared object has a state of its own

constexpr unsigned BLOCK = 256, WARP = 32;
constexpr size_t STACK = 128 << 10;
constexpr unsigned PATIENCE = 1000;  // rounds in which threads only spin, before that counts as a deadlock

struct Index {
  unsigned x, y, z;
};

struct Place {  // in the source of the kernel
  const char *file = "the start";
  int line = 0;
  bool operator!=(const Place &other) const {
    return line != other.line || (file != other.file && strcmp(file, other.file) != 0);
  }
  operator std::string() const { return std::string(file) + ":" + std::to_string(line); }
};

// As a default argument: where the function was called.
Place here(const char *file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }

// While one lives, the reads and writes of the thread are the emulator's own business and not the kernel's.
struct Unseen {
  Unseen() { IF_TSAN(AnnotateIgnoreReadsBegin("", 0); AnnotateIgnoreWritesBegin("", 0);) }
  ~Unseen() { IF_TSAN(AnnotateIgnoreReadsEnd("", 0); AnnotateIgnoreWritesEnd("", 0);) }
};

enum class State { ready, at_barrier, in_warp, finished };

struct Block;

struct Thread {
  unsigned index;
  Block *block;
  State state = State::finished;
  Place place;            // where it waits
  unsigned mask, source;  // of an exchange within its warp: who takes part, and whose value it wants
  uint64_t given, received;
  unsigned ballot;                           // which lanes of the mask gave something else than 0
  unsigned barriers = 0, warp_barriers = 0;  // met so far
  bool started = false;                      // its stack is in use, `resume` says where
  jmp_buf resume;
  char *stack;
  void *tsan_fiber = nullptr, *asan_stack = nullptr;
};

struct alignas(64) CacheLine {
  unsigned char bytes[64];
};

struct SharedMemory {
  unsigned long owner = 0;  // serial number of the block that it was last made new for
  std::vector<CacheLine> lines;
};

struct Block {
  unsigned index, waiting, finished;
  unsigned long serial = 0;
  Thread threads[BLOCK];
  unsigned lanes_waiting[BLOCK / WARP];  // of each warp
  std::map<const void *, SharedMemory> shared;
  // Tokens of barriers for ThreadSanitizer. They come in pairs, used in turns: a thread that is already at the next
  // barrier must not seem to come before one that has yet to leave the last.
  char barrier[2], warp_barrier[BLOCK / WARP][2];

  Block() {
    void *memory = mmap(nullptr, BLOCK * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    for (unsigned i = 0; i < BLOCK; i++) {
      threads[i].index = i;
      threads[i].block = this;
      threads[i].stack = static_cast<char *>(memory) + i * STACK;
    }
  }
};

std::vector<std::unique_ptr<Block>> pool;  // stacks are kept: a thread's stack waits for the next launch
Thread *current;
unsigned grid;                 // number of blocks
std::function<void()> kernel;  // with its arguments
std::string error;             // the first one of a launch
bool spins;                    // the thread that has just stopped waits in a spin loop
jmp_buf scheduler;
void *tsan_scheduler;
char launched, ended;  // tokens for ThreadSanitizer
const void *scheduler_stack;
size_t scheduler_stack_size;

// Switching of stacks. ThreadSanitizer counts entries and exits of functions, which do not balance in these two: its
// idea of the stack would grow with each switch.
#define OUTSIDE_TSAN __attribute__((no_sanitize("thread"), noinline))

OUTSIDE_TSAN void to_scheduler() {
  IF_ASAN(__sanitizer_start_switch_fiber(&current->asan_stack, scheduler_stack, scheduler_stack_size);)
  IF_TSAN(__tsan_switch_to_fiber(tsan_scheduler, 1);)
  _longjmp(scheduler, 1);
}

OUTSIDE_TSAN void pause() {
  if (!_setjmp(current->resume)) to_scheduler();
  IF_ASAN(__sanitizer_finish_switch_fiber(current->asan_stack, nullptr, nullptr);)
}

void release_if_complete();

// What every fiber does: it takes part in one launch after another.
void live() {
  IF_ASAN(__sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_size);)
  for (;;) {
    IF_TSAN(__tsan_acquire(&launched);)
    kernel();
    IF_TSAN(__tsan_release(&ended);)
    {
      Unseen unseen;
      current->state = State::finished;
      current->block->finished++;
      release_if_complete();
    }
    pause();
  }
}

void run(Thread &thread) {
  current = &thread;
  spins = false;
  if (!_setjmp(scheduler)) {
    IF_ASAN(__sanitizer_start_switch_fiber(nullptr, thread.stack, STACK);)
    if (thread.started) {
      IF_TSAN(__tsan_switch_to_fiber(thread.tsan_fiber, 1);)
      _longjmp(thread.resume, 1);
    }
    thread.started = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = thread.stack;
    // tops of stacks at one distance from each other would all want the same few lines of the CPU's cache
    context.uc_stack.ss_size = STACK - thread.index % WARP * 320;
    context.uc_link = nullptr;
    makecontext(&context, live, 0);
    IF_TSAN(__tsan_switch_to_fiber(thread.tsan_fiber, 1);)
    setcontext(&context);
  }
  IF_ASAN(__sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);)
}

[[noreturn]] void fail(const std::string &what) {
  const std::string who =
      "block " + std::to_string(current->block->index) + ", thread " + std::to_string(current->index);
  if (error.empty()) error = who + ": " + what;
  to_scheduler();
  __builtin_unreachable();
}

// Barriers of a block

// Called when a thread has come to a barrier or to its end: lets all go on if it was the last.
void release_if_complete() {
  Block &block = *current->block;
  if (block.waiting == 0 || block.waiting + block.finished < BLOCK) return;
  const Thread *first = nullptr;
  for (Thread &thread : block.threads)
    if (thread.state == State::at_barrier) {
      if (!first) first = &thread;
      if (thread.place != first->place)
        fail("__syncthreads in a divergent branch: thread " + std::to_string(first->index) + " waits at " +
             std::string(first->place) + " and thread " + std::to_string(thread.index) + " at " +
             std::string(thread.place));
    }
  if (block.finished)
    fail(std::to_string(block.finished) + " threads of the block have returned while " +
         std::to_string(block.waiting) + " wait for them in __syncthreads at " + std::string(first->place));
  for (Thread &thread : block.threads) thread.state = State::ready;
  block.waiting = 0;
}

void wait_for_block(Place place) {
  char *token;
  {
    Unseen unseen;
    token = &current->block->barrier[current->barriers++ & 1];
    current->state = State::at_barrier;
    current->place = place;
    current->block->waiting++;
  }
  IF_TSAN(__tsan_release(token);)
  {
    Unseen unseen;
    release_if_complete();
    if (current->state != State::ready) pause();
  }
  IF_TSAN(__tsan_acquire(token);)
  (void)token;
}

// Exchanges within a warp

std::string hexadecimal(unsigned mask) {
  std::string digits;
  for (int shift = 28; shift >= 0; shift -= 4) digits += "0123456789abcdef"[mask >> shift & 15];
  return "0x" + digits;
}

// Every lane in the mask gives a value and names the lane whose value it wants; the last one to come hands them out.
Thread &exchange(unsigned mask, uint64_t given, unsigned source, Place place) {
  Thread &self = *current, *lanes = &self.block->threads[self.index / WARP * WARP];
  const unsigned lane = self.index % WARP;
  if (!(mask >> lane & 1))
    fail("lane " + std::to_string(lane) + " is not in the mask " + hexadecimal(mask) + " that it gives at " +
         std::string(place));
  if (!(mask >> source & 1))
    fail("a shuffle from lane " + std::to_string(source) + ", which is not in the mask " + hexadecimal(mask) + ", at " +
         std::string(place));
  self.state = State::in_warp;
  self.place = place;
  self.mask = mask;
  self.given = given;
  self.source = source;
  unsigned &waiting = self.block->lanes_waiting[self.index / WARP];
  waiting |= 1u << lane;
  bool complete = (waiting & mask) == mask;
  for (unsigned i = 0; complete && i < WARP; i++)
    if (mask >> i & 1) {
      const Thread &other = lanes[i];
      if (!(other.mask >> lane & 1))
        complete = false;  // it waits for others first
      else if (other.mask != mask || other.place != place)
        fail("lanes of one warp meet with different masks or at different places: lane " + std::to_string(lane) +
             " with " + hexadecimal(mask) + " at " + std::string(place) + ", lane " + std::to_string(i) + " with " +
             hexadecimal(other.mask) + " at " + std::string(other.place));
    }
  if (!complete) {
    pause();
    return self;
  }
  waiting &= ~mask;
  unsigned ballot = 0;
  for (unsigned i = 0; i < WARP; i++)
    if (mask >> i & 1 && lanes[i].given) ballot |= 1u << i;
  for (unsigned i = 0; i < WARP; i++)
    if (mask >> i & 1) {
      lanes[i].received = lanes[lanes[i].source].given;
      lanes[i].ballot = ballot;
      lanes[i].state = State::ready;
    }
  return self;
}

template <class T> T shuffle(unsigned mask, T value, unsigned source, Place place) {
  static_assert(sizeof(T) <= sizeof(uint64_t), "shuffles are for values of up to 8 bytes");
  Unseen unseen;
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  const Thread &self = exchange(mask, bits, source, place);
  memcpy(&value, &self.received, sizeof value);
  return value;
}

unsigned lane() {
  Unseen unseen;
  return current->index % WARP;
}

void wait_for_warp(unsigned mask, Place place) {
  char *token;
  {
    Unseen unseen;
    token = &current->block->warp_barrier[current->index / WARP][current->warp_barriers++ & 1];
  }
  IF_TSAN(__tsan_release(token);)
  {
    Unseen unseen;
    exchange(mask, 0, current->index % WARP, place);
  }
  IF_TSAN(__tsan_acquire(token);)
  (void)token;
}

void spin(Place place) {
  Unseen unseen;
  spins = true;
  current->place = place;
  pause();
}

// Shared memory, with all bits set where a block has not written yet: NaN, or -1.
template <class T> T &shared(const void *key) {
  Unseen unseen;
  Block &block = *current->block;
  SharedMemory &memory = block.shared[key];
  if (memory.owner != block.serial) {
    memory.owner = block.serial;
    memory.lines.resize((sizeof(T) + sizeof(CacheLine) - 1) / sizeof(CacheLine));
    memset(memory.lines.data(), 0xFF, memory.lines.size() * sizeof(CacheLine));
  }
  return *reinterpret_cast<T *>(memory.lines.data());
}

// Launches

struct Random {
  unsigned state;
  unsigned below(unsigned n) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % n;
  }
  template <class T> void shuffle(std::vector<T> &values) {
    for (unsigned i = values.size(); i > 1; i--) std::swap(values[i - 1], values[below(i)]);
  }
};

void prepare(Block &block, unsigned index) {
  static unsigned long serial = 0;
  block.index = index;
  block.serial = ++serial;
  block.waiting = block.finished = 0;
  memset(block.lanes_waiting, 0, sizeof block.lanes_waiting);
  for (Thread &thread : block.threads) {
    if (thread.state != State::finished) {  // left behind by a launch that failed
      thread.started = false;
      IF_TSAN(__tsan_destroy_fiber(thread.tsan_fiber); thread.tsan_fiber = nullptr;)
    }
    IF_TSAN(if (!thread.tsan_fiber) thread.tsan_fiber = __tsan_create_fiber(0);)
    thread.state = State::ready;
    thread.barriers = thread.warp_barriers = 0;
  }
}

std::string deadlock(const Block &block) {
  std::map<std::string, std::pair<unsigned, unsigned>> groups;  // by what they do: the first thread, and how many
  for (const Thread &thread : block.threads) {
    const std::string place = thread.place;
    const std::string what = thread.state == State::at_barrier ? "waiting in __syncthreads at " + place
                             : thread.state == State::in_warp  ? "waiting for lanes of a warp at " + place
                             : thread.state == State::ready    ? "waiting in a spin loop at " + place
                                                               : "returned";
    if (groups[what].second++ == 0) groups[what].first = thread.index;
  }
  std::string message = "deadlock in block " + std::to_string(block.index);
  for (const auto &[what, group] : groups) {
    message += "; " + what + ": thread " + std::to_string(group.first);
    if (group.second > 1) message += " and " + std::to_string(group.second - 1) + " more";
  }
  return message;
}

void schedule(const std::vector<Block *> &blocks, int order, Random &random) {
  struct Team {
    Thread *first;
    unsigned size;
  };
  const unsigned size = order < 2 ? WARP : 1;
  std::vector<Team> teams;
  for (Block *block : blocks)
    for (unsigned i = 0; i < BLOCK; i += size) teams.push_back({&block->threads[i], size});
  if (order == 1) teams = {teams.rbegin(), teams.rend()};
  bool ran = true;
  unsigned idle = 0;
  while (ran && idle < PATIENCE && error.empty()) {
    ran = false;
    idle++;
    if (order >= 2) random.shuffle(teams);
    for (const Team &team : teams)
      for (bool again = true; again && error.empty();) {
        again = false;
        for (unsigned i = 0; i < team.size && error.empty(); i++) {
          Thread &thread = team.first[order == 1 ? team.size - 1 - i : i];
          if (thread.state != State::ready) continue;
          run(thread);
          ran = true;
          if (!spins) {
            idle = 0;
            again = order < 2;
          }
        }
      }
  }
  for (Block *block : blocks)
    if (error.empty() && block->finished < BLOCK) error = deadlock(*block);
}

template <class Arguments>
int launch(void (*function)(Arguments), const void *bytes, unsigned blocks, bool together, int order) {
  IF_TSAN(__tsan_release(&launched);)
  Unseen unseen;
  IF_TSAN(tsan_scheduler = __tsan_get_current_fiber(); together = true;)
  Arguments arguments;
  memcpy(static_cast<void *>(&arguments), bytes, sizeof arguments);
  kernel = [&] { function(arguments); };
  grid = blocks;
  error.clear();
  Random random{static_cast<unsigned>(order)};
  while (pool.size() < (together ? blocks : 1)) pool.push_back(std::make_unique<Block>());
  std::vector<unsigned> indices(blocks);
  for (unsigned i = 0; i < blocks; i++) indices[i] = order == 1 ? blocks - 1 - i : i;
  if (order >= 2) random.shuffle(indices);
  std::vector<Block *> running;
  for (unsigned i = 0; i < blocks && error.empty(); i++) {
    Block &block = *pool[running.size()];
    prepare(block, indices[i]);
    running.push_back(&block);
    if (together && i + 1 < blocks) continue;
    schedule(running, order, random);
    running.clear();
  }
  IF_TSAN(__tsan_acquire(&ended);)
  return !error.empty();
}

template <class Arguments> size_t size_of_arguments(void (*)(Arguments)) { return sizeof(Arguments); }

Index thread_index() {
  Unseen unseen;
  return {current->index, 0, 0};
}

Index block_index() {
  Unseen unseen;
  return {current->block->index, 0, 0};
}

Index grid_size() {
  Unseen unseen;
  return {grid, 1, 1};
}

// A read-modify-write as CUDA's atomics are: it orders no other memory.
template <class T, class F> T modify(T *address, F function) {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  Bits *bits = reinterpret_cast<Bits *>(address), before = __atomic_load_n(bits, __ATOMIC_RELAXED), after;
  T old;
  do {
    memcpy(&old, &before, sizeof old);
    const T changed = function(old);
    memcpy(&after, &changed, sizeof after);
  } while (!__atomic_compare_exchange_n(bits, &before, after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}

}  // namespace
}  // namespace emulation

// What a kernel sees

#define threadIdx (emulation::thread_index())
#define blockIdx (emulation::block_index())
#define blockDim (emulation::Index{emulation::BLOCK, 1, 1})
#define gridDim (emulation::grid_size())
#define warpSize 32
#define SHARED(name, ...)     \
  static char name##_of_block; \
  auto &name = emulation::shared<__VA_ARGS__>(&name##_of_block)

inline void __syncthreads(emulation::Place place = emulation::here()) { emulation::wait_for_block(place); }
inline void __syncwarp(unsigned mask = 0xffffffffu, emulation::Place place = emulation::here()) {
  emulation::wait_for_warp(mask, place);
}
inline void __nanosleep(unsigned, emulation::Place place = emulation::here()) { emulation::spin(place); }

template <class T> T __shfl_sync(unsigned mask, T value, int source, emulation::Place place = emulation::here()) {
  return emulation::shuffle(mask, value, source & 31, place);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int bits, emulation::Place place = emulation::here()) {
  return emulation::shuffle(mask, value, (emulation::lane() ^ bits) & 31, place);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned by, emulation::Place place = emulation::here()) {
  const unsigned lane = emulation::lane();
  return emulation::shuffle(mask, value, lane + by < 32 ? lane + by : lane, place);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned by, emulation::Place place = emulation::here()) {
  const unsigned lane = emulation::lane();
  return emulation::shuffle(mask, value, lane >= by ? lane - by : lane, place);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, emulation::Place place = emulation::here()) {
  emulation::Unseen unseen;
  return emulation::exchange(mask, predicate != 0, emulation::lane(), place).ballot;
}

template <class T, class V> T atomicAdd(T *address, V value) {
  return emulation::modify(address, [=](T old) { return T(old + T(value)); });
}
template <class T, class V> T atomicMax(T *address, V value) {
  return emulation::modify(address, [=](T old) { return T(value) > old ? T(value) : old; });
}
template <class T, class V> T atomicExch(T *address, V value) {
  return emulation::modify(address, [=](T) { return T(value); });
}
template <class T, class U, class V> T atomicCAS(T *address, U compare, V value) {
  return emulation::modify(address, [=](T old) { return old == T(compare) ? T(value) : old; });
}
template <class T> T ld_acquire(const T *address, emulation::Place place = emulation::here()) {
  emulation::spin(place);  // it may well be the condition of a spin loop
  return __atomic_load_n(address, __ATOMIC_ACQUIRE);
}
template <class T, class V> T atom_add_acq_rel(T *address, V value) {
  return __atomic_fetch_add(address, T(value), __ATOMIC_ACQ_REL);
}

template <class T> T __ldg(const T *address) { return *address; }
template <class T> T __ldcg(const T *address) { return *address; }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<uint64_t>(a) * b >> 32; }
inline double __longlong_as_double(long long bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
inline unsigned __float_as_uint(float value) {
  unsigned bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline float rsqrt(float x) { return 1 / sqrt(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }

// As in CUDA, of a number and NaN these give the number.
inline float max(float a, float b) { return fmax(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline float min(float a, float b) { return fmin(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline int max(int a, int b) { return a > b ? a : b; }
inline int min(int a, int b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline long long max(long long a, long long b) { return a > b ? a : b; }
inline long long min(long long a, long long b) { return a < b ? a : b; }

// What Python calls: written after the source, once for each kernel.
#define EMULATION_EXPORT extern "C" __attribute__((visibility("default")))
#define EMULATED_KERNEL(name)                                                                                      \
  EMULATION_EXPORT size_t size_of_##name() { return emulation::size_of_arguments(name); }                          \
  EMULATION_EXPORT int launch_##name(const void *arguments, unsigned blocks, int cooperative, int order) {         \
    return emulation::launch(name, arguments, blocks, cooperative, order);                                         \
  }
EMULATION_EXPORT const char *emulation_error() { return emulation::error.c_str(); }
