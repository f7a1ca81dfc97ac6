// Sums of products of float32 matrices on the processor's matrix unit (AMX), which multiplies numbers of bfloat16 and adds in float32.
//
// Each number is the sum of three of bfloat16, a = a1 + a2 + a3, each at most 2^-8 of the one before; of the nine products of
// two such sums the six largest are added up (Henry, Tang and Heinecke 2019, "Leveraging the bfloat16 Artificial
// Intelligence Datatype For Higher-Precision Computations"). What is left out is at most 2^-23 of a product and its root
// mean square 2^-27, where rounding it to float32 takes 2^-24 and 2^-25; and sums of 32 are added before they join the rest. So
// the result is on average nearer to the exact one than that of one fused operation after another. Factors and products below
// 2^-103 keep fewer than 24 bits; a factor of 3.395e38 or more, infinite or not, gives NaN.
#include "op.h"

#ifdef __AMX_BF16__

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <sys/mman.h>

#include "bfloat16-parts.h"
#include "pool.h"
#include "simd.h"

namespace kernels {
namespace {

// At most so many steps of the operands' depth at a time, and panels of the operand that a thread packs for itself: with one
// of the other operand's they fit into the second cache.
constexpr int64_t kMostSteps = 20, kMostPanels = 10;

constexpr int64_t Up(int64_t x, int64_t size) { return Parts(x, size) * size; }

// Memory that is used again by the same thread, in large pages where the system has them.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  ~Scratch() { std::free(data_); }

  uint16_t *Get(size_t count) {
    if (count > count_) {
      std::free(data_);
      count_ = 0;
      const size_t bytes = Up(count * sizeof(uint16_t), kPage);
      data_ = static_cast<uint16_t *>(std::aligned_alloc(kPage, bytes));
      if (data_ == nullptr) {
        // Thrown it would leave other threads waiting for what was never packed.
        std::fprintf(stderr, "kernels: no memory for %zu bytes of packed numbers\n", bytes);
        std::abort();
      }
      madvise(data_, bytes, MADV_HUGEPAGE);
      count_ = count;
    }
    return data_;
  }

 private:
  static constexpr size_t kPage = 2 << 20;
  uint16_t *data_ = nullptr;
  size_t count_ = 0;
};

// The unit's eight tiles: 0 to 3 hold 32 x 32 sums, 4 and 5 a part of the left panel, 6 and 7 one of the right panel.
struct TileShapes {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};
  TileShapes() {
    std::fill(bytes, bytes + 8, 64);
    std::fill(rows, rows + 8, 16);
  }
};

// What was written before is in memory for the tile unit: its loads do not tell the compiler that they read there.
inline void Written() { asm volatile("" ::: "memory"); }

struct UseTiles {
  UseTiles() {
    static const TileShapes shapes;
    Written();
    _tile_loadconfig(&shapes);
  }
  ~UseTiles() { _tile_release(); }
};

inline void LoadSums(const float *from, int64_t stride) {
  _tile_loadd(0, from, stride * 4);
  _tile_loadd(1, from + 16, stride * 4);
  _tile_loadd(2, from + 16 * stride, stride * 4);
  _tile_loadd(3, from + 16 * stride + 16, stride * 4);
}

inline void StoreSums(float *to, int64_t stride) {
  _tile_stored(0, to, stride * 4);
  _tile_stored(1, to + 16, stride * 4);
  _tile_stored(2, to + 16 * stride, stride * 4);
  _tile_stored(3, to + 16 * stride + 16, stride * 4);
}

inline void ClearSums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

// A quarter of the lines that hold one part of the next step's tiles on their way to the first cache.
template <int Quarter>
inline void Fetch(const uint16_t *part) {
  for (int line = 0; line < 8; line++) _mm_prefetch(part + kPanelStep + (Quarter * 8 + line) * kTileDepth, _MM_HINT_T0);
}

// Four products of tiles, one for each of the sums, and a part of the next step's fetched meanwhile.
inline void MultiplyTiles(const uint16_t *next) {
  _tile_dpbf16ps(0, 4, 6);
  Fetch<0>(next);
  _tile_dpbf16ps(1, 4, 7);
  Fetch<1>(next);
  _tile_dpbf16ps(2, 5, 6);
  Fetch<2>(next);
  _tile_dpbf16ps(3, 5, 7);
  Fetch<3>(next);
}

