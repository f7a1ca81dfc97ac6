#include "op.h"
#include "pool.h"
#include "simd.h"

namespace kernels {
namespace {

constexpr int64_t kPart = 16384;

// An activation's value and slope at x.
struct Point {
  Vec value, slope;
};

Vec Sigmoid(Vec x) { return 1.f / (1.f + Exp(-x)); }

struct Silu {
  static Point At(Vec x) {
    const Vec s = Sigmoid(x), value = x * s;
    return {value, s + value * (1.f - s)};
  }
};

// x/2 (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3); (1 + tanh u) / 2 = sigmoid(2 u).
struct Gelu {
  static Point At(Vec x) {
    const Vec s = Sigmoid(1.5957691216f * (x + 0.044715f * (x * x * x)));
    const Vec inner = 1.5957691216f * (1.f + 0.134145f * (x * x));
    return {x * s, s + x * s * (1.f - s) * inner};
  }
};

template <class F>
void Forward(Call &call) {
  const float *gate = call.Floats(0), *up = call.Floats(1);
  float *y = call.Like(0, 0);
  ParallelParts(call.Elements(0), kPart, [&](int64_t from, int64_t to) {
    EachVec(to - from, [&](int64_t i, auto load, auto store) {
      store(y + from + i, F::At(load(gate + from + i)).value * load(up + from + i));
    });
  });
}

template <class F>
void Backward(Call &call) {
  const float *gate = call.Floats(0), *up = call.Floats(1), *dy = call.Floats(2);
  float *dGate = call.Like(0, 0), *dUp = call.Like(1, 0);
  ParallelParts(call.Elements(0), kPart, [&](int64_t from, int64_t to) {
    EachVec(to - from, [&](int64_t i, auto load, auto store) {
      const Point point = F::At(load(gate + from + i));
      const Vec slope = load(dy + from + i);
      store(dGate + from + i, slope * load(up + from + i) * point.slope);
      store(dUp + from + i, slope * point.value);
    });
  });
}

template <class F>
void RegisterBoth(const char *name, const char *gradient) {
  Register(name, {"gate: float", "up: float"}, {"y: float"}, ShapesOf<0>, Compute<Forward<F>>);
  Register(gradient, {"gate: float", "up: float", "gradient: float"}, {"dgate: float", "dup: float"}, ShapesOf<0, 0>,
           Compute<Backward<F>>);
}

}  // namespace

// activation(gate) * up, elementwise.
void RegisterGated() {
  RegisterBoth<Silu>("GatedSilu", "GatedSiluGradient");
  RegisterBoth<Gelu>("GatedGelu", "GatedGeluGradient");
}

}  // namespace kernels
