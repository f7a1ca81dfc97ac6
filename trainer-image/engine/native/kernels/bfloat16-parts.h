// Numbers of float32 as sums of three of bfloat16, laid out as the processor's matrix unit (AMX) takes them.
#pragma once

#ifdef __AMX_BF16__

#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "pool.h"

namespace kernels {

// A tile has 16 lines of 32 numbers, 64 bytes each.
constexpr int64_t kTileLines = 16, kTileDepth = 32, kTileSize = kTileLines * kTileDepth;
constexpr int kParts = 3;
// A panel is 32 lines: for each 32 numbers of their depth two tiles of first parts, two of second and two of third ones.
constexpr int64_t kPanelLines = 2 * kTileLines, kPartSize = 2 * kTileSize, kPanelStep = kParts * kPartSize;

// One operand of a product: its lines are rows of the left one or columns of the right one. Number d of line i stands at
// data[i * stride + d] where lines lie `along` memory, else at data[d * stride + i].
struct Lines {
  const float *data;
  int64_t count, depth, stride;
  bool along;
};

// The left operand's lines are rows of a tile. The right one's are columns, two numbers of each beside each other.
enum class Side { kLeft, kRight };

using Half = __m256i;  // 16 numbers of bfloat16.
using Row = __m512i;   // A tile's row: 32 of them.

inline Half Rounded(__m512 x) { return (Half)_mm512_cvtneps_pbh(x); }
inline Row Words(Half x) { return _mm512_cvtepu16_epi32(x); }
inline Row Raised(Row words) { return _mm512_slli_epi32(words, 16); }
inline __m512 Without(__m512 x, Row part) { return _mm512_sub_ps(x, _mm512_castsi512_ps(part)); }

// The parts of 32 numbers that follow each other: each part is what is left of the number after those before, rounded to the
// nearest. Three have 24 bits together, so that they make up the number, unless it is less than 2^-103.
inline void Split(__m512 low, __m512 high, Row parts[kParts]) {
  for (int part = 0; part < kParts; part++) {
    const Half first = Rounded(low), second = Rounded(high);
    parts[part] = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
    low = Without(low, Raised(Words(first)));
    high = Without(high, Raised(Words(second)));
  }
}

// The same of 16 pairs whose numbers stand in two vectors: they come to stand beside each other.
inline void SplitPairs(__m512 even, __m512 odd, Row parts[kParts]) {
  for (int part = 0; part < kParts; part++) {
    const Row first = Words(Rounded(even)), second = Raised(Words(Rounded(odd)));
    parts[part] = _mm512_or_si512(first, second);
    even = Without(even, Raised(first));
    odd = Without(odd, second);
  }
}

// Rows of 16 words become columns.
inline void Transpose(Row rows[16]) {
  Row t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int j = 0; j < 2; j++) {
      rows[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + j + 2]);
      rows[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + j + 2]);
    }
  }
  for (int i = 0; i < 16; i += 8) {
    for (int j = 0; j < 4; j++) {
      t[i + j] = _mm512_shuffle_i32x4(rows[i + j], rows[i + j + 4], 0x88);
      t[i + j + 4] = _mm512_shuffle_i32x4(rows[i + j], rows[i + j + 4], 0xdd);
    }
  }
  for (int j = 0; j < 8; j++) {
    rows[j] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0x88);
    rows[j + 8] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0xdd);
  }
}

// The first `count` of 16 lanes.
inline __mmask16 First(int64_t count) {
  return static_cast<__mmask16>((1u << std::clamp<int64_t>(count, 0, 16)) - 1);
}

// The parts of 16 lines from `line` on, 32 numbers from `depth` on: three tiles at to[0], to[kPartSize], ... Zeros stand
// for what is beyond the operand.
inline void PackTile(const Lines &from, int64_t line, int64_t depth, Side side, uint16_t *to) {
  // So far ahead, in numbers, that memory has answered when it is that one's turn.
  constexpr int64_t kAhead = 64;
  Row rows[kParts][16];
  for (int64_t i = 0; i < 16; i++) {
    __m512 first = _mm512_setzero_ps(), second = first;
    Row parts[kParts];
    if (from.along) {
      if (line + i < from.count) {
        const float *numbers = from.data + (line + i) * from.stride + depth;
        _mm_prefetch(numbers + kAhead, _MM_HINT_T0);
        _mm_prefetch(numbers + kAhead + 16, _MM_HINT_T0);
        first = _mm512_maskz_loadu_ps(First(from.depth - depth), numbers);
        second = _mm512_maskz_loadu_ps(First(from.depth - depth - 16), numbers + 16);
      }
      Split(first, second, parts);
    } else {
      const int64_t at = depth + 2 * i;
      const float *numbers = from.data + at * from.stride + line;
      const __mmask16 lines = First(from.count - line);
      _mm_prefetch(numbers + kAhead, _MM_HINT_T0);
      _mm_prefetch(numbers + from.stride + kAhead, _MM_HINT_T0);
      if (at < from.depth) first = _mm512_maskz_loadu_ps(lines, numbers);
      if (at + 1 < from.depth) second = _mm512_maskz_loadu_ps(lines, numbers + from.stride);
      SplitPairs(first, second, parts);
    }
    for (int part = 0; part < kParts; part++) rows[part][i] = parts[part];
  }
  for (int part = 0; part < kParts; part++) {
    // Lines along memory are rows so far, others columns.
    if (from.along == (side == Side::kRight)) Transpose(rows[part]);
    for (int i = 0; i < 16; i++) _mm512_store_si512(to + part * kPartSize + i * kTileDepth, rows[part][i]);
  }
}

// Panels that lie `size` apart, from line `line` on and of the numbers [begin, end) of their depth; in the order of memory.
inline void PackPanels(const Lines &from, int64_t line, int64_t panels, int64_t begin, int64_t end, Side side, uint16_t *to,
                       int64_t size) {
  const int64_t steps = Parts(end - begin, kTileDepth);
  for (int64_t i = 0; i < panels * steps; i++) {
    const int64_t panel = from.along ? i / steps : i % panels, step = from.along ? i % steps : i / panels;
    uint16_t *tiles = to + panel * size + step * kPanelStep;
    const int64_t first = line + panel * kPanelLines, depth = begin + step * kTileDepth;
    PackTile(from, first, depth, side, tiles);
    PackTile(from, first + kTileLines, depth, side, tiles + kTileSize);
  }
}

}  // namespace kernels

#endif
