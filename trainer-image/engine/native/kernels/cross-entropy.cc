#include <cmath>

#include "op.h"
#include "pool.h"
#include "simd.h"

namespace kernels {
namespace {

// Logits become their gradient softmax(logits) - one(label); returns the cross-entropy.
float Row(float *logits, int64_t width, int32_t label) {
  constexpr float lowest = -1e30f;
  Vec most = All(lowest), sum = {};
  EachVec(width, [&](int64_t i, auto load, auto) { most = Max(most, load(logits + i)); }, lowest);
  const float top = Greatest(most);
  const float own = logits[label] - top;
  EachVec(width, [&](int64_t i, auto load, auto store) {
    const Vec e = Exp(load(logits + i) - top);
    store(logits + i, e);
    sum += e;
  }, lowest);
  const float total = Sum(sum);
  const Vec factor = All(1 / total);
  EachVec(width, [&](int64_t i, auto load, auto store) { store(logits + i, load(logits + i) * factor); });
  logits[label] -= 1;
  return std::log(total) - own;
}

void Forward(Call &call) {
  const int32_t *labels = call.Input<const int32_t>(1);
  const int64_t rows = call.Size(0, 0), width = call.Size(0, 1);
  float *losses = call.Like(0, 1), *gradient = call.InPlaceOf(1, 0);
  Parallel(rows, [&](int64_t row) { losses[row] = Row(gradient + row * width, width, labels[row]); });
}

}  // namespace

// Cross-entropy of each row of logits against its label, and its gradient in the logits' place.
void RegisterCrossEntropy() {
  Register("CrossEntropy", {"logits: float", "labels: int32"}, {"losses: float", "gradient: float"}, ShapesOf<1, 0>,
           Compute<Forward>);
}

}  // namespace kernels
