// The life of a recorded function after its recording: calls, and its end.
#include "napi-values.h"
#include "recorder.h"
#include "tfe_auto_op.h"
#include "tfjs_backend.h"

namespace tfnodejs {

napi_value Recorder::Call(napi_env env, napi_value name_value, napi_value input_ids, napi_value num_outputs) {
  std::string name = Text(env, name_value);
  if (Active()) {
    Throw(env, name + " was called during a recording: compiled functions cannot be nested");
    return nullptr;
  }
  TF_AutoStatus status;
  TFE_AutoOp op(TFE_NewOp(backend_->tfe_context_, name.c_str(), status.status));
  if (!Ok(env, name, status)) return nullptr;
  std::vector<int32_t> ids = Ids(env, input_ids);
  for (size_t i = 0; i < ids.size(); i++) {
    auto entry = backend_->tfe_handle_map_.find(ids[i]);
    if (entry == backend_->tfe_handle_map_.end()) {
      Throw(env, name + ": input " + std::to_string(i) + " is no live tensor (id " + std::to_string(ids[i]) + ")");
      return nullptr;
    }
    TFE_OpAddInput(op.op, entry->second, status.status);
    if (!Ok(env, name + ": input " + std::to_string(i), status)) return nullptr;
  }
  int32_t count = 0;
  napi_get_value_int32(env, num_outputs, &count);
  std::vector<TFE_TensorHandle *> handles(count, nullptr);
  TFE_Execute(op.op, handles.data(), &count, status.status);
  if (!Ok(env, name, status)) return nullptr;
  napi_value result;
  napi_create_array_with_length(env, count, &result);
  for (int32_t i = 0; i < count; i++) {
    napi_set_element(env, result, i, backend_->GenerateOutputTensorInfo(env, handles[i]));
  }
  return result;
}

void Recorder::Remove(napi_env env, napi_value name_value) {
  std::string name = Text(env, name_value);
  TF_AutoStatus status;
  TFE_ContextRemoveFunction(backend_->tfe_context_, name.c_str(), status.status);
  Ok(env, name, status);
}

}  // namespace tfnodejs
