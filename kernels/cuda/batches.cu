// Loops over arrays by all threads of a part; and what surrounds a step: gathering a batch, its total weight, advancing
// to the next step.

// N adjacent numbers, loaded and stored at once.
template <class T, int N = 4> struct alignas(N * sizeof(T)) Pack {
  T of[N];
};

template <int N = 4, class T> __device__ inline bool aligned(const T *p) {
  return reinterpret_cast<unsigned long long>(p) % sizeof(Pack<T, N>) == 0;
}
template <int N = 4, class T> __device__ inline const Pack<T, N> &pack(const T *p) {
  return *reinterpret_cast<const Pack<T, N> *>(p);
}
template <int N = 4, class T> __device__ inline Pack<T, N> &pack(T *p) { return *reinterpret_cast<Pack<T, N> *>(p); }

// 16 bytes of an array: loaded by the constructor, and stored by the destructor unless the array is constant.
template <class T> struct Access {
  static constexpr int N = 16 / sizeof(real);
  T *at;
  Pack<real, N> v;
  __device__ explicit Access(T *at) : at(at), v(pack<N>(at)) {}
  __device__ ~Access() { put(at, v); }
  __device__ static void put(const real *, const Pack<real, N> &) {}
  __device__ static void put(real *at, const Pack<real, N> &v) { pack<N>(at) = v; }
};

template <class F, class... A> __device__ inline void each_within(F &f, A &&...access) {
#pragma unroll
  for (int k = 0; k < int(16 / sizeof(real)); k++) f(access.v.of[k]...);
}

// f(x[i]...) for every i < n, by `threads` threads of which this is number `thread`: 16 bytes of each array at a time.
// The tail goes one element at a time, and so does everything if an array is not aligned. f takes references; arrays
// that are not constant are written.
template <class F, class... T>
__device__ inline void each_of(int thread, int threads, long long n, F f, T *...x) {
  constexpr int N = 16 / sizeof(real);
  const long long end = (... && aligned<N>(x)) ? n / N * N : 0;
#pragma unroll 1
  for (long long i = (long long)N * thread; i < end; i += (long long)N * threads) each_within(f, Access<T>(x + i)...);
#pragma unroll 1
  for (long long i = end + thread; i < n; i += threads) f(x[i]...);
}

template <class F, class... T> __device__ inline void each(const Part &part, long long n, F f, T *...x) {
  each_of(part.thread(), part.threads(), n, f, x...);
}

// Row and column of a thread, while all threads of the part step through a matrix, `width` elements each. Only the start
// takes divisions.
struct Place {
  int columns, row, column, down, across;
  __device__ Place(const Part &part, int columns, int width = 1)
      : columns(columns),
        row(width * part.thread() / columns), column(width * part.thread() % columns),
        down(width * part.threads() / columns), across(width * part.threads() % columns) {}
  __device__ void move() {
    row += down;
    column += across;
    if (column >= columns) column -= columns, row++;
  }
};

// Where the numbers of the batch's samples begin.
__device__ inline const long long *sample_numbers(const Picks &rows) {
  return rows.order + (rows.position ? *rows.position : 0);
}

// A number in IEEE half precision, as its bits.
struct Half {
  unsigned short bits;
  __device__ operator real() const {
    const long long exponent = bits >> 10 & 31, fraction = bits & 1023;
    double size;
    if (exponent == 31)  // infinity or NaN
      size = __longlong_as_double(0x7ff0000000000000LL | fraction << 42);
    else if (exponent)  // (1024 + fraction) 2^(exponent - 25); doubles have their exponent, plus 1023, from bit 52 on
      size = double(1024 + fraction) * __longlong_as_double((exponent + 998) << 52);
    else
      size = double(fraction) * 0x1p-24;
    return real(bits >> 15 ? -size : size);
  }
};

struct Gather {
  const void *x;
  int kind;
  Picks rows;
  real *out;
  int n, inputs;
};

template <class T> __device__ inline void gather_from(const T *x, const Gather &a, const Part &part) {
  const long long *sample = sample_numbers(a.rows);
  const int width = a.inputs % 4 == 0 && aligned(x) && aligned(a.out) ? 4 : 1;
  for (Place at(part, a.inputs / width); at.row < a.n; at.move()) {
    const T *from = x + sample[at.row] * a.inputs + at.column * width;
    real *to = a.out + (long long)at.row * a.inputs + at.column * width;
    if (width == 4) {
      const Pack<T> v = pack(from);
      pack(to) = {real(v.of[0]), real(v.of[1]), real(v.of[2]), real(v.of[3])};
    } else {
      *to = real(*from);
    }
  }
}

