// What generated CUDA C needs in order to run on the CPU; the driver (driver.cpp) has the definitions.
//
// Every access to memory is announced to the driver by the calls that -fsanitize=thread puts before it, so that the
// driver sees accesses outside of allocated memory and races between threads, whatever the source looks like.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

struct dim3 {
  unsigned x, y, z;
};

struct Offer {
  uint64_t numbers[6];
};

extern "C" {
dim3 emulated_thread() __attribute__((const));
dim3 emulated_block() __attribute__((const));
dim3 emulated_block_size() __attribute__((const));
dim3 emulated_grid_size() __attribute__((const));
void emulated_barrier();
const Offer* emulated_exchange(const Offer* own, unsigned* lane);  // what all of the warp offer
void emulated_atomic(void* place, size_t size);
void emulated_bad_index(long index, long size) __attribute__((noreturn));
void* emulated_shared(long line, size_t size);
}

#define threadIdx (emulated_thread())
#define blockIdx (emulated_block())
#define blockDim (emulated_block_size())
#define gridDim (emulated_grid_size())
#define __global__ __attribute__((noinline))
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __syncthreads() emulated_barrier()

// An array in shared memory, known by the line that declares it.
template <class T, long N>
struct Shared {
  T* numbers;
  explicit Shared(long line) : numbers(static_cast<T*>(emulated_shared(line, N * sizeof(T)))) {}
  T& operator[](long index) {
    if (index < 0 || index >= N) emulated_bad_index(index, N);
    return numbers[index];
  }
  operator T*() { return numbers; }
};

#define UNSEEN __attribute__((no_sanitize_thread, noinline))

template <class T>
UNSEEN T atomicAdd(T* place, T value) {
  emulated_atomic(place, sizeof(T));
  T before = *place;
  *place = before + value;
  return before;
}

template <class T>
UNSEEN T atomicMax(T* place, T value) {
  emulated_atomic(place, sizeof(T));
  T before = *place;
  if (value > before) *place = value;
  return before;
}

template <class T>
UNSEEN T atomicExch(T* place, T value) {
  emulated_atomic(place, sizeof(T));
  T before = *place;
  *place = value;
  return before;
}

// The number of the thread in this warp whose own number differs in the bits `other`.
template <class T>
UNSEEN T __shfl_xor_sync(unsigned, T value, int other) {
  Offer own{};
  unsigned lane;
  memcpy(own.numbers, &value, sizeof(T));
  const Offer* offers = emulated_exchange(&own, &lane);
  memcpy(&value, offers[lane ^ other].numbers, sizeof(T));
  return value;
}

// To the nearest number of ten bits of mantissa, away from zero from the middle on.
inline float rounded_to_tf32(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if ((bits & 0x7f800000) != 0x7f800000) bits = (bits + 0x1000) & ~0x1fffu;
  memcpy(&x, &bits, 4);
  return x;
}

UNSEEN inline float float_of(uint64_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

// To the nearest number of seven bits of mantissa, to the even one from the middle.
inline float rounded_to_bfloat16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if ((bits & 0x7f800000) != 0x7f800000) bits = (bits + 0x7fff + (bits >> 16 & 1)) & ~0xffffu;
  memcpy(&x, &bits, 4);
  return x;
}

// mma.m16n8k8: d += a b. Thread 4 g + t offers a(g, t), a(g + 8, t), a(g, t + 4), a(g + 8, t + 4), b(t, g), b(t + 4, g).
// With bfloat16, the thread offers terms 2 t and 2 t + 1 in place of t and t + 4.
UNSEEN inline int multiply_rounded(float* d, const float* given, bool is_tf32) {
  Offer own{};
  for (int k = 0; k < 6; k++) {
    float x = is_tf32 ? rounded_to_tf32(given[k]) : rounded_to_bfloat16(given[k]);
    memcpy(&own.numbers[k], &x, 4);
  }
  unsigned lane;
  const Offer* offers = emulated_exchange(&own, &lane);
  for (int place = 0; place < 4; place++)
    for (unsigned k = 0; k < 8; k++) {
      unsigned column = lane % 4 * 2 + place % 2;
      unsigned t = is_tf32 ? k % 4 : k / 2, which = is_tf32 ? k / 4 : k % 2;
      const Offer &left = offers[lane / 4 * 4 + t], &right = offers[column * 4 + t];
      d[place] += float_of(left.numbers[place / 2 + which * 2]) * float_of(right.numbers[4 + which]);
    }
  return 0;
}
UNSEEN inline int multiply_tf32(float* d, float a0, float a1, float a2, float a3, float b0, float b1) {
  float given[6] = {a0, a1, a2, a3, b0, b1};
  return multiply_rounded(d, given, true);
}
UNSEEN inline int multiply_bfloat16(float* d, float a0, float a1, float a2, float a3, float b0, float b1) {
  float given[6] = {a0, a1, a2, a3, b0, b1};
  return multiply_rounded(d, given, false);
}

template <class A, class B>
inline auto max(A a, B b) -> decltype(a + b) { return a > b ? a : b; }
template <class A, class B>
inline auto min(A a, B b) -> decltype(a + b) { return a < b ? a : b; }
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __int_as_float(int x) { float y; memcpy(&y, &x, 4); return y; }
inline int __float_as_int(float x) { int y; memcpy(&y, &x, 4); return y; }
inline float __uint_as_float(unsigned x) { float y; memcpy(&y, &x, 4); return y; }
inline unsigned __float_as_uint(float x) { unsigned y; memcpy(&y, &x, 4); return y; }
inline double __longlong_as_double(long long x) { double y; memcpy(&y, &x, 8); return y; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline unsigned __umulhi(unsigned a, unsigned b) { return (uint64_t(a) * b) >> 32; }
