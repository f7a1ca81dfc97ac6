#include "pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace kernels {
namespace {

// Looks again and again for a while: to sleep and be woken takes 50 microseconds, and the next part of an operation is seldom
// so far away. Whether it came.
template <class F>
bool Soon(F came) {
  constexpr std::chrono::microseconds kWhile(50);
  const auto until = std::chrono::steady_clock::now() + kWhile;
  do {
    for (int i = 0; i < 16; i++) {
      if (came()) return true;
      _mm_pause();
    }
  } while (std::chrono::steady_clock::now() < until);
  return false;
}

class Pool {
 public:
  Pool() {
    const char *set = std::getenv("TF_NUM_INTRAOP_THREADS");
    const int threads = set == nullptr ? 1 : std::atoi(set);
    for (int i = 1; i < threads; i++, helpers_++) std::thread([this] { Help(); }).detach();
  }

  int Threads() const { return helpers_ + 1; }

  void Run(int64_t count, const std::function<void(int64_t)> &f) {
    // Two operations may run at once: one of them waits.
    std::lock_guard<std::mutex> one(call_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      f_ = &f;
      count_ = count;
      next_ = 0;
      wanted_ = busy_ = std::min<int64_t>(helpers_, count - 1);
      round_++;
    }
    begin_.notify_all();
    Work();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      // Who has not woken by now need not.
      busy_ -= wanted_;
      wanted_ = 0;
    }
    if (Soon([this] { return busy_ == 0; })) return;
    std::unique_lock<std::mutex> lock(mutex_);
    end_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void Work() {
    for (int64_t i = next_++; i < count_; i = next_++) (*f_)(i);
  }

  void Help() {
    const FlushDenormals flush;
    uint64_t seen = 0;
    for (;;) {
      Soon([&] { return round_ != seen; });
      {
        std::unique_lock<std::mutex> lock(mutex_);
        begin_.wait(lock, [&] { return round_ != seen && wanted_ > 0; });
        seen = round_;
        wanted_--;
      }
      Work();
      std::lock_guard<std::mutex> lock(mutex_);
      if (--busy_ == 0) end_.notify_one();
    }
  }

  std::mutex call_, mutex_;
  std::condition_variable begin_, end_;
  const std::function<void(int64_t)> *f_ = nullptr;
  std::atomic<int64_t> next_{0};
  int64_t count_ = 0, wanted_ = 0;
  int helpers_ = 0;
  // Read without the lock by those who look whether it is their turn.
  std::atomic<int64_t> busy_{0};
  std::atomic<uint64_t> round_{0};
};

// Never destroyed: its threads live as long as the process.
Pool &ThePool() {
  static Pool *pool = new Pool;
  return *pool;
}

}  // namespace

void Parallel(int64_t count, const std::function<void(int64_t)> &f) {
  if (count == 1) return f(0);
  if (count > 1) ThePool().Run(count, f);
}

int Threads() { return ThePool().Threads(); }

void ParallelParts(int64_t total, int64_t size, const std::function<void(int64_t, int64_t)> &f) {
  Parallel(Parts(total, size), [&](int64_t i) { f(i * size, std::min(total, (i + 1) * size)); });
}

}  // namespace kernels
