#include <sys/syscall.h>
#include <unistd.h>

#include "napi-values.h"
#include "recorder.h"
#include "tfjs_backend.h"
#include "utils.h"

namespace tfnodejs {
namespace {

struct Arguments {
  napi_value values[4] = {nullptr, nullptr, nullptr, nullptr};
  Recorder *recorder = nullptr;
};

// The recorder and the call's arguments; throws when there are fewer than the function needs.
bool Read(napi_env env, napi_callback_info info, size_t needed, Arguments *arguments) {
  size_t count = 4;
  void *data = nullptr;
  napi_get_cb_info(env, info, &count, arguments->values, nullptr, &data);
  arguments->recorder = static_cast<Recorder *>(data);
  return count >= needed || Throw(env, "too few arguments");
}

napi_value RecordBegin(napi_env env, napi_callback_info info) {
  Arguments a;
  return Read(env, info, 1, &a) ? a.recorder->Begin(env, a.values[0]) : nullptr;
}
napi_value RecordConstant(napi_env env, napi_callback_info info) {
  Arguments a;
  return Read(env, info, 3, &a) ? a.recorder->Constant(env, a.values[0], a.values[1], a.values[2]) : nullptr;
}
napi_value RecordEnd(napi_env env, napi_callback_info info) {
  Arguments a;
  return Read(env, info, 2, &a) ? a.recorder->End(env, a.values[0], a.values[1]) : nullptr;
}
napi_value RecordAbort(napi_env env, napi_callback_info info) {
  Arguments a;
  if (Read(env, info, 0, &a)) a.recorder->Abort();
  return nullptr;
}
napi_value CallFunction(napi_env env, napi_callback_info info) {
  Arguments a;
  return Read(env, info, 3, &a) ? a.recorder->Call(env, a.values[0], a.values[1], a.values[2]) : nullptr;
}
napi_value RemoveFunction(napi_env env, napi_callback_info info) {
  Arguments a;
  if (Read(env, info, 1, &a)) a.recorder->Remove(env, a.values[0]);
  return nullptr;
}

// Linux lends the tiles of a matrix unit (AMX) to processes that ask for them: they make the state of each thread that uses them
// 8 KB larger.
napi_value AllowTiles(napi_env env, napi_callback_info) {
  bool allowed = false;
#ifdef __x86_64__
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA
  allowed = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#endif
  napi_value result;
  napi_get_boolean(env, allowed, &result);
  return result;
}

}  // namespace

void ExportRecorder(napi_env env, napi_value exports, TFJSBackend *backend) {
  backend->recorder = std::unique_ptr<Recorder>(new Recorder(backend));
  void *data = backend->recorder.get();
  napi_property_descriptor functions[] = {
      {"recordBegin", nullptr, RecordBegin, nullptr, nullptr, nullptr, napi_default, data},
      {"recordConstant", nullptr, RecordConstant, nullptr, nullptr, nullptr, napi_default, data},
      {"recordEnd", nullptr, RecordEnd, nullptr, nullptr, nullptr, napi_default, data},
      {"recordAbort", nullptr, RecordAbort, nullptr, nullptr, nullptr, napi_default, data},
      {"callFunction", nullptr, CallFunction, nullptr, nullptr, nullptr, napi_default, data},
      {"allowTiles", nullptr, AllowTiles, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"removeFunction", nullptr, RemoveFunction, nullptr, nullptr, nullptr, napi_default, data},
  };
  napi_define_properties(env, exports, ARRAY_SIZE(functions), functions);
}

}  // namespace tfnodejs
