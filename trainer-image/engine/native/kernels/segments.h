// The pieces of attention that can be computed apart: the sequences of one group that share a prompt, for one key head.
#pragma once

#include <algorithm>
#include <vector>

#include "op.h"
#include "simd.h"

namespace kernels {

inline int64_t RoundUp(int64_t count) { return Parts(count, kLanes) * kLanes; }

// A prompt or an answer: its first row in the inputs, and where it begins in the scratch arrays, where parts begin at
// multiples of kLanes.
struct Part {
  int64_t row, place, length, before;  // before: tokens of the prompt that it follows.
};

struct Piece {
  std::vector<Part> parts;
  int64_t head;    // Key head.
  int64_t places;  // Rows of the scratch arrays.
};

// Heads, window and parts, from the int32 input [query heads, key heads, window or 0, then of each group: prompt, number
// of answers, their lengths].
struct Layout {
  int64_t queryHeads, keyHeads, window;
  std::vector<Piece> pieces;
  int64_t Group() const { return queryHeads / keyHeads; }
};

inline Layout ReadLayout(const int32_t *values, int64_t count) {
  Layout layout{values[0], values[1], values[2], {}};
  if (layout.window <= 0) layout.window = INT64_MAX / 2;
  int64_t row = 0;
  for (int64_t at = 3; at < count;) {
    Piece piece;
    int64_t place = 0;
    auto add = [&](int64_t length, int64_t before) {
      piece.parts.push_back({row, place, length, before});
      row += length;
      place += RoundUp(length);
    };
    const int64_t prompt = values[at++];
    add(prompt, 0);
    for (int64_t answers = values[at++]; answers > 0; answers--) add(values[at++], prompt);
    piece.places = place;
    for (piece.head = 0; piece.head < layout.keyHeads; piece.head++) layout.pieces.push_back(piece);
  }
  // The longest first: then no thread is left with one at the end.
  std::stable_sort(layout.pieces.begin(), layout.pieces.end(),
                   [](const Piece &a, const Piece &b) { return a.places > b.places; });
  return layout;
}

}  // namespace kernels