// out (n, inputs) = x[rows], converted
__device__ void run(const Gather &a, const Part &part) {
  switch (a.kind) {
    case KIND_F4: return gather_from(static_cast<const float *>(a.x), a, part);
    case KIND_F8: return gather_from(static_cast<const double *>(a.x), a, part);
    case KIND_F2: return gather_from(static_cast<const Half *>(a.x), a, part);
    case KIND_I1: return gather_from(static_cast<const signed char *>(a.x), a, part);
    case KIND_B1:
    case KIND_U1: return gather_from(static_cast<const unsigned char *>(a.x), a, part);
    case KIND_I2: return gather_from(static_cast<const short *>(a.x), a, part);
    case KIND_U2: return gather_from(static_cast<const unsigned short *>(a.x), a, part);
    case KIND_I4: return gather_from(static_cast<const int *>(a.x), a, part);
    case KIND_U4: return gather_from(static_cast<const unsigned *>(a.x), a, part);
    case KIND_I8: return gather_from(static_cast<const long long *>(a.x), a, part);
    case KIND_U8: return gather_from(static_cast<const unsigned long long *>(a.x), a, part);
  }
}
OPERATION(gather, Gather)

struct MeanScale {
  const real *weights;
  Picks rows;
  int n;
  Reduction sum;
};

// *out = 1 / Σ weights[rows], or 0 if the sum is 0
__device__ void run(const MeanScale &a, const Part &part) {
  const long long *sample = sample_numbers(a.rows);
  double sum = 0;
  for (int i = part.thread(); i < a.n; i += part.threads()) sum += a.weights[sample[i]];
  if (over_grid<Sum>(sum, a.sum, part) && threadIdx.x == 0) *a.sum.out = *a.sum.out != 0 ? 1 / *a.sum.out : 0;
}
OPERATION(mean_scale, MeanScale)

struct Copy {
  const real *x;
  real *out;
  long long n;
};

__device__ void run(const Copy &a, const Part &part) {
  each(part, a.n, [](const real &x, real &out) { out = x; }, a.x, a.out);
}
OPERATION(copy, Copy)

struct RoundToBf16 {
  const real *x;
  unsigned short *out;
  long long n;
};

// The upper half of the bits of a float32 number, rounded to nearest, ties to even; a NaN stays one.
__device__ inline unsigned short bf16(real x) {
  const unsigned bits = __float_as_uint(float(x));
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffu;
  return (unsigned short)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

__device__ void run(const RoundToBf16 &a, const Part &part) {
  const long long end = aligned(a.x) && aligned(a.out) ? a.n / 4 * 4 : 0;
  for (long long i = 4LL * part.thread(); i < end; i += 4LL * part.threads()) {
    const Pack<real> v = pack(a.x + i);
    pack(a.out + i) = {bf16(v.of[0]), bf16(v.of[1]), bf16(v.of[2]), bf16(v.of[3])};
  }
  for (long long i = end + part.thread(); i < a.n; i += part.threads()) a.out[i] = bf16(a.x[i]);
}
OPERATION(round_to_bf16, RoundToBf16)

struct StoreScalar {
  Scalar number;
  real *to;
};

__device__ void run(const StoreScalar &a, const Part &part) {
  if (part.thread() == 0) *a.to = real(value(a.number));
}
OPERATION(store_scalar, StoreScalar)

struct StoreSum {
  const Scalar *terms;
  int n_terms;
  double *to;
};

// *to = Σ terms
__device__ void run(const StoreSum &a, const Part &part) {
  if (part.thread() > 0) return;
  double sum = 0;
  for (int i = 0; i < a.n_terms; i++) sum += value(a.terms[i]);
  *a.to = sum;
}
OPERATION(store_sum, StoreSum)

struct Advance {
  const Scalar *terms;
  int n_terms;
  const double *table;
  double *rates, *losses, *step;
  const long long *epoch;
  long long *done, *position;
  int steps, ahead;
  long long batch;
};

// The end of some steps, of `batch` samples together: their loss, Σ terms, is added to the epoch's. The next batch, step
// number and rates become the current ones. The table has a row of three rates for each step, and `ahead` more that the
// last steps read. All is done side by side, since all waits for memory.
__device__ void run(const Advance &a, const Part &part) {
  if (part.block > 0) return;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const long long done = *a.done + a.steps;
  if (warp == 0) {
    double *of_epoch = a.losses + *a.epoch, loss = lane == 0 ? *of_epoch : 0;
    for (int i = lane; i < a.n_terms; i += 32) loss += value(a.terms[i]);
    loss = over_warp<Sum>(loss);
    if (lane == 0) *of_epoch = loss;
  }
  if (threadIdx.x == 32) *a.position += a.batch;
  if (threadIdx.x == 64) *a.step += a.steps;
  if (warp == 3)
    for (int i = lane; i < 3 * a.ahead; i += 32) a.rates[i] = a.table[3 * done + i];
  __syncthreads();  // all have read it
  if (threadIdx.x == 0) *a.done = done;
}
OPERATION(advance, Advance)
