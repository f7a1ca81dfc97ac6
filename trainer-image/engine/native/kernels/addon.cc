// A Node.js addon that only registers the operations, when it is first loaded.
#include <node_api.h>

#include <mutex>

#include "op.h"

extern "C" __attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env, napi_value exports) {
  static std::once_flag once;
  std::call_once(once, [] {
    kernels::RegisterAttention();
    kernels::RegisterNorm();
    kernels::RegisterGated();
    kernels::RegisterCrossEntropy();
    kernels::RegisterGradients();
    kernels::RegisterOptimizer();
    kernels::RegisterMatMul();
  });
  return exports;
}
