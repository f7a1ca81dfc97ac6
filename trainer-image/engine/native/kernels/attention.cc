#include "attention.h"

#include <cstring>

#include "pool.h"
#include "product.h"

namespace kernels {

Inputs ReadInputs(Call &call) {
  Inputs in{call.Floats(0), call.Floats(1), call.Floats(2), call.Floats(3), call.Floats(4), 0, 0, *call.Floats(6),
            ReadLayout(call.Input<const int32_t>(5), call.Elements(5))};
  in.half = call.Size(3, 1);
  in.size = call.Size(0, 1) / in.layout.queryHeads;
  return in;
}

void TurnRow(const Inputs &in, int64_t row, const float *from, float *to, float factor, bool back) {
  const float *cosine = in.cosine + row * in.half, *sine = in.sine + row * in.half;
  const float sign = back ? -factor : factor;
  EachVec(in.half, [&](int64_t i, auto load, auto store) {
    const Vec a = load(from + i), b = load(from + i + in.half);
    const Vec c = load(cosine + i) * factor, s = load(sine + i) * sign;
    store(to + i, a * c - b * s);
    store(to + i + in.half, b * c + a * s);
  });
  for (int64_t i = 2 * in.half; i < in.size; i++) to[i] = from[i] * factor;
}

Scratch::Scratch(const Inputs &in, const Piece &piece, bool backward)
    : in(in), piece(piece), width(RoundUp(in.size)), group(in.layout.Group()) {
  // Rows a power of two apart would meet in the same lines of the cache.
  across = piece.places + kLanes;
  q.assign(piece.places * group * width, 0);
  k.assign(piece.places * width, 0);
  v.assign(piece.places * width, 0);
  keysAcross.assign(width * across, 0);
  if (backward) valuesAcross.assign(width * across, 0);
  scores.resize(kBlock * group * across);
  for (const Part &part : piece.parts) {
    for (int64_t i = 0; i < part.length; i++) {
      const int64_t row = part.row + i, place = part.place + i;
      for (int64_t g = 0; g < group; g++) {
        const float *from = in.q + (row * in.layout.queryHeads + piece.head * group + g) * in.size;
        TurnRow(in, row, from, &q[(place * group + g) * width], in.scale, false);
      }
      const int64_t from = (row * in.layout.keyHeads + piece.head) * in.size;
      TurnRow(in, row, in.k + from, &k[place * width], 1, false);
      std::memcpy(&v[place * width], in.v + from, in.size * sizeof(float));
    }
  }
  for (int64_t place = 0; place < piece.places; place++) {
    for (int64_t d = 0; d < in.size; d++) keysAcross[d * across + place] = k[place * width + d];
    for (int64_t d = 0; backward && d < in.size; d++) valuesAcross[d * across + place] = v[place * width + d];
  }
}

// In place; what the query does not see becomes 0. Columns: the prompt's, then the part's own.
void Scratch::Softmax(const Part &part, int64_t query, float *row, int64_t columns) {
  const int64_t own = Own(part), hidden = part.before + query + 1 - in.layout.window;
  const int64_t fromPrompt = std::min(std::max<int64_t>(hidden, 0), part.before);
  const int64_t fromOwn = std::max<int64_t>(hidden - part.before, 0);
  std::fill(row, row + fromPrompt, -1e30f);
  std::fill(row + part.before, row + own + fromOwn, -1e30f);
  std::fill(row + own + query + 1, row + columns, -1e30f);
  Vec most = All(-1e30f), sum = {};
  for (int64_t c = 0; c < columns; c += kLanes) most = Max(most, Load(row + c));
  const Vec top = All(Greatest(most));
  for (int64_t c = 0; c < columns; c += kLanes) {
    const Vec e = Exp(Load(row + c) - top);
    Store(row + c, e);
    sum += e;
  }
  const Vec factor = All(1 / Sum(sum));
  for (int64_t c = 0; c < columns; c += kLanes) Store(row + c, Load(row + c) * factor);
}

int64_t Scratch::Weights(const Part &part, int64_t first, int64_t count) {
  const int64_t own = Own(part), end = RoundUp(first + count), columns = own + end;
  const Matrix queries{&q[(part.place + first) * group * width], width, 1};
  Product(count * group, own, in.size, queries, keysAcross.data(), across, scores.data(), across);
  Product(count * group, end, in.size, queries, &keysAcross[part.place], across, &scores[own], across);
  for (int64_t i = 0; i < count * group; i++) Softmax(part, first + i / group, &scores[i * across], columns);
  return across;
}

namespace {

void Forward(Call &call) {
  const Inputs in = ReadInputs(call);
  float *output = call.Like(0, 0);
  Parallel(in.layout.pieces.size(), [&](int64_t i) {
    const Piece &piece = in.layout.pieces[i];
    Scratch at(in, piece, false);
    std::vector<float> seen(kBlock * at.group * at.width);
    EachBlock(piece, [&](const Part &part, int64_t first, int64_t count) {
      const int64_t rows = count * at.group, distance = at.Weights(part, first, count);
      const float *own = &at.scores[Scratch::Own(part)];
      Product(rows, at.width, part.before, {at.scores.data(), distance, 1}, at.v.data(), at.width, seen.data(), at.width);
      Product(rows, at.width, first + count, {own, distance, 1}, &at.v[part.place * at.width], at.width, seen.data(),
              at.width, true);
      for (int64_t r = 0; r < rows; r++) {
        const int64_t row = part.row + first + r / at.group, head = piece.head * at.group + r % at.group;
        std::memcpy(output + (row * in.layout.queryHeads + head) * in.size, &seen[r * at.width], in.size * sizeof(float));
      }
    });
  });
}

}  // namespace

void RegisterAttentionGradient();

// q, k, v before rotation.
void RegisterAttention() {
  Register("Attention",
           {"q: float", "k: float", "v: float", "cosine: float", "sine: float", "layout: int32", "scale: float"},
           {"output: float"}, ShapesOf<0>, Compute<Forward>);
  RegisterAttentionGradient();
}

}  // namespace kernels
