#include <cstring>

#include "attention.h"
#include "pool.h"
#include "product.h"

namespace kernels {
namespace {

// Gradients of one piece. With weights P and their gradient dP: dS = P (dP - sum(P dP)), and so on by the product rule.
class Gradients {
 public:
  Gradients(const Inputs &in, const Piece &piece, const float *dOutput)
      : at_(in, piece, true), dOutput_(dOutput), size_(in.size) {
    const int64_t rows = kBlock * at_.group;
    dOut_.assign(rows * at_.width, 0);
    dWeights_.resize(rows * at_.across);
    dQ_.resize(at_.q.size());
    dK_.assign(at_.k.size(), 0);
    dV_.assign(at_.v.size(), 0);
    EachBlock(piece, [&](const Part &part, int64_t first, int64_t count) { Block(part, first, count); });
  }

  void Write(float *dq, float *dk, float *dv) const {
    const Inputs &in = at_.in;
    for (const Part &part : at_.piece.parts) {
      for (int64_t i = 0; i < part.length; i++) {
        const int64_t row = part.row + i, place = part.place + i;
        for (int64_t g = 0; g < at_.group; g++) {
          TurnRow(in, row, &dQ_[(place * at_.group + g) * at_.width], dq + Query(row, g), in.scale, true);
        }
        const int64_t to = (row * in.layout.keyHeads + at_.piece.head) * size_;
        TurnRow(in, row, &dK_[place * at_.width], dk + to, 1, true);
        std::memcpy(dv + to, &dV_[place * at_.width], size_ * sizeof(float));
      }
    }
  }

 private:
  int64_t Query(int64_t row, int64_t g) const {
    return (row * at_.in.layout.queryHeads + at_.piece.head * at_.group + g) * size_;
  }

  void Block(const Part &part, int64_t first, int64_t count) {
    const int64_t rows = count * at_.group, far = at_.Weights(part, first, count), width = at_.width;
    const int64_t own = Scratch::Own(part), end = RoundUp(first + count);
    for (int64_t r = 0; r < rows; r++) {
      const float *from = dOutput_ + Query(part.row + first + r / at_.group, r % at_.group);
      std::memcpy(&dOut_[r * width], from, size_ * sizeof(float));
    }
    const Matrix dOut{dOut_.data(), width, 1};
    Product(rows, own, size_, dOut, at_.valuesAcross.data(), far, dWeights_.data(), far);
    Product(rows, end, size_, dOut, &at_.valuesAcross[part.place], far, &dWeights_[own], far);
    for (int64_t r = 0; r < rows; r++) ToScores(&at_.scores[r * far], &dWeights_[r * far], own + end);
    const int64_t query = (part.place + first) * at_.group * width;
    Keys({0, 0, part.before}, rows, query, false);
    Keys({part.place, own, first + count}, rows, query, true);
  }

  // The gradient of the weights becomes that of the scores.
  static void ToScores(const float *weights, float *gradient, int64_t columns) {
    Vec sum = {};
    for (int64_t c = 0; c < columns; c += kLanes) sum += Load(weights + c) * Load(gradient + c);
    const Vec mean = All(Sum(sum));
    for (int64_t c = 0; c < columns; c += kLanes) {
      Store(gradient + c, Load(weights + c) * (Load(gradient + c) - mean));
    }
  }

  struct Range {
    int64_t place, column, count;
  };

  // What a block of queries gives a run of keys, and takes of it.
  void Keys(Range keys, int64_t rows, int64_t query, bool add) {
    const int64_t far = at_.across, width = at_.width, to = keys.place * width;
    const float *weights = &at_.scores[keys.column], *dScores = &dWeights_[keys.column];
    Product(keys.count, width, rows, {weights, 1, far}, dOut_.data(), width, &dV_[to], width, true);
    Product(keys.count, width, rows, {dScores, 1, far}, &at_.q[query], width, &dK_[to], width, true);
    Product(rows, width, keys.count, {dScores, far, 1}, &at_.k[to], width, &dQ_[query], width, add);
  }

  Scratch at_;
  const float *dOutput_;
  const int64_t size_;
  std::vector<float> dOut_, dWeights_, dQ_, dK_, dV_;
};

void Backward(Call &call) {
  const Inputs in = ReadInputs(call);
  const float *dOutput = call.Floats(7);
  float *dq = call.Like(0, 0), *dk = call.Like(1, 1), *dv = call.Like(2, 2);
  Parallel(in.layout.pieces.size(), [&](int64_t i) { Gradients(in, in.layout.pieces[i], dOutput).Write(dq, dk, dv); });
}

}  // namespace

void RegisterAttentionGradient() {
  Register("AttentionGradient",
           {"q: float", "k: float", "v: float", "cosine: float", "sine: float", "layout: int32", "scale: float",
            "gradient: float"},
           {"dq: float", "dk: float", "dv: float"}, ShapesOf<0, 1, 2>, Compute<Backward>);
}

}  // namespace kernels
