// Philox4x32-10: the four words of a counter under a key (twin of fastmlp.dropout.philox).

struct Words {
  unsigned of[4];
};

__device__ inline Words philox(Words counter, unsigned long long key) {
  unsigned *c = counter.of, k0 = unsigned(key), k1 = unsigned(key >> 32);
#pragma unroll
  for (int round = 0; round < PHILOX_ROUNDS; round++) {
    const unsigned long long p0 = (unsigned long long)PHILOX_MULTIPLIER_0 * c[0];
    const unsigned long long p1 = (unsigned long long)PHILOX_MULTIPLIER_1 * c[2];
    c[0] = unsigned(p1 >> 32) ^ c[1] ^ k0;
    c[1] = unsigned(p1);
    c[2] = unsigned(p0 >> 32) ^ c[3] ^ k1;
    c[3] = unsigned(p0);
    k0 += PHILOX_KEY_STEP_0;
    k1 += PHILOX_KEY_STEP_1;
  }
  return counter;
}