inline void LoadLeft(const uint16_t *part) {
  _tile_loadd(4, part, 64);
  _tile_loadd(5, part + kTileSize, 64);
}

inline void LoadRight(const uint16_t *part) {
  _tile_loadd(6, part, 64);
  _tile_loadd(7, part + kTileSize, 64);
}

// Adds two panels' product to the sums. The six products of parts in an order in which but one factor changes at a time.
inline void MultiplyPanels(const uint16_t *left, const uint16_t *right, int64_t steps) {
  for (int64_t step = 0; step < steps; step++, left += kPanelStep, right += kPanelStep) {
    LoadLeft(left);
    LoadRight(right + 2 * kPartSize);
    MultiplyTiles(right + 2 * kPartSize);
    LoadRight(right + kPartSize);
    MultiplyTiles(right + kPartSize);
    LoadLeft(left + kPartSize);
    MultiplyTiles(left + kPartSize);
    LoadRight(right);
    MultiplyTiles(right);
    LoadLeft(left + 2 * kPartSize);
    MultiplyTiles(left + 2 * kPartSize);
    LoadLeft(left);
    MultiplyTiles(left);
  }
}

// Part of the result [rows, columns], of which 32 x 32 numbers are computed at a time.
struct Result {
  float *data;
  int64_t rows, columns;
  // What the whole product is added to, or null.
  const float *sum;

  // Adds the product of two panels to the numbers from (row, column) on, or puts it there; adds the sum when it is the last.
  void Add(int64_t row, int64_t column, const uint16_t *left, const uint16_t *right, int64_t steps, bool begun, bool last) const {
    const int64_t at = row * columns + column;
    const int64_t height = std::min(kPanelLines, rows - row), width = std::min(kPanelLines, columns - column);
    const bool whole = height == kPanelLines && width == kPanelLines, added = last && sum != nullptr;
    if (whole) {
      for (int64_t i = 0; i < kPanelLines; i++) Expect(data + at + i * columns);
    }
    if (whole && !added) return Multiplied(data + at, columns, left, right, steps, begun);
    alignas(64) float block[kPanelLines * kPanelLines];
    const auto each = [&](auto f) {
      for (int64_t i = 0; i < height; i++) f(block + i * kPanelLines, data + at + i * columns, i * columns);
    };
    if (begun) each([&](float *in, const float *out, int64_t) { std::memcpy(in, out, width * sizeof(float)); });
    Multiplied(block, kPanelLines, left, right, steps, begun);
    if (!added) return each([&](const float *in, float *out, int64_t) { std::memcpy(out, in, width * sizeof(float)); });
    each([&](const float *in, float *out, int64_t line) {
      EachVec(width, [&](int64_t i, auto load, auto store) { store(out + i, load(sum + at + line + i) + load(in + i)); });
    });
  }

 private:
  static void Expect(const float *row) {
    for (int64_t column : {0, 16, 31}) __builtin_prefetch(row + column, 1);
  }

  static void Multiplied(float *at, int64_t stride, const uint16_t *left, const uint16_t *right, int64_t steps, bool begun) {
    Written();
    begun ? LoadSums(at, stride) : ClearSums();
    MultiplyPanels(left, right, steps);
    StoreSums(at, stride);
    Written();
  }
};

// Brings a packed panel to the second cache piece by piece, while the one before is multiplied.
class Fetching {
 public:
  Fetching(const uint16_t *panel, int64_t size, int64_t pieces)
      : at_(reinterpret_cast<const char *>(panel)), end_(at_ + size * 2), piece_(Up(size * 2 / pieces + 1, 64)) {}
  void Next() {
    const char *until = std::min(at_ + piece_, end_);
    for (; at_ < until; at_ += 64) _mm_prefetch(at_, _MM_HINT_T1);
  }

 private:
  const char *at_, *end_;
  const int64_t piece_;
};

// One product of those whose sum is computed.
struct Term {
  Lines left, right;
  int64_t Steps() const { return Parts(left.depth, kTileDepth); }
};

