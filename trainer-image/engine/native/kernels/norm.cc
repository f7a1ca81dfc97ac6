#include "op.h"
#include "pool.h"
#include "simd.h"

namespace kernels {
namespace {

constexpr int64_t kRows = 32;

// 1 / root mean square of a row.
float Scale(const float *x, int64_t width, float epsilon) {
  Vec sum = {};
  EachVec(width, [&](int64_t i, auto load, auto) {
    const Vec value = load(x + i);
    sum += value * value;
  });
  return 1 / __builtin_sqrtf(Sum(sum) / width + epsilon);
}

void Forward(Call &call) {
  const float *x = call.Floats(0), *weight = call.Floats(1), epsilon = *call.Floats(2);
  const int64_t rows = call.Size(0, 0), width = call.Size(0, 1);
  float *y = call.Like(0, 0);
  ParallelParts(rows, kRows, [&](int64_t from, int64_t to) {
    for (int64_t row = from; row < to; row++) {
      const float *in = x + row * width;
      float *out = y + row * width;
      const Vec scale = All(Scale(in, width, epsilon));
      EachVec(width, [&](int64_t i, auto load, auto store) { store(out + i, load(in + i) * scale * load(weight + i)); });
    }
  });
}

// dx = r (g - n mean(g n)) with n = x r and g = dy weight; adds dy n to `dWeight`.
void RowGradient(const float *x, const float *weight, const float *dy, float *dx, float *dWeight, int64_t width,
                 float epsilon) {
  const float r = Scale(x, width, epsilon);
  Vec sum = {};
  EachVec(width, [&](int64_t i, auto load, auto store) {
    const Vec along = load(dy + i) * load(x + i) * r;
    sum += along * load(weight + i);
    store(dWeight + i, load(dWeight + i) + along);
  });
  const float mean = Sum(sum) / width * r;
  EachVec(width, [&](int64_t i, auto load, auto store) {
    store(dx + i, (load(dy + i) * load(weight + i) - load(x + i) * mean) * r);
  });
}

void Backward(Call &call) {
  const float *x = call.Floats(0), *weight = call.Floats(1), epsilon = *call.Floats(2), *dy = call.Floats(3);
  const int64_t rows = call.Size(0, 0), width = call.Size(0, 1);
  float *dx = call.Like(0, 0), *dWeight = call.Like(1, 1);
  // Each part of the rows has a sum of its own, so that the whole does not depend on the threads.
  const int64_t parts = Parts(rows, kRows);
  std::vector<float> sums(parts * width, 0);
  ParallelParts(rows, kRows, [&](int64_t from, int64_t to) {
    for (int64_t row = from; row < to; row++) {
      const int64_t at = row * width;
      RowGradient(x + at, weight, dy + at, dx + at, &sums[from / kRows * width], width, epsilon);
    }
  });
  for (int64_t i = 0; i < width; i++) {
    float sum = 0;
    for (int64_t part = 0; part < parts; part++) sum += sums[part * width + i];
    dWeight[i] = sum;
  }
}

}  // namespace

// Root mean square normalisation of each row.
void RegisterNorm() {
  Register("RmsNorm", {"x: float", "weight: float", "epsilon: float"}, {"y: float"}, ShapesOf<0>, Compute<Forward>);
  Register("RmsNormGradient", {"x: float", "weight: float", "epsilon: float", "gradient: float"},
           {"dx: float", "dweight: float"}, ShapesOf<0, 1>, Compute<Backward>);
}

}  // namespace kernels
