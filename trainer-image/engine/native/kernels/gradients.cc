// Changes to a gradient in its own buffer. TensorFlow's operations make a new tensor instead; these write into their
// first input, whose only owner calls them. They count as stateful, so that no recording holds them.
#include "op.h"
#include "pool.h"
#include "simd.h"

namespace kernels {
namespace {

constexpr int64_t kPart = 1 << 16;
constexpr int64_t kColumns = 64;

void Add(Call &call) {
  float *sum = call.Input<float>(0);
  const float *part = call.Floats(1);
  ParallelParts(call.Elements(0), kPart, [&](int64_t from, int64_t to) {
    EachVec(to - from, [&](int64_t i, auto load, auto store) {
      store(sum + from + i, load(sum + from + i) + load(part + from + i));
    });
  });
}

void Scale(Call &call) {
  float *values = call.Input<float>(0);
  const float factor = *call.Floats(1);
  ParallelParts(call.Elements(0), kPart, [&](int64_t from, int64_t to) {
    EachVec(to - from, [&](int64_t i, auto load, auto store) { store(values + from + i, load(values + from + i) * factor); });
  });
}

// By columns, so that rows that go to one place are added in their order.
void AddRows(Call &call) {
  float *table = call.Input<float>(0);
  const float *rows = call.Floats(1);
  const int32_t *places = call.Input<const int32_t>(2);
  const int64_t count = call.Size(1, 0), width = call.Size(1, 1);
  ParallelParts(width, kColumns, [&](int64_t from, int64_t to) {
    for (int64_t row = 0; row < count; row++) {
      float *into = table + places[row] * width + from;
      const float *part = rows + row * width + from;
      EachVec(to - from, [&](int64_t i, auto load, auto store) { store(into + i, load(into + i) + load(part + i)); });
    }
  });
}

}  // namespace

void RegisterGradients() {
  RegisterInPlace("Add", {"sum: float", "part: float"}, Compute<Add>);
  RegisterInPlace("Scale", {"values: float", "factor: float"}, Compute<Scale>);
  RegisterInPlace("AddRows", {"table: float", "rows: float", "places: int32"}, Compute<AddRows>);
}

}  // namespace kernels
