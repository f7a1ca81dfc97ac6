// Vectors of the compiler's own (no intrinsics): the same source is compiled for each instruction set, whose register
// width they follow.
#pragma once

#include <cstdint>
#include <cstring>

namespace kernels {

#ifdef __AVX512F__
constexpr int kLanes = 16;
#else
constexpr int kLanes = 8;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));
// The same at any address.
typedef float LooseVec __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

inline Vec Load(const float *from) { return *reinterpret_cast<const LooseVec *>(from); }
inline void Store(float *to, Vec value) { *reinterpret_cast<LooseVec *>(to) = value; }
// Less zero, not plus: that would change -0, and so be computed.
inline Vec All(float value) { return value - Vec{}; }
inline Vec Max(Vec a, Vec b) { return a > b ? a : b; }

// In a fixed order, so that results repeat.
inline float Sum(Vec v) {
  float sum = 0;
  for (int i = 0; i < kLanes; i++) sum += v[i];
  return sum;
}
inline float Greatest(Vec v) {
  float most = v[0];
  for (int i = 1; i < kLanes; i++) most = v[i] > most ? v[i] : most;
  return most;
}

// The first `count` values, `fill` after them; and back.
inline Vec LoadPart(const float *from, int64_t count, float fill) {
  float values[kLanes];
  for (float &value : values) value = fill;
  std::memcpy(values, from, count * sizeof(float));
  return Load(values);
}
inline void StorePart(float *to, Vec value, int64_t count) {
  float values[kLanes];
  Store(values, value);
  std::memcpy(to, values, count * sizeof(float));
}

// f(offset, load, store) for each vector of `width` values; the last is filled up.
template <class F>
inline void EachVec(int64_t width, F f, float fill = 0) {
  int64_t at = 0;
  for (; at + kLanes <= width; at += kLanes) f(at, [](const float *p) { return Load(p); }, [](float *p, Vec v) { Store(p, v); });
  const int64_t rest = width - at;
  if (rest > 0) {
    f(at, [=](const float *p) { return LoadPart(p, rest, fill); }, [rest](float *p, Vec v) { StorePart(p, v, rest); });
  }
}

// e^x within 2 units in the last place (Cephes' expf): x = n ln 2 + r, a polynomial in r, and n into the exponent. Zero
// under e^-87, no infinity above e^88.
inline Vec Exp(Vec x) {
  const Vec magic = All(12582912.f);  // 1.5 * 2^23: adding it rounds to an integer.
  const Vec low = All(-87.f), high = All(88.f);
  Vec bounded = x < low ? low : (x > high ? high : x);
  Vec shifted = bounded * 1.44269504f + magic;
  Vec n = shifted - magic;
  Vec r = bounded - n * 0.693359375f + n * 2.12194440e-4f;
  Vec p = All(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  Vec y = p * (r * r) + r + 1.f;
  IntVec power = __builtin_convertvector(n, IntVec) + 127;
  Vec result = y * (Vec)(power << 23);
  // Not a number stays one: it must be seen.
  return x < low ? Vec{} : (x == x ? result : x);
}

}  // namespace kernels
