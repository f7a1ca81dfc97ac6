// Scratch of one piece of attention, and the steps that its forward and backward share.
#pragma once

#include "segments.h"

namespace kernels {

// Queries of one block; their heads that share the key head lie below each other: row (query, head in the group).
constexpr int64_t kBlock = 16;

struct Inputs {
  const float *q, *k, *v;
  // Cosines and sines [n, half] of the 2 * half dimensions that turn.
  const float *cosine, *sine;
  int64_t half, size;
  float scale;
  Layout layout;
};

Inputs ReadInputs(Call &call);

class Scratch {
 public:
  Scratch(const Inputs &in, const Piece &piece, bool backward);

  const Inputs &in;
  const Piece &piece;
  const int64_t width, group;
  std::vector<float> q, k, v, keysAcross, valuesAcross, scores;
  int64_t across;  // Distance of rows in keysAcross and valuesAcross.

  // Softmax of the scores of queries [first, first + count) of a part: rows (query, head), first the prompt's columns, then
  // from `Own()` the part's own. Returns the distance of rows.
  int64_t Weights(const Part &part, int64_t first, int64_t count);
  static int64_t Own(const Part &part) { return RoundUp(part.before); }

 private:
  void Softmax(const Part &part, int64_t query, float *row, int64_t columns);
};

// f(part, first, count) for every block of queries of a piece.
template <class F>
void EachBlock(const Piece &piece, F f) {
  for (const Part &part : piece.parts) {
    for (int64_t first = 0; first < part.length; first += kBlock) f(part, first, std::min(kBlock, part.length - first));
  }
}

// One row of a head turned by its position's angles into `to`, times a factor; `back` turns the other way.
void TurnRow(const Inputs &in, int64_t row, const float *from, float *to, float factor, bool back);

}  // namespace kernels