// A sum of products with equally many rows and columns: as one product whose depth is theirs one after another. The side with
// fewer lines is shared: packed whole, for all threads, a slice of the depth after another; of the other each thread packs
// some lines at a time and multiplies them with all that is shared. What a number is the sum of, and in which order, does not
// depend on who computes it.
class Products {
 public:
  Products(const std::vector<Term> &terms, const Result &result)
      : terms_(terms), result_(result), rightIsShared_(result.columns <= result.rows),
        sharedPanels_(Parts(std::min(result.rows, result.columns), kPanelLines)),
        ownPanels_(Parts(std::max(result.rows, result.columns), kPanelLines)),
        // Few blocks, since each goes through all that is shared; as many for each thread, and of nearly the same size.
        blocks_(std::min(ownPanels_, Up(Parts(ownPanels_, kMostPanels), Threads()))) {
    for (const Term &term : terms) steps_ += term.Steps();
    const int64_t most = Parts(steps_, Parts(steps_, kMostSteps));
    size_ = most * kPanelStep;
    static thread_local Scratch scratch;
    packed_ = scratch.Get(sharedPanels_ * size_);
    for (int64_t begin = 0; begin < steps_; begin += most) {
      const Slice slice{begin, std::min(steps_, begin + most)};
      PackShared(slice);
      std::vector<Block> blocks(blocks_);
      std::atomic<int64_t> next(0);
      Parallel(std::min<int64_t>(Threads(), blocks_ * sharedPanels_), [&](int64_t) {
        const UseTiles tiles;
        for (int64_t i = next++; i < blocks_; i = next++) Begin(blocks[i], i, slice);
        Help(blocks, slice);
      });
    }
  }

 private:
  // Steps of the whole depth.
  struct Slice {
    int64_t begin, end;
  };

  const Lines &Shared(const Term &term) const { return rightIsShared_ ? term.right : term.left; }
  const Lines &Own(const Term &term) const { return rightIsShared_ ? term.left : term.right; }

  // f(term, numbers of its depth from and to, step of the slice) for each term that has a part of the slice.
  template <class F>
  void EachTerm(const Slice &slice, F f) const {
    int64_t first = 0;
    for (const Term &term : terms_) {
      const int64_t from = std::max(slice.begin, first), to = std::min(slice.end, first + term.Steps());
      if (from < to) {
        f(term, (from - first) * kTileDepth, std::min((to - first) * kTileDepth, term.left.depth), from - slice.begin);
      }
      first += term.Steps();
    }
  }

  void PackShared(const Slice &slice) const {
    const Side side = rightIsShared_ ? Side::kRight : Side::kLeft;
    EachTerm(slice, [&](const Term &term, int64_t from, int64_t to, int64_t step) {
      const Lines &lines = Shared(term);
      uint16_t *packed = packed_ + step * kPanelStep;
      if (lines.along) {
        Parallel(sharedPanels_, [&](int64_t i) {
          PackPanels(lines, i * kPanelLines, 1, from, to, side, packed + i * size_, size_);
        });
      } else {
        Parallel(Parts(to - from, kTileDepth), [&](int64_t i) {
          const int64_t depth = from + i * kTileDepth;
          PackPanels(lines, 0, sharedPanels_, depth, depth + kTileDepth, side, packed + i * kPanelStep, size_);
        });
      }
    });
  }

  // Lines of a thread's own, which other threads help to multiply when they have none left.
  struct Block {
    int64_t first, count;
    std::atomic<const uint16_t *> packed{nullptr};
    std::atomic<int64_t> next{0};  // Panel of the shared side.
  };

  void Begin(Block &block, int64_t index, const Slice &slice) const {
    static thread_local Scratch scratch;
    block.first = index * ownPanels_ / blocks_;
    block.count = (index + 1) * ownPanels_ / blocks_ - block.first;
    uint16_t *packed = scratch.Get(block.count * size_);
    const Side side = rightIsShared_ ? Side::kLeft : Side::kRight;
    EachTerm(slice, [&](const Term &term, int64_t from, int64_t to, int64_t step) {
      PackPanels(Own(term), block.first * kPanelLines, block.count, from, to, side, packed + step * kPanelStep, size_);
    });
    block.packed = packed;
    Multiply(block, packed, slice);
  }

  // When all blocks are begun. So nobody is helped with any but the last of a thread's blocks, and the next are begun when all threads
  // are done: what a thread has packed stays while others read it.
  void Help(std::vector<Block> &blocks, const Slice &slice) const {
    for (Block &block : blocks) {
      while (block.next < sharedPanels_) {
        if (const uint16_t *packed = block.packed) Multiply(block, packed, slice);
        else _mm_pause();
      }
    }
  }

