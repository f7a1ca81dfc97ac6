// Small matrix products without packing, for the blocks of attention.
#pragma once

#include <algorithm>

#include "simd.h"

namespace kernels {

// A matrix by its strides: element (i, j) stands at data[i * row + j * column].
struct Matrix {
  const float *data;
  int64_t row, column;
};

#ifdef __AVX512F__
constexpr int kTileRows = 6, kTileVecs = 4;
#else
constexpr int kTileRows = 6, kTileVecs = 2;
#endif

// One tile of C that stays in registers.
template <int R, int V>
inline void Tile(Matrix a, const float *b, int64_t rowB, float *c, int64_t rowC, int64_t k, bool add) {
  Vec sum[R][V];
  for (int r = 0; r < R; r++) {
    for (int v = 0; v < V; v++) sum[r][v] = add ? Load(c + r * rowC + v * kLanes) : Vec{};
  }
  for (int64_t p = 0; p < k; p++) {
    Vec right[V];
    for (int v = 0; v < V; v++) right[v] = Load(b + p * rowB + v * kLanes);
    for (int r = 0; r < R; r++) {
      const Vec left = All(a.data[r * a.row + p * a.column]);
      for (int v = 0; v < V; v++) sum[r][v] += left * right[v];
    }
  }
  for (int r = 0; r < R; r++) {
    for (int v = 0; v < V; v++) Store(c + r * rowC + v * kLanes, sum[r][v]);
  }
}

// All rows of V vectors' width: tiles of R rows, then the rest in smaller ones.
template <int R, int V>
inline void Rows(int64_t m, Matrix a, const float *b, int64_t rowB, float *c, int64_t rowC, int64_t k, bool add) {
  int64_t i = 0;
  for (; i + R <= m; i += R) Tile<R, V>({a.data + i * a.row, a.row, a.column}, b, rowB, c + i * rowC, rowC, k, add);
  if constexpr (R > 1) {
    if (i < m) Rows<R / 2, V>(m - i, {a.data + i * a.row, a.row, a.column}, b, rowB, c + i * rowC, rowC, k, add);
  }
}

// C [m, n] = A [m, k] times B [k, n], or added to C. Rows of B and C are contiguous, n is a multiple of kLanes.
inline void Product(int64_t m, int64_t n, int64_t k, Matrix a, const float *b, int64_t rowB, float *c, int64_t rowC,
                    bool add = false) {
  int64_t j = 0;
  for (; j + kTileVecs * kLanes <= n; j += kTileVecs * kLanes) {
    Rows<kTileRows, kTileVecs>(m, a, b + j, rowB, c + j, rowC, k, add);
  }
  for (; j + 2 * kLanes <= n; j += 2 * kLanes) Rows<kTileRows, 2>(m, a, b + j, rowB, c + j, rowC, k, add);
  for (; j < n; j += kLanes) Rows<kTileRows, 1>(m, a, b + j, rowB, c + j, rowC, k, add);
}

}  // namespace kernels
