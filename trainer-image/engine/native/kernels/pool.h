// Threads of the kernels' own: TensorFlow's C interface lends none.
#pragma once

#include <cstdint>
#include <functional>

namespace kernels {

// Calls f(0) ... f(count - 1) on as many threads as TensorFlow uses within an operation, in any order; what f(i) computes
// must not depend on the others. Returns when all are done.
void Parallel(int64_t count, const std::function<void(int64_t)> &f);

// f(from, to) over parts of at most `size` of [0, total): the parts are the same with any number of threads.
void ParallelParts(int64_t total, int64_t size, const std::function<void(int64_t, int64_t)> &f);

}  // namespace kernels