  // Shared panels of a block one after another, as long as there are any.
  void Multiply(Block &block, const uint16_t *packed, const Slice &slice) const {
    const int64_t steps = slice.end - slice.begin;
    const bool begun = slice.begin > 0, last = slice.end == steps_;
    for (int64_t i = block.next++; i < sharedPanels_; i = block.next++) {
      const uint16_t *panel = packed_ + i * size_;
      Fetching next(i + 1 < sharedPanels_ ? panel + size_ : packed_, size_, block.count);
      for (int64_t j = 0; j < block.count; j++) {
        next.Next();
        const uint16_t *other = packed + j * size_;
        const int64_t here = (block.first + j) * kPanelLines, there = i * kPanelLines;
        if (rightIsShared_) result_.Add(here, there, other, panel, steps, begun, last);
        else result_.Add(there, here, panel, other, steps, begun, last);
      }
    }
  }

  const std::vector<Term> &terms_;
  const Result &result_;
  const bool rightIsShared_;
  const int64_t sharedPanels_, ownPanels_, blocks_;
  int64_t steps_ = 0;
  int64_t size_;  // Of a panel.
  uint16_t *packed_;
};

// The sum of products [m, k] times [k, n], where kTransposed the transpose of what is given: first all left factors, then as
// many right ones, then what they are added to, which is nothing where it has no numbers.
template <bool kTransposedLeft, bool kTransposedRight>
void MatMul(Call &call) {
  const auto lines = [&](int input, bool along) {
    const int64_t rows = call.Size(input, 0), columns = call.Size(input, 1);
    return along ? Lines{call.Floats(input), rows, columns, columns, true}
                 : Lines{call.Floats(input), columns, rows, columns, false};
  };
  const int count = (call.Inputs() - 1) / 2;
  std::vector<Term> terms;
  for (int i = 0; i < count; i++) terms.push_back({lines(i, !kTransposedLeft), lines(count + i, kTransposedRight)});
  const int64_t rows = terms[0].left.count, columns = terms[0].right.count, size = rows * columns;
  const float *sum = call.Elements(2 * count) > 0 ? call.Floats(2 * count) : nullptr;
  const Result result{call.New(0, {rows, columns}), rows, columns, sum};
  const bool empty = std::all_of(terms.begin(), terms.end(), [](const Term &term) { return term.left.depth == 0; });
  if (size > 0 && !empty) Products{terms, result};
  else if (sum == nullptr) std::fill_n(result.data, size, 0.f);
  else std::copy_n(sum, size, result.data);
}

template <bool kTransposedLeft, bool kTransposedRight>
void Shape(TF_ShapeInferenceContext *context, TF_Status *status) {
  TF_ShapeHandle *given = TF_NewShapeHandle(), *sizes[2] = {TF_NewShapeHandle(), TF_NewShapeHandle()};
  const int count = (TF_ShapeInferenceContextNumInputs(context) - 1) / 2;
  const int outer[2] = {kTransposedLeft ? 1 : 0, kTransposedRight ? 0 : 1};
  for (int side = 0; side < 2; side++) {
    TF_ShapeInferenceContextGetInput(context, side * count, given, status);
    TF_ShapeInferenceContextSubshape(context, given, outer[side], outer[side] + 1, sizes[side], status);
  }
  TF_ShapeInferenceContextConcatenateShapes(context, sizes[0], sizes[1], given, status);
  TF_ShapeInferenceContextSetOutput(context, 0, given, status);
  for (TF_ShapeHandle *each : {given, sizes[0], sizes[1]}) TF_DeleteShapeHandle(each);
}

template <bool kTransposedLeft, bool kTransposedRight>
void RegisterOne(const char *name) {
  Register(name, {"lefts: N * float", "rights: N * float", "sum: float"}, {"product: float"},
           Shape<kTransposedLeft, kTransposedRight>, Compute<MatMul<kTransposedLeft, kTransposedRight>>, {"N: int >= 1"});
}

}  // namespace

// By BLAS's letters: N as it is, T transposed.
void RegisterMatMul() {
  RegisterOne<false, false>("MatMulNN");
  RegisterOne<false, true>("MatMulNT");
  RegisterOne<true, false>("MatMulTN");
  RegisterOne<true, true>("MatMulTT");
}

}  // namespace kernels

#else

namespace kernels {

void RegisterMatMul() {}

}  // namespace kernels

#endif
