// Threads of the kernels' own: TensorFlow's C interface lends none.
#pragma once

#include <xmmintrin.h>

#include <cstdint>
#include <functional>

namespace kernels {

// In its scope results that are too small for a normal number are zero, and such operands count as zero, as TensorFlow has
// it in its own threads: what a kernel computes must not depend on whose thread it runs in.
class FlushDenormals {
 public:
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | kFlushResults | kOperandsAreZero); }
  ~FlushDenormals() { _mm_setcsr(before_); }
  FlushDenormals(const FlushDenormals &) = delete;
  FlushDenormals &operator=(const FlushDenormals &) = delete;

 private:
  static constexpr unsigned kFlushResults = 0x8000, kOperandsAreZero = 0x0040;
  const unsigned before_;
};

// Calls f(0) ... f(count - 1) on as many threads as TensorFlow uses within an operation, in any order; what f(i) computes
// must not depend on the others. Returns when all are done.
void Parallel(int64_t count, const std::function<void(int64_t)> &f);

// How many threads Parallel uses.
int Threads();

// How many parts of at most `size` there are of `total`.
constexpr int64_t Parts(int64_t total, int64_t size) { return (total + size - 1) / size; }

// f(from, to) over parts of at most `size` of [0, total): the parts are the same with any number of threads.
void ParallelParts(int64_t total, int64_t size, const std::function<void(int64_t, int64_t)> &f);

}  // namespace kernels
