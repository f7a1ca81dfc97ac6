// What happens to all weights and gradients at the end of a step. It goes through gigabytes of memory that no cache holds: each
// pass that is saved counts, and all threads read at once.
#include <algorithm>

#include "op.h"
#include "pool.h"
#include "simd.h"

namespace kernels {
namespace {

constexpr int64_t kPart = 1 << 16;

// Few numbers are added in float32 at a time: of many more the last ones would be lost in the sum.
double SumOfSquares(const float *values, int64_t count) {
  constexpr int64_t kRun = 4096;
  double total = 0;
  for (int64_t from = 0; from < count; from += kRun) {
    Vec sum = {};
    EachVec(std::min(kRun, count - from), [&](int64_t i, auto load, auto) {
      const Vec value = load(values + from + i);
      sum += value * value;
    });
    total += Sum(sum);
  }
  return total;
}

// f(tensor, first, end) for parts of tensors of these sizes.
template <class F>
void EachPart(const std::vector<int64_t> &sizes, F f) {
  struct Place {
    int64_t tensor, from, to;
  };
  std::vector<Place> places;
  for (size_t tensor = 0; tensor < sizes.size(); tensor++) {
    for (int64_t from = 0; from < sizes[tensor]; from += kPart) {
      places.push_back({static_cast<int64_t>(tensor), from, std::min(sizes[tensor], from + kPart)});
    }
  }
  Parallel(places.size(), [&](int64_t i) { f(i, places[i].tensor, places[i].from, places[i].to); });
}

std::vector<int64_t> Sizes(Call &call, int count) {
  std::vector<int64_t> sizes(count);
  for (int i = 0; i < count; i++) sizes[i] = call.Elements(i);
  return sizes;
}

// Of all inputs together. Each part has a sum of its own, so that the whole does not depend on the threads.
void AllSquares(Call &call) {
  const std::vector<int64_t> sizes = Sizes(call, call.Inputs());
  std::vector<const float *> values(sizes.size());
  int64_t parts = 0;
  for (size_t i = 0; i < sizes.size(); i++) {
    values[i] = call.Floats(i);
    parts += Parts(sizes[i], kPart);
  }
  std::vector<double> sums(parts);
  EachPart(sizes, [&](int64_t part, int64_t tensor, int64_t from, int64_t to) {
    sums[part] = SumOfSquares(values[tensor] + from, to - from);
  });
  double total = 0;
  for (double sum : sums) total += sum;
  *call.New(0, {}) = total;
}

// Numbers of a step: what the gradients are multiplied by, how fast the moments change, how far the weights move, and what
// keeps that finite.
struct AdamNumbers {
  float gradient, beta1, rest1, beta2, rest2, rate, epsilon;
};

struct AdamState {
  float *weight, *m, *v;
  const float *gradient;
};

void AdamPart(const AdamState &state, float kept, const AdamNumbers &by, int64_t from, int64_t to) {
  float *weight = state.weight, *m = state.m, *v = state.v;
  const float *gradient = state.gradient;
#pragma GCC ivdep
  for (int64_t i = from; i < to; i++) {
    const float g = gradient[i] * by.gradient;
    m[i] = by.beta1 * m[i] + by.rest1 * g;
    v[i] = by.beta2 * v[i] + by.rest2 * g * g;
    weight[i] = kept * weight[i] - by.rate * m[i] / (__builtin_sqrtf(v[i]) + by.epsilon);
  }
}

// As many of each: weights, both moments, gradients; then what is kept of each weight, and the numbers for all.
void Adam(Call &call) {
  const int count = (call.Inputs() - 2) / 4;
  std::vector<AdamState> states;
  for (int i = 0; i < count; i++) {
    states.push_back({call.Input<float>(i), call.Input<float>(count + i), call.Input<float>(2 * count + i),
                      call.Floats(3 * count + i)});
  }
  const float *kept = call.Floats(4 * count);
  const AdamNumbers by = *call.Input<const AdamNumbers>(4 * count + 1);
  EachPart(Sizes(call, count), [&](int64_t, int64_t tensor, int64_t from, int64_t to) {
    AdamPart(states[tensor], kept[tensor], by, from, to);
  });
}

void Scalar(TF_ShapeInferenceContext *context, TF_Status *status) {
  TF_ShapeHandle *scalar = TF_ShapeInferenceContextScalar(context);
  TF_ShapeInferenceContextSetOutput(context, 0, scalar, status);
  TF_DeleteShapeHandle(scalar);
}

}  // namespace

void RegisterOptimizer() {
  Register("SumOfSquares", {"values: N * float"}, {"sum: float"}, Scalar, Compute<AllSquares>, {"N: int >= 1"});
  RegisterInPlace("AdamW",
                  {"weights: N * float", "m: N * float", "v: N * float", "gradients: N * float", "kept: float", "numbers: float"},
                  Compute<Adam>, {"N: int >= 1"});
}

}  // namespace kernels
